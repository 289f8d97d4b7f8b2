"""What can be wrong with a request, in the words of the rules.

Doors translate: ``distribution_api`` into OCI errors, ``image_api`` into Kubernetes ``Status`` objects.
"""

from __future__ import annotations

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
"""Kubernetes' sentence for a write made from a state that is not that of now."""


class ImageStreamsError(Exception):
    """Base of the tree; the text is fit for users."""


class StreamUnknown(ImageStreamsError):
    """No such ImageStream (repository)."""


class TagUnknown(ImageStreamsError):
    """The stream exists, the tag does not."""


class StreamExists(ImageStreamsError):
    """A stream of that name is there already."""


class TagExists(ImageStreamsError):
    """The stream wants something of that tag already."""


class ImageExists(ImageStreamsError):
    """An Image of that digest is there already."""


class Ambiguous(ImageStreamsError):
    """The beginning of a digest that more than one image of the stream has."""


class ImageUnknown(ImageStreamsError):
    """No such Image, or the repository does not hold that digest."""


class ImageInUse(ImageStreamsError):
    """The Image is still referenced by a stream and must not be deleted."""


class SignatureExists(ImageStreamsError):
    """The manifest has a signature of that name."""


class SignatureUnknown(ImageStreamsError):
    """The image has no signature of that name."""


class TooManySignatures(ImageStreamsError):
    """The manifest has as many signatures as one may have."""


class Conflict(ImageStreamsError):
    """A precondition (uid, resourceVersion) does not hold."""


class InvalidContinue(ImageStreamsError):
    """The continue token of a list is not one of ours."""


class MetadataUnavailable(ImageStreamsError):
    """The database cannot be reached now; reads may fall back to storage, writes must wait."""


class IndexUnfinished(MetadataUnavailable):
    """The tables are being made from storage and do not speak for this repository yet; the links in storage do."""
