"""Names of upload sessions: not to be guessed, good only for whoever began the session, and all that a session is.

Two people may push to one repository; neither is to read, change or cancel what the other is uploading. The name
carries a mark of its owner, its repository and its algorithm, so any replica can tell without asking anybody, and a
session costs nothing before its first byte: twenty bits of time, sixty of chance, forty-eight that follow from them.
Nobody gains by making up a name: what it allows is what a start of an upload allows, and the right to push is asked for
in every request.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time

from image_registry.oci.digest import HEX_LENGTH
from image_registry.oci.reference import Repository

LIFETIME = 7 * 24 * 3600
"""Seconds for which a session may begin with its first byte, as long as an unfinished one is kept."""

_TICK = 4096
"""Seconds; five hexadecimal digits of them last until the year 2106."""

_TIME, _CHANCE, _MARK = 5, 15, 12

_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
"""The mark is no secret: whoever can reckon could put it behind any text, and the text becomes a path and a header."""


def new(username: str, repository: Repository, algorithm: str) -> str:
    """The name of a new session of this user, in the form of a UUID."""
    chance = f"{int(time.time()) // _TICK:0{_TIME}x}"[-_TIME:] + secrets.token_hex(_CHANCE // 2 + 1)[:_CHANCE]
    mark = _mark(chance, username, repository, algorithm)
    return f"{chance[:8]}-{chance[8:12]}-{chance[12:16]}-{chance[16:]}-{mark}"


def algorithm(upload_id: str, username: str, repository: Repository) -> str | None:
    """The algorithm of a session of this user in this repository; ``None`` if they never began it."""
    if not _FORM.fullmatch(upload_id):
        return None
    chance, mark = upload_id.replace("-", "")[: _TIME + _CHANCE], upload_id.rpartition("-")[2]
    for name in HEX_LENGTH:
        if secrets.compare_digest(mark, _mark(chance, username, repository, name)):
            return name
    return None


def may_begin(upload_id: str) -> bool:
    """Whether the session is young enough to take its first byte."""
    try:
        began = int(upload_id[:_TIME], 16) * _TICK
    except ValueError:
        return False
    return abs(time.time() - began) < LIFETIME + _TICK


def _mark(chance: str, username: str, repository: Repository, name: str) -> str:
    told = f"{chance}\0{name}\0{repository}\0{username}"
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
