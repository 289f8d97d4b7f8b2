"""Signing keys of registry tokens in a folder of PEM files, as a mounted Secret gives them, while they change.

File names sort by age: bootstrap writes ``<UTC time>-<random>.pem``. All keys verify. The newest signs, but only when
it is old enough for every replica to have it: kubelet takes up to two minutes to bring a changed Secret to all nodes,
and a token signed too early would be refused by those that have not seen its key.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from image_registry.auth.tokens import RegistryTokens

TIME_FORMAT = "%Y%m%dT%H%M%SZ"
"""Beginning of a key's file name: when it was made, in UTC."""

SETTLED = timedelta(minutes=10)
"""Age at which a key begins to sign, unless there is no older one."""

INTERVAL = 15.0
"""Seconds between two looks at the folder."""


class NoTokenKeys(OSError):
    """The folder holds no signing key; the text says how to get one."""


def read_keys(folder: Path, now: datetime) -> list[bytes]:
    """The PEM files of ``folder``, the one that signs first. Raises :class:`NoTokenKeys`."""
    try:
        files = sorted(folder.glob("*.pem"), key=lambda path: path.name, reverse=True)
        keys = [(_settled(path.name, now), path.read_bytes()) for path in files]
    except OSError as error:
        raise NoTokenKeys(f"cannot read the token keys in {folder}: {error.strerror}") from None
    if not keys:
        raise NoTokenKeys(
            f"no token keys (*.pem) in {folder}: run `image-registry bootstrap secrets`, which makes the Secret "
            "image-registry-token-keys"
        )
    # a stable sort: settled ones first, each group from new to old; without a settled one the oldest is best known
    if not any(settled for settled, _ in keys):
        keys.reverse()
    return [pem for _, pem in sorted(keys, key=lambda key: not key[0])]


class FollowedKeys:
    """A daemon thread that gives a :class:`RegistryTokens` the keys of a folder whenever they change."""

    def __init__(
        self, tokens: RegistryTokens, folder: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._tokens = tokens
        self._folder = folder
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="token-keys", daemon=True)
        self._seen = read_keys(folder, clock())

    def start(self) -> None:
        """Begin; the first look is one interval away."""
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()

    def once(self) -> bool:
        """One look; true if the keys changed. Raises :class:`NoTokenKeys` or :class:`ValueError` for a broken key."""
        keys = read_keys(self._folder, self._clock())
        if keys == self._seen:
            return False
        self._tokens.use(keys)
        self._seen = keys
        return True

    def _run(self) -> None:
        log = structlog.get_logger()
        while not self._stop.wait(INTERVAL):
            try:
                if self.once():
                    log.info("token keys changed", count=len(self._seen))
            except (OSError, ValueError) as error:
                log.warning("token keys were not read again, the known ones stay in use", reason=str(error))


def _settled(name: str, now: datetime) -> bool:
    """A name that carries no time was chosen by an administrator, who knows what they do."""
    try:
        made = datetime.strptime(name.partition("-")[0], TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return True
    return now - made >= SETTLED
