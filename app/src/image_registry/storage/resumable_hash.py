"""A hash whose progress can be stored, so that any replica can take the next chunk of an upload (design, D8).

``hashlib`` keeps its state to itself. OpenSSL's low-level functions work on a plain struct that belongs to the caller,
so its bytes can be saved and restored on another machine of the same architecture. The saved state carries a tag with
architecture and size; a state that does not fit is refused, and the caller hashes the stored bytes again instead.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import platform
import sys
from functools import lru_cache
from typing import Any

_CONTEXT_SIZE = {"sha256": 112, "sha512": 216}
"""``sizeof(SHA256_CTX)`` and ``sizeof(SHA512_CTX)`` of OpenSSL 1.1 and 3 on 64-bit machines."""

_ROOM = 512
"""Bytes given to a context: more than any build of OpenSSL uses."""


class StateRefused(ValueError):
    """A saved state of another architecture or version; hash the stored bytes again."""


class ResumableHash:
    """A running sha256 or sha512 with :meth:`state` and :meth:`restore`."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self._library = _library()
        self._plain: Any = None
        if self._library is None:
            self._plain = hashlib.new(algorithm)
            return
        self._functions = _functions(algorithm)
        self._context = ctypes.create_string_buffer(_ROOM)
        self._functions[0](self._context)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Feed bytes; OpenSSL runs without holding Python's global lock."""
        if self._plain is not None:
            self._plain.update(data)
            return
        if isinstance(data, memoryview) and not data.readonly and data.contiguous:
            self._functions[1](self._context, (ctypes.c_char * data.nbytes).from_buffer(data), data.nbytes)
            return
        if not isinstance(data, bytes):
            data = bytes(data)
        self._functions[1](self._context, data, len(data))

    def hexdigest(self) -> str:
        """The digest of everything fed so far; the hash can go on afterwards."""
        if self._plain is not None:
            return str(self._plain.hexdigest())
        copy = ctypes.create_string_buffer(self._context.raw, _ROOM)
        out = ctypes.create_string_buffer(64)
        self._functions[2](out, copy)
        return out.raw[: hashlib.new(self.algorithm).digest_size].hex()

    def state(self) -> bytes:
        """The progress as bytes; empty where the platform cannot export it."""
        if self._plain is not None:
            return b""
        return _tag(self.algorithm) + self._context.raw[: _CONTEXT_SIZE[self.algorithm]]

    @staticmethod
    def restore(algorithm: str, state: bytes) -> ResumableHash:
        """Go on from :meth:`state`; raises :class:`StateRefused`."""
        running = ResumableHash(algorithm)
        tag = _tag(algorithm)
        if running._plain is not None or not state.startswith(tag):
            raise StateRefused("the stored hash state is of another platform")
        body = state[len(tag) :]
        if len(body) != _CONTEXT_SIZE[algorithm]:
            raise StateRefused("the stored hash state is incomplete")
        ctypes.memmove(running._context, body, len(body))
        return running


def _tag(algorithm: str) -> bytes:
    return f"1:{algorithm}:{platform.machine()}:{sys.byteorder}:".encode()


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    """libcrypto, if it behaves as expected here; checked once against ``hashlib`` with a known message."""
    if sys.maxsize <= 2**32:
        return None
    name = ctypes.util.find_library("crypto") or "libcrypto.so.3"
    try:
        library = ctypes.CDLL(name)
        for algorithm in _CONTEXT_SIZE:
            for part in ("Init", "Update", "Final"):
                getattr(library, f"{algorithm.upper()}_{part}")
    except (OSError, AttributeError):
        return None
    return library if all(_agrees(library, algorithm) for algorithm in _CONTEXT_SIZE) else None


def _agrees(library: ctypes.CDLL, algorithm: str) -> bool:
    first, second = b"a" * 1000, b"b" * 77
    init, update, final = _bind(library, algorithm)
    context = ctypes.create_string_buffer(_ROOM)
    init(context)
    update(context, first, len(first))
    moved = ctypes.create_string_buffer(context.raw[: _CONTEXT_SIZE[algorithm]], _ROOM)
    update(moved, second, len(second))
    out = ctypes.create_string_buffer(64)
    final(out, moved)
    expected = hashlib.new(algorithm, first + second).digest()
    return out.raw[: len(expected)] == expected


@lru_cache(maxsize=4)
def _functions(algorithm: str) -> tuple[Any, Any, Any]:
    library = _library()
    if library is None:  # pragma: no cover - callers ask only when it is there
        raise RuntimeError("libcrypto is not available")
    return _bind(library, algorithm)


def _bind(library: ctypes.CDLL, algorithm: str) -> tuple[Any, Any, Any]:
    prefix = algorithm.upper()
    init = getattr(library, f"{prefix}_Init")
    update = getattr(library, f"{prefix}_Update")
    final = getattr(library, f"{prefix}_Final")
    init.argtypes = [ctypes.c_char_p]
    update.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
    final.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    return init, update, final
