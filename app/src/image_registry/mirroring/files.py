"""Files of folders that hold images: whole or not there, verified before they have their name."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from image_registry.oci.digest import Digest
from image_registry.oci.manifest import InvalidManifest, Manifest, parse_manifest
from image_registry.remote.errors import Mismatch, NotFound, Unreadable, Unusable
from image_registry.remote.running import Running
from image_registry.remote.sending import Content, Telling

TRIES = 100
"""How often a file is linked that others replace; each of them does it once."""


def read(path: Path) -> bytes:
    """All of a file. Raises :class:`NotFound`, :class:`Unreadable`."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from None


def read_manifest(path: Path, digest: Digest) -> Manifest:
    """What a file holds that has the name of its digest. Raises as :func:`read`, ``Mismatch``, ``Unusable``."""
    raw = read(path)
    if Digest.of(raw, digest.algorithm) != digest:
        raise Mismatch(f"{path} has another digest than its name; it is not used")
    try:
        return parse_manifest(raw, "", digest=digest)
    except InvalidManifest as error:
        raise Unusable(f"{path} cannot be used: {error}") from None


def commit(path: Path, content: bytes | Path, *, symbolic: bool = False) -> None:
    """Let a name stand for bytes, or for another file, at once."""

    def make(new: Path) -> None:
        if isinstance(content, bytes):
            new.write_bytes(content)
        elif symbolic:
            new.symlink_to(content)
        else:
            _link(content, new)

    _named(path, make)


def write_blob(path: Path, digest: Digest, content: Content, telling: Telling) -> int:
    """A verified blob under its name. Raises :class:`Mismatch`, and nothing is there."""
    sent = 0

    def make(new: Path) -> None:
        nonlocal sent
        running = Running(digest, content.size, str(path))
        with content.open(0) as parts, new.open("wb", buffering=0) as file:
            for part in running.follow(parts, 0).read(content.size):
                written = memoryview(part)
                while written:
                    written = written[file.write(written) :]
                sent += len(part)
                telling.sent(len(part))
            running.check()
            os.fsync(file.fileno())

    _named(path, make)
    return sent


def _link(content: Path, new: Path) -> None:
    """A file that is replaced by its equal between being found and being linked is said not to be there (link(2))."""
    for _ in range(TRIES):
        try:
            os.link(content, new)
        except FileNotFoundError:
            if not content.exists():
                raise
        else:
            return
    os.link(content, new)


def _named(path: Path, make: Callable[[Path], None]) -> None:
    new = path.with_name(f".new-{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make(new)
        os.replace(new, path)
    except OSError as error:
        raise Unreadable(f"{path} cannot be written: {error.strerror}") from None
    finally:
        new.unlink(missing_ok=True)
