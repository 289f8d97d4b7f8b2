"""The registry that the rules are held against: one that is started here, or one that is named.

A named registry is described by variables, so that no password stands in an argument:
``CONFORMANCE_REGISTRY`` (URL), ``CONFORMANCE_USER``, ``CONFORMANCE_PASSWORD``, ``CONFORMANCE_CA`` (file) and
``CONFORMANCE_NAMESPACES`` (two, joined by a comma; the user may push, pull and delete in both).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from tests.conformance.protocol import Client, Credentials
from tests.serve.conftest import serve

PREFIX = "CONFORMANCE_"


@dataclass(frozen=True, slots=True)
class Target:
    """Where, as whom, and in which namespaces."""

    client: Client
    namespaces: tuple[str, str]


def named() -> Target | None:
    """The registry that the environment names, if it does."""
    url = os.environ.get(f"{PREFIX}REGISTRY")
    if not url:
        return None
    user, password = os.environ.get(f"{PREFIX}USER", ""), os.environ.get(f"{PREFIX}PASSWORD", "")
    ca = os.environ.get(f"{PREFIX}CA")
    first, _, second = os.environ.get(f"{PREFIX}NAMESPACES", "conformance-a,conformance-b").partition(",")
    if not second:
        raise SystemExit(f"{PREFIX}NAMESPACES needs two names, joined by a comma")
    client = Client(url, Credentials(user, password) if password else None, Path(ca) if ca else None)
    return Target(client, (first, second))


@contextmanager
def open_to_all(folder: Path, *options: str) -> Iterator[Target]:
    """``image-registry serve`` without authentication."""
    for served in serve(folder, "--auth", "none", *options):
        yield Target(Client(f"http://{served.host}"), ("conformance-a", "conformance-b"))


@contextmanager
def started(folder: Path, *options: str) -> Iterator[Target]:
    """``image-registry serve`` with users and tokens, for as long as it is needed."""
    password = secrets.token_urlsafe(16)
    users = folder / "users"
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    users.write_text(f"conformance:{hashed}\n", encoding="utf-8")
    users.chmod(0o600)
    for served in serve(folder, "--auth", f"htpasswd:{users}", *options):
        client = Client(f"http://{served.host}", Credentials("conformance", password))
        yield Target(client, ("conformance-a", "conformance-b"))
