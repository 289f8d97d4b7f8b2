"""What is sent with a request: bytes that can be sent again, or a stream that can be sent once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Stream:
    """Parts of ``length`` bytes together. Who makes them may raise: then the connection ends, and nothing is taken."""

    parts: Iterator[bytes]
    length: int


Body: TypeAlias = bytes | Stream
