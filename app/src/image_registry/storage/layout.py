"""Where things lie: the path layout of CNCF distribution, version 2 (design, D2).

A volume or bucket of a legacy registry is adopted in place because these paths are the same, and it can be given back
for the same reason. Pure: nothing here touches a disk.
"""

from __future__ import annotations

import uuid

from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import Repository, parse_tag

ROOT = "docker/registry/v2"
NAMESPACES = f"{ROOT}/repositories"
BLOBS = f"{ROOT}/blobs"
TRASH = f"{ROOT}/.trash"
"""Blobs that nobody refers to, until they are removed for good; CNCF distribution never looks there."""
QUARANTINE = f"{ROOT}/.quarantine"
"""Blobs whose bytes are not what their digest says, for who wants to look into it; nobody ever removes them."""
STAGING = f"{ROOT}/.staging"
"""Content on its way to its place; CNCF distribution never looks here."""

RECORDS = f"{ROOT}/.records"
"""What only the tables know, for the day on which they are lost; CNCF distribution never looks here either."""

COPY = f"{ROOT}/.copy"
"""What a tree says of itself that is a copy of another one; CNCF distribution never looks here either."""

PARTS = frozenset({"_layers", "_manifests", "_uploads"})
"""Folders that make the folder above them a repository."""

_TAG_FOLDERS = "/_manifests/tags/"
_LONGEST_LASTING = 40
"""Shorter than the folder of any digest: those go when what they are named after goes."""


def blob(digest: Digest) -> str:
    """The folder of one blob; its bytes are in :func:`blob_data`."""
    return f"{ROOT}/blobs/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}"


def blob_data(digest: Digest) -> str:
    """The bytes of one blob."""
    return f"{blob(digest)}/data"


def thrown_away(digest: Digest) -> str:
    """The bytes of a blob in the trash."""
    return f"{TRASH}/{digest.algorithm}/{digest.hex}"


def quarantined(digest: Digest, mark: str) -> str:
    """The bytes of a blob that are not what they should be; ``mark`` tells those of one digest apart."""
    return f"{QUARANTINE}/{digest.algorithm}/{digest.hex}.{mark}"


def repository(name: Repository) -> str:
    """The folder of one repository: links only, never bytes."""
    return f"{NAMESPACES}/{name.namespace}/{name.name}"


def layer(name: Repository, digest: Digest) -> str:
    """The folder that says "this repository may read this blob"."""
    return f"{repository(name)}/_layers/{digest.algorithm}/{digest.hex}"


def revision(name: Repository, digest: Digest) -> str:
    """The folder that says "this repository holds this manifest"."""
    return f"{repository(name)}/_manifests/revisions/{digest.algorithm}/{digest.hex}"


def tags(name: Repository) -> str:
    """The folder of all tags."""
    return f"{repository(name)}/_manifests/tags"


def tag_folder(name: Repository, tag: str) -> str:
    """The folder of one tag. Raises :class:`~image_registry.oci.reference.InvalidTag`: the text becomes a path."""
    return f"{tags(name)}/{parse_tag(tag)}"


def tag_current(name: Repository, tag: str) -> str:
    """The link that says what a tag means now."""
    return f"{tag_folder(name, tag)}/current/link"


def tag_index(name: Repository, tag: str, digest: Digest) -> str:
    """The link that says what a tag has meant; distribution's collector reads it."""
    return f"{tag_folder(name, tag)}/index/{digest.algorithm}/{digest.hex}/link"


def uploads(name: Repository) -> str:
    """The folder of the running uploads of a repository."""
    return f"{repository(name)}/_uploads"


def upload(name: Repository, upload_id: str) -> str:
    """The folder of one running upload. Raises ``ValueError`` for an id that is not a UUID: it becomes a path."""
    return f"{uploads(name)}/{uuid.UUID(upload_id)}"


def record(name: str) -> str:
    """The place of one record; ``name`` is made of names of ours and of digests, and has slashes."""
    return f"{RECORDS}/{name}"


def read_link(content: bytes) -> Digest | None:
    """What a link says; ``None`` for one that an old crash has left empty, or that was damaged."""
    try:
        return Digest.parse(content.decode("ascii").strip())
    except (InvalidDigest, UnicodeDecodeError):
        return None


def lasting(folder: str) -> bool:
    """Whether nobody ever removes this folder: not those of digests, tags, uploads and records."""
    fleeting = _TAG_FOLDERS in folder or "/_uploads" in folder or folder.startswith(RECORDS)
    return not fleeting and len(folder.rpartition("/")[2]) < _LONGEST_LASTING
