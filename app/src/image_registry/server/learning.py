"""What is kept of an answer that the application has just made, if anything may be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from image_registry.auth.trail import Keep, Trail
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.server import patterns
from image_registry.server.kept_answers import LARGEST, Answer, Key, head, stamp
from image_registry.server.peer import REMOTE_HEADERS
from image_registry.server.request_head import HARMLESS, RANGE
from image_registry.storage.blob_store import BlobStore

_HARMLESS = frozenset(name.decode().upper() for name in HARMLESS)
_WITH_RANGE = _HARMLESS | {RANGE.decode().upper()}


def answer_of(
    environ: dict[str, Any],
    left: Trail,
    at: int,
    status: str,
    headers: Sequence[tuple[str, str]],
    body: bytes | None,
    store: BlobStore,
) -> tuple[Key, Answer] | None:
    """The answer with the key that it is kept by; ``body`` is ``None`` for a file.

    ``at`` is the revision that was known before the application was asked.
    """
    method, target, keep = str(environ.get("REQUEST_METHOD")), str(environ.get("RAW_URI", "")), left.keep
    part = status.startswith("206 ")
    if keep is None or not target or bool(keep.missing) != status.startswith("404 "):
        return None
    if not _simple(environ.get(REMOTE_HEADERS, ()), _WITH_RANGE if part else _HARMLESS):
        return None
    witnesses = _witnesses(store, keep)
    if witnesses is None:
        return None
    file = witnesses[-1] if body is None else ""
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), -1)
    marks = tuple((path, stamp(path)) for path in witnesses)
    if (
        any((mark is None) != bool(keep.untagged) for _, mark in marks)
        or length < 0
        or (body and len(body) != length)
        or len(body or b"") > LARGEST
    ):
        return None
    if file and length <= LARGEST and not part:
        body, file = _read(file, length), ""
        if body is None:
            return None
    answer = Answer(
        status=status.encode(),
        head=head(headers),
        body=body or b"",
        file=file,
        length=0 if method == "HEAD" else length,
        keep=keep,
        named=left.repository,
        repository=Repository.parse(keep.repository) if keep.repository else None,
        witnesses=marks,
        at=at,
        route=left.route,
        reference=left.reference,
        digest=left.digest,
        decision=left.decision,
        error=left.error,
    )
    return _filed(answer, method, target, left.request_id, part=part)


def _filed(answer: Answer, method: str, target: str, request_id: str, *, part: bool) -> tuple[Key, Answer] | None:
    """Where the answer belongs, with gaps if it is right for more than this."""
    if part:
        pattern = patterns.part(answer)
        return None if pattern is None else (patterns.part_key(target), pattern)
    if not answer.keep.missing:
        return (method, target, ""), answer
    key, pattern = (
        patterns.absence_key(method, target, request_id),
        patterns.absence(answer, answer.keep.missing, request_id),
    )
    return None if key is None or pattern is None else (key, pattern)


def _witnesses(store: BlobStore, keep: Keep) -> Sequence[str] | None:
    """Paths of what must stay as it is; ``None`` if nobody can tell."""
    if keep.untagged:
        look = getattr(store, "tag_witness", None)
        path = look(Repository.parse(keep.repository), keep.untagged) if look is not None else None
        return None if path is None else (path,)
    if not keep.blob:
        return ()
    find = getattr(store, "witnesses", None)
    found: Sequence[str] | None = (
        find(Repository.parse(keep.repository), Digest.parse(keep.blob)) if find is not None else None
    )
    return found


def _simple(headers: Iterable[tuple[str, str]], known: frozenset[str]) -> bool:
    """Whether the application was asked without anything that could have changed its answer."""
    return all(name in known for name, _ in headers)


def _read(path: str, length: int) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            data = os.pread(file.fileno(), length + 1, 0)
    except OSError:
        return None
    return data if len(data) == length else None
