"""What somebody noted about the signatures of an Image, after verifying them: an annotation of the Image.

The registry believes nothing and verifies nothing; who may update Images may note. Read back, a note is a pair of
conditions of its signature, ``Trusted`` and ``ForImage``, which stand together or not at all (parity reference 1.4).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ANNOTATION = "image.alauda.io/verified-signatures"
"""Names of signatures that somebody verified, with identity, key and time."""

LONGEST = 512
"""Characters of an identity or a key that are repeated."""

_TIME = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ", re.ASCII)


@dataclass(frozen=True, slots=True)
class Note:
    """A good signature: for which name, by whose key, and when somebody looked."""

    identity: str
    key: str
    time: str


def write(notes: Mapping[str, Note]) -> str:
    """The annotation; by names of signatures."""
    return json.dumps(
        {name: {"identity": note.identity, "key": note.key, "time": note.time} for name, note in notes.items()},
        sort_keys=True,
    )


def read(annotations: Mapping[str, str]) -> dict[str, Note]:
    """What an Image says; anybody may have written it, and what cannot be understood says nothing."""
    try:
        found = json.loads(annotations.get(ANNOTATION, "{}"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: note for name, entry in found.items() for note in _note(entry)}


def members(note: Note) -> dict[str, Any]:
    """What an ``ImageSignature`` says of itself by this note."""
    about = f"the signature is by key {note.key}, which whoever verified it trusts"
    image = f"the signature names this image as {note.identity}"
    moment = {"lastProbeTime": note.time, "lastTransitionTime": note.time}
    return {
        "conditions": [
            {"type": "Trusted", "status": "True", **moment, "reason": "ManuallyVerified", "message": about},
            {"type": "ForImage", "status": "True", **moment, "reason": "ManuallyVerified", "message": image},
        ],
        "imageIdentity": note.identity,
        "issuedTo": {"publicKeyID": note.key},
    }


def _note(entry: object) -> Iterable[Note]:
    if not isinstance(entry, dict):
        return
    identity, key, time = (entry.get(member) for member in ("identity", "key", "time"))
    if isinstance(identity, str) and isinstance(key, str) and isinstance(time, str) and _TIME.fullmatch(time):
        yield Note(identity[:LONGEST], key[:LONGEST], time)
