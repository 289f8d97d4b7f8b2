"""A registry in this process: real storage, real SQLite, the real application."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from werkzeug.test import Client, TestResponse

from image_registry.auth.access import Access, Decision
from image_registry.auth.htpasswd import HtpasswdAuthenticator
from image_registry.auth.identity import Identity
from image_registry.auth.local import AllowAll
from image_registry.auth.tokens import RegistryTokens, generate_key
from image_registry.distribution_api.app import create_app
from image_registry.distribution_api.parts import Parts
from image_registry.imagestreams.service import ImageStreams
from image_registry.metadata.database import Database
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.storage.filesystem import FilesystemStore
from tests.app.schema import upgraded


class RightsTable:
    """A named fake of the cluster's decisions: who may do what in which namespace."""

    def __init__(self, rights: dict[tuple[str, str], set[str]]) -> None:
        self.rights = rights

    def decide(self, identity: Identity, access: Access) -> Decision:
        verbs = self.rights.get((identity.username, access.namespace), set())
        allowed = f"{access.verb} {access.resource}" in verbs
        return Decision(allowed, "" if allowed else f"{identity.username} cannot {access}")


PULL, PUSH, CREATE = "get imagestreams", "update imagestreams", "create imagestreams"
DELETE, LIST = "delete imagestreamtags", "list imagestreams"


@dataclass
class Registry:
    """What a test talks to, and what stands behind it."""

    client: Client
    store: FilesystemStore
    streams: ImageStreams
    database: Database
    parts: Parts

    def upload(self, repository: str, data: bytes, **kwargs: Any) -> str:
        """Push one blob in one session; returns its digest."""
        digest = str(Digest.of(data))
        start = self.client.post(f"/v2/{repository}/blobs/uploads/", **kwargs)
        assert start.status_code == 202, start.text
        end = self.client.put(f"{start.headers['Location']}?digest={digest}", data=data, **kwargs)
        assert end.status_code == 201, end.text
        return digest

    def push(self, repository: str, reference: str, *, layer: bytes = b"layer", **kwargs: Any) -> TestResponse:
        """Push a small image."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {}}).encode()
        body = manifest_of(config, layer)
        self.upload(repository, config, **kwargs)
        self.upload(repository, layer, **kwargs)
        headers = {**kwargs.pop("headers", {}), "Content-Type": media_types.OCI_MANIFEST}
        return self.client.put(f"/v2/{repository}/manifests/{reference}", data=body, headers=headers)


def manifest_of(config: bytes, *layers: bytes, **members: Any) -> bytes:
    """An OCI image manifest over these blobs."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": {"mediaType": media_types.OCI_CONFIG, "digest": str(Digest.of(config)), "size": len(config)},
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": str(Digest.of(layer)),
                    "size": len(layer),
                }
                for layer in layers
            ],
            **members,
        }
    ).encode()


def basic(user: str, password: str = "word") -> dict[str, str]:
    """The header of a user."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def code(response: TestResponse) -> str:
    """The OCI code of a refusal; every refusal has exactly one."""
    [error] = json.loads(response.data)["errors"]
    assert error["message"]
    return str(error["code"])


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., Registry]]:
    database = Database(upgraded(f"sqlite:///{tmp_path / 'metadata.db'}"))
    yield partial(assemble, database, tmp_path / "blobs")
    database.dispose()


def assemble(database: Database, folder: Path, **parts: Any) -> Registry:
    """A registry over this database and folder, open to everybody unless ``parts`` say otherwise."""
    store = FilesystemStore(folder)
    streams = ImageStreams(database, internal_hostname="registry.test:5000")
    whole = Parts(**{"store": store, "streams": streams, "authorizer": AllowAll(), **parts})
    return Registry(Client(create_app(whole)), store, streams, database, whole)


@pytest.fixture
def everywhere(database: Database, tmp_path: Path) -> Registry:
    """Open to everybody, once on each kind of database."""
    return assemble(database, tmp_path / "blobs")


@pytest.fixture
def registry(build: Callable[..., Registry]) -> Registry:
    """Open to everybody."""
    return build()


@pytest.fixture
def guarded(build: Callable[..., Registry], tmp_path: Path) -> Registry:
    """ann may do everything in team, ben may read there, eve has no rights."""
    users = tmp_path / "users"
    hashed = bcrypt.hashpw(b"word", bcrypt.gensalt(4)).decode()
    users.write_text("".join(f"{name}:{hashed}\n" for name in ("ann", "ben", "eve")), encoding="utf-8")
    rights = {
        ("ann", "team"): {PULL, PUSH, CREATE, DELETE, LIST},
        ("ben", "team"): {PULL},
        ("eve", "other"): {PULL, PUSH, CREATE},
        ("system:anonymous", "public"): {PULL},
    }
    return build(
        authorizer=RightsTable(rights),
        authenticator=HtpasswdAuthenticator(users),
        tokens=RegistryTokens([generate_key()]),
    )
