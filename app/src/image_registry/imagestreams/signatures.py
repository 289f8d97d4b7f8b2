"""Signatures that clients keep beside a manifest (the signatures extension; parity reference 4.2).

They belong to the manifest in its repository: another namespace that holds the same digest neither sees nor fills
them. They are never changed, are verified by nobody here, and go when the repository lets go of the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from image_registry.imagestreams import rows
from image_registry.imagestreams.errors import ImageUnknown, SignatureExists, TooManySignatures
from image_registry.metadata import signatures, streams
from image_registry.metadata.database import Database
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository

MOST = 100
"""Signatures of one manifest: every reader is sent all of them."""


@dataclass(frozen=True, slots=True)
class Signature:
    """``name`` is what follows ``<digest>@`` in the name that clients give."""

    name: str
    type: str
    content: bytes


def of_manifest(database: Database, repository: Repository, digest: Digest) -> tuple[Signature, ...]:
    """All of them, by name. Raises :class:`ImageUnknown` when the repository does not hold the manifest."""
    with database.read() as connection:
        stream = signatures.holder(connection, repository.namespace, repository.name, str(digest))
        if stream is None:
            raise ImageUnknown(f"repository {repository} holds no manifest {digest}")
        return tuple(Signature(*row) for row in signatures.of_manifest(connection, stream, str(digest)))


def add(
    database: Database, repository: Repository, digest: Digest, signature: Signature, *, created_by: str, now: datetime
) -> None:
    """Keep one more. Raises :class:`ImageUnknown`, :class:`SignatureExists`, :class:`TooManySignatures`."""
    with database.write() as connection:
        streams.lock(database, connection, repository.namespace, repository.name)
        stream = signatures.holder(connection, repository.namespace, repository.name, str(digest))
        if stream is None:
            raise ImageUnknown(f"repository {repository} holds no manifest {digest}")
        if signatures.exists(connection, stream, str(digest), signature.name):
            raise SignatureExists(f"{digest} has a signature {signature.name!r} already; give the new one another name")
        if signatures.count(connection, stream, str(digest)) >= MOST:
            raise TooManySignatures(f"{digest} has {MOST} signatures in {repository}, which is the most")
        row = {
            "stream_id": stream,
            "digest": str(digest),
            "name": signature.name,
            "type": rows.text(signature.type),
            "content": signature.content,
            "created": now,
            "created_by": rows.text(created_by),
        }
        signatures.add(connection, row)
