"""Users of a registry without a cluster: a file of ``user:bcrypt`` lines, as ``htpasswd -B`` writes it."""

from __future__ import annotations

import hashlib
import os
import threading
from functools import cache
from pathlib import Path

import bcrypt
import structlog

from image_registry.auth.expiring_cache import ExpiringCache
from image_registry.auth.identity import AuthenticationUnavailable, Identity, InvalidCredentials

REMEMBERED = 60.0
"""Seconds for which a verified password is not hashed again: bcrypt is slow by design, and clients ask in bursts."""


@cache
def _nobody() -> bytes:
    """What the password of an unknown user is compared with."""
    return bcrypt.hashpw(b"nobody", bcrypt.gensalt(rounds=10))


class HtpasswdAuthenticator:
    """Reads the file again when it changes; only bcrypt lines count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._users: dict[str, bytes] = {}
        self._verified: ExpiringCache[tuple[bytes, tuple[int, int]], bool] = ExpiringCache(1024)
        self._load()

    def authenticate_token(self, token: str) -> Identity:  # noqa: ARG002
        """There are no foreign tokens here."""
        raise InvalidCredentials("this registry knows users and passwords, not platform tokens")

    def authenticate_basic(self, username: str, password: str) -> Identity:
        """Raises :class:`InvalidCredentials`; takes as long for an unknown user as for a wrong password."""
        users, stamp = self._load()
        key = hashlib.sha256(f"{username}\0{password}".encode()).digest()
        hashed = users.get(username)

        def check() -> tuple[bool, float]:
            try:
                matches = bcrypt.checkpw(password.encode()[:72], hashed or _nobody())
            except ValueError:  # a damaged line of the file
                matches = False
            return matches and hashed is not None, REMEMBERED

        if not self._verified.get((key, stamp), check):
            raise InvalidCredentials("unknown user or wrong password")
        return Identity(username, groups=("system:authenticated",))

    def knows(self, username: str) -> bool:
        """Whether the file has this user now. Raises :class:`AuthenticationUnavailable`."""
        return username in self._load()[0]

    def _say(self, text: str) -> None:
        """Somebody will wonder why a user of the file cannot log in."""
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        if len(lines) > len(self._users) or not lines:
            structlog.get_logger().warning(
                "who is not written as user:bcrypt in the users file cannot log in: add users with `htpasswd -B`",
                file=str(self._path),
                users=len(self._users),
                lines=len(lines),
            )

    def _load(self) -> tuple[dict[str, bytes], tuple[int, int]]:
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_size)
            with self._lock:
                if stamp != self._stamp:
                    text = self._path.read_text(encoding="utf-8")
                    self._users = _users(text)
                    self._stamp = stamp
                    self._say(text)
                return self._users, stamp
        except OSError as error:
            raise AuthenticationUnavailable(f"cannot read {self._path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise AuthenticationUnavailable(f"cannot read {self._path}: it is not UTF-8 text") from None


def _users(text: str) -> dict[str, bytes]:
    pairs = (line.strip().partition(":") for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {name: hashed.encode() for name, _, hashed in pairs if hashed.startswith(("$2a$", "$2b$", "$2y$"))}
