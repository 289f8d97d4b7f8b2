"""Refusals that are nobody's fault out there: the database, the disk, another registry, or a mistake of ours."""

from __future__ import annotations

from werkzeug.test import TestResponse

from image_registry.imagestreams.errors import MetadataUnavailable
from image_registry.remote.errors import NotFound, RemoteError, TooManyRequests, Unreachable
from image_registry.storage.blob_store import OutOfSpace, StorageFault

from .refusal_stage import APP, DIGEST, Refusals, Stage, begun


def imported(stage: Stage, error: RemoteError) -> TestResponse:
    """A named fake of pull-through: the other registry says no."""

    class Refusing:
        def size(self, *_arguments: object) -> None:
            raise error

    return stage.build(pull_through=Refusing()).client.get(f"{APP}/blobs/{DIGEST}")


FAILURES: Refusals = {
    "no database for a list": (
        lambda s: s.broken("streams", "tags", MetadataUnavailable("gone")).get(f"{APP}/tags/list"),
        503,
        "UNAVAILABLE",
        "try again in a moment",
    ),
    "no database in between": (
        lambda s: s.broken("store", "blob_linked", MetadataUnavailable("gone")).get(f"{APP}/blobs/{DIGEST}"),
        503,
        "UNAVAILABLE",
        "try again in a moment",
    ),
    "a broken disk": (
        lambda s: s.broken("store", "blob_linked", StorageFault("I/O error")).get(f"{APP}/blobs/{DIGEST}"),
        503,
        "UNAVAILABLE",
        "try again",
    ),
    "a full disk": (
        lambda s: (c := s.broken("store", "append", OutOfSpace("full"))).patch(begun(c), data=b"x"),
        507,
        "UNAVAILABLE",
        "free space or extend the volume",
    ),
    "a fault of our own": (
        lambda s: s.broken("store", "blob_linked", ZeroDivisionError()).get(f"{APP}/blobs/{DIGEST}"),
        500,
        "UNKNOWN",
        "its log says why",
    ),
    "imported from who is asked too often": (
        lambda s: imported(s, TooManyRequests("busy.example: wait", 7.5)),
        429,
        "TOOMANYREQUESTS",
        "busy.example",
    ),
    "imported from who is away": (
        lambda s: imported(s, Unreachable("away.example does not answer")),
        503,
        "UNAVAILABLE",
        "cannot be had from where it came: away.example",
    ),
    "imported from who has it no more": (
        lambda s: imported(s, NotFound("forgetful.example has no such thing")),
        404,
        "BLOB_UNKNOWN",
        "forgetful.example",
    ),
}
