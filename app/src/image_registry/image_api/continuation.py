"""Where a list goes on: the ``continue`` token.

A token holds the place where the page ended, and the revision of the first page. It is not signed, because nothing can
be gained by changing one: the place is checked against the collection that the caller may list, and the revision only
says from where the client will watch. Pages read the present state, so an object that is made or deleted in between
may be missed or shown; whoever watches from the revision of the first page is told about each of them.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from image_registry.image_api.status import BadRequest, Expired
from image_registry.metadata.revisions import KEPT

_FORM = "image.alauda.io/v1"
LONGEST = 4096
"""Characters of a token."""


@dataclass(frozen=True, slots=True)
class Place:
    """``key`` is that of the last object shown, ``collection`` says in which list it was."""

    collection: str
    revision: int
    key: str


def encode(place: Place) -> str:
    """The token of a place."""
    document = {"v": _FORM, "of": place.collection, "rv": place.revision, "start": place.key}
    return base64.urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(token: str, collection: str) -> Place:
    """Read a token of this collection. Raises :class:`BadRequest`."""
    if len(token) > LONGEST:
        raise _broken("it is too long")
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        document = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError):
        raise _broken("it is not one of this API") from None
    if not isinstance(document, dict) or document.get("v") != _FORM:
        raise _broken("this server does not know its form")
    of, revision, key = (document.get(name) for name in ("of", "rv", "start"))
    if of != collection:
        raise _broken("it belongs to another list")
    if type(revision) is not int or revision <= 0 or not isinstance(key, str) or not key:
        raise _broken("it is not one of this API")
    return Place(collection, revision, key)


def check_age(place: Place, newest: int) -> None:
    """Raises :class:`Expired` when nobody could watch from the revision of the first page any more."""
    if newest - place.revision >= KEPT or place.revision > newest:
        raise Expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list "
            "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
            "the results. Continuing with the provided token results in an inconsistent list - objects that were "
            "created, modified, or deleted between the time the first chunk was returned and now may show up in the "
            "list.",
            list_continue=encode(Place(place.collection, newest, place.key)),
        )


def _broken(why: str) -> BadRequest:
    return BadRequest(f"continue key is not valid: {why}; start the list again without it")
