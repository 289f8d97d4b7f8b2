"""Files that somebody names for what is in them: a token, certificates, mappings. What is none is said before the work.

A file that is empty or the wrong one must not look like no file at all: then a command would go on with less than it
was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from image_registry.cli.failures import Wrong
from image_registry.remote import authorities as remote


def token(path: Path) -> str:
    """The one word of a file. Raises :class:`Wrong`."""
    words = _text(path, "--token-file").split()
    if len(words) != 1 or not words[0].isascii():
        raise Wrong(f"--token-file: {path} holds no token, which is one word")
    return words[0]


def authorities(path: Path | None) -> str:
    """Certificates in PEM; empty without a file. Raises :class:`Wrong` for one that holds none."""
    if path is None:
        return ""
    try:
        return remote.authorities(path)
    except remote.NoAuthorities as error:
        raise Wrong(f"--certificate-authority: {error}") from None


def lines(file: Iterable[str], name: str) -> Iterator[str]:
    """The same lines. Raises :class:`Wrong` where they are no text."""
    try:
        yield from file
    except UnicodeDecodeError:
        raise _no_text(name) from None


def _text(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _no_text(f"{option}: {path}") from None


def _no_text(what: str) -> Wrong:
    return Wrong(f"{what} is no text")
