"""Content digests (OCI image-spec, "Descriptor / Digests").

A digest is an algorithm and the lower-case hexadecimal encoding of the hash of the bytes it names. Only the two
registered algorithms are accepted: a name nobody can verify must never become an address.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

HEX_LENGTH = {"sha256": 64, "sha512": 128}
"""Registered algorithms and the length of their encoded part, in characters."""

_PATTERN = re.compile(r"(?P<algorithm>[a-z0-9]+):(?P<hex>[0-9a-f]+)", re.ASCII)


class InvalidDigest(ValueError):
    """The text is not a digest that this registry can verify."""


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A verified-form digest such as ``sha256:9f86…``; equality is by algorithm and value."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @staticmethod
    def parse(text: str) -> Digest:
        """Read ``algorithm:hex``; raises :class:`InvalidDigest` with the reason."""
        return _parse(text)

    @staticmethod
    def of(data: bytes, algorithm: str = "sha256") -> Digest:
        """The digest of ``data``."""
        return Digest(algorithm, hashlib.new(algorithm, data).hexdigest())


@lru_cache(maxsize=4096)
def _parse(text: str) -> Digest:
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise InvalidDigest(f"{text[:160]!r} is not a digest of the form algorithm:hex in lower case")
    algorithm, value = match["algorithm"], match["hex"]
    length = HEX_LENGTH.get(algorithm)
    if length is None:
        raise InvalidDigest(f"digest algorithm {algorithm!r} is not supported; use one of {', '.join(HEX_LENGTH)}")
    if len(value) != length:
        raise InvalidDigest(f"a {algorithm} digest has {length} hexadecimal characters, this one has {len(value)}")
    return Digest(algorithm, value)


class Hasher(Protocol):
    """A running hash; :mod:`hashlib` objects and the resumable hashes of ``storage`` have this shape."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...
