"""What provokes a refusal of the data plane: a registry, and one that has something wrong with it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from image_registry.auth.htpasswd import HtpasswdAuthenticator
from image_registry.auth.tokens import RegistryTokens, generate_key
from image_registry.oci import media_types
from image_registry.oci.digest import Digest

from .conftest import CREATE, PULL, PUSH, Registry, RightsTable, basic, manifest_of

DIGEST = str(Digest.of(b"data"))
APP = "/v2/team/app"
OCI = {"Content-Type": media_types.OCI_MANIFEST}
ANN = basic("ann")

Case = Callable[["Stage"], TestResponse]
Refusals = dict[str, tuple[Case, int, str, str]]
"""What provokes it, its status, its code, and words of its message."""


@dataclass
class Stage:
    """What a case may use: a registry, and how to build one that has something wrong with it."""

    build: Callable[..., Registry]
    patch: pytest.MonkeyPatch
    users: Path
    rights: dict[tuple[str, str], set[str]] = field(default_factory=lambda: {("ann", "team"): {PULL, PUSH, CREATE}})

    @property
    def open(self) -> Client:
        """Without authentication."""
        return self.build().client

    def guarded(self, **parts: Any) -> Client:
        """ann may pull and push in team, but delete nothing."""
        return self.build(
            **{
                "authorizer": RightsTable(self.rights),
                "authenticator": HtpasswdAuthenticator(self.users),
                "tokens": RegistryTokens([generate_key()]),
                **parts,
            }
        ).client

    def broken(self, part: str, method: str, error: Exception) -> Client:
        """Open, with one method of the store or of the rules that fails."""
        registry = self.build()

        def fail(*_arguments: object, **_options: object) -> None:
            raise error

        self.patch.setattr(type(attrgetter(part)(registry)), method, fail)
        return registry.client

    def token(self, client: Client, scope: str) -> dict[str, str]:
        answer = client.get(f"/v2/token?scope={scope}", headers=ANN)
        assert answer.json is not None
        return {"Authorization": f"Bearer {answer.json['token']}"}


def begun(client: Client, data: bytes = b"") -> str:
    location = client.post(f"{APP}/blobs/uploads/").headers["Location"]
    if data:
        assert client.patch(location, data=data).status_code == 202
    return location


def pushed(stage: Stage) -> Registry:
    registry = stage.build()
    assert registry.push("team/app", "v1").status_code == 201
    return registry


def push(client: Client, headers: dict[str, str], *, upload: bool = True) -> TestResponse:
    if upload:
        done = client.post(f"{APP}/blobs/uploads/?digest={Digest.of(b'{}')}", data=b"{}", headers=headers)
        assert done.status_code == 201, done.text
    return client.put(f"{APP}/manifests/v1", data=manifest_of(b"{}"), headers={**OCI, **headers})


def raiser(error: Exception) -> Callable[..., None]:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    return fail


class Breaking(io.BytesIO):
    """A body that ends too early, or with the error of a server whose client does not keep to HTTP."""

    def __init__(self, *, silent: bool) -> None:
        super().__init__()
        self._silent = silent

    def read(self, _size: int | None = -1, /) -> bytes:
        if self._silent:
            return b""
        raise RuntimeError("no chunk")

    def readinto(self, _buffer: object, /) -> int:
        return len(self.read())
