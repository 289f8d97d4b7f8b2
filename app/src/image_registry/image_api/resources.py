"""Which resources this API has and which verbs it truly serves: the one list behind discovery, OpenAPI and routes.

A verb published is a promise to controllers: list and watch together with delete bring the garbage collector, which
must not see ``imagestreamtags`` because they carry the uid of their stream (parity reference 2.5). No resource is
watched yet, so none says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from image_registry.auth.access import IMAGE_GROUP

VERSION = "v1"
GROUP_VERSION = f"{IMAGE_GROUP}/{VERSION}"
ROOT = f"/apis/{GROUP_VERSION}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One row of ``kubectl api-resources``."""

    name: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    """Sorted, as published."""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresource: str = ""
    """The part behind the slash of a name such as ``imagestreams/status``."""
    managed: bool = True
    """Objects remember who set what."""
    create_on_update: bool = False
    """Replacing what does not exist makes it."""
    unconditional_update: bool = False
    """An update need not say which state it is made from."""
    group: str = IMAGE_GROUP

    @property
    def singular(self) -> str:
        """The name in the singular: the kind in lower case."""
        return self.kind.lower()

    @property
    def list_kind(self) -> str:
        """The kind of a list of these."""
        return f"{self.kind}List"


IMAGES = Resource("images", "Image", namespaced=False, verbs=("delete", "get", "list"))
STREAMS = Resource(
    "imagestreams",
    "ImageStream",
    namespaced=True,
    verbs=("create", "delete", "deletecollection", "get", "list", "patch", "update"),
    short_names=("is",),
    categories=("all",),
)
STREAM_TAGS = Resource(
    "imagestreamtags", "ImageStreamTag", namespaced=True, verbs=("delete", "get", "list"), short_names=("istag",)
)

RESOURCES = (IMAGES, STREAMS, STREAM_TAGS)
