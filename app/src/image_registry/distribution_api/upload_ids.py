"""Names of upload sessions: not to be guessed, and good only for whoever began the session.

Two people may push to one repository; neither is to read, change or cancel what the other is uploading. The name
carries a mark of its owner, so any replica can tell without asking: eighty bits of chance, and forty-eight that follow
from them and the user's name.
"""

from __future__ import annotations

import hashlib
import secrets

_CHANCE, _MARK = 20, 12


def new(username: str) -> str:
    """The name of a new session of this user, in the form of a UUID."""
    chance = secrets.token_hex(_CHANCE // 2)
    return f"{chance[:8]}-{chance[8:12]}-{chance[12:16]}-{chance[16:]}-{_mark(chance, username)}"


def belongs_to(upload_id: str, username: str) -> bool:
    """Whether this user began the session."""
    chance, mark = upload_id.replace("-", "")[:_CHANCE], upload_id.rpartition("-")[2]
    return secrets.compare_digest(mark.encode(), _mark(chance, username).encode())


def _mark(chance: str, username: str) -> str:
    return hashlib.sha256(f"{chance}\0{username}".encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
