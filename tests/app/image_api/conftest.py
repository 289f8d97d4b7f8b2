"""The Image API in this process: the real application and rules on SQLite, a fake of the cluster's decisions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from image_registry.auth.access import Access, AuthorizationUnavailable, Decision
from image_registry.auth.identity import Identity, InvalidCredentials
from image_registry.image_api.app import create_app
from image_registry.image_api.parts import Parts
from image_registry.imagestreams.limits import NO_LIMITS, Limits
from image_registry.imagestreams.service import ImageStreams
from image_registry.kube.front_proxy import FrontProxyTrust
from image_registry.metadata.database import Database
from image_registry.metadata.tables import image_streams
from image_registry.oci.manifest import Manifest
from image_registry.oci.reference import Repository
from tests.app import content

ROOT = "/apis/image.alauda.io/v1"
HOST = "image-registry.image-registry-system.svc:5000"
PUBLIC = "registry.example.com"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PROXY = "front-proxy-client"


class FakeCluster:
    """A named fake of the cluster's decisions: everybody may do everything, unless ``allowed`` says what they may."""

    def __init__(self) -> None:
        self.allowed: set[str] | None = None
        self.away = False
        self.asked: list[tuple[Identity, Access]] = []

    def decide(self, identity: Identity, access: Access) -> Decision:
        self.asked.append((identity, access))
        if self.away:
            raise AuthorizationUnavailable("the API server does not answer")
        return Decision(self.allowed is None or str(access) in self.allowed, "no role allows it")

    @staticmethod
    def authenticate_token(token: str) -> Identity:
        if token != "good":
            raise InvalidCredentials("the token has expired")
        return Identity("system:serviceaccount:team:default", groups=("system:authenticated",))

    @staticmethod
    def authenticate_basic(username: str, password: str) -> Identity:
        raise InvalidCredentials(f"{username} has no password here, {len(password)} characters or not")


class ImageAPI:
    """What a test pushes into and asks."""

    root = ROOT
    host = HOST
    table = TABLE

    def __init__(self, database: Database, cluster: FakeCluster) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.cluster = cluster
        self.database = database
        self.limits: dict[str, Limits] = {}
        """Of namespaces; those that are not named have none."""
        self.streams = ImageStreams(
            database,
            internal_hostname=HOST,
            clock=self._tick,
            limits=lambda namespace: self.limits.get(namespace, NO_LIMITS),
        )
        self.phases: dict[str, str] = {}
        """Phases of namespaces; those that are not named are active."""
        self.trust: FrontProxyTrust | None = FrontProxyTrust(ca="", allowed_names=frozenset({PROXY}))
        self.parts = Parts(
            streams=self.streams,
            authorizer=cluster,
            authenticator=cluster,
            front_proxy=lambda: self.trust,
            internal_hostname=HOST,
            public_hostname=PUBLIC,
            namespace_phase=lambda name: self.phases.get(name, "Active"),
        )
        self.client: FlaskClient = create_app(self.parts).test_client()

    def _tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    # what is in the registry

    image = staticmethod(content.image)
    index = staticmethod(content.index)

    def push(
        self, repository: str, content: Manifest | object, tag: str | None = "latest", config: bytes | None = None
    ) -> str:
        """Push a manifest, or an image made of any other value; returns its digest."""
        manifest = content if isinstance(content, Manifest) else self.image(content, config)
        self.streams.push(
            Repository.parse(repository),
            manifest,
            tag=tag,
            config=config,
            pushed_by="builder",
            authorize_create=lambda: None,
            before_commit=lambda: None,
        )
        return str(manifest.digest)

    def label(self, repository: str, **labels: str) -> None:
        """Give a stream labels, as no door does yet."""
        namespace, name = repository.split("/")
        with self.database.write() as connection:
            connection.execute(
                update(image_streams)
                .where(image_streams.c.namespace == namespace, image_streams.c.name == name)
                .values(labels=labels)
            )

    # questions

    def ask(self, path: str, accept: str = "", method: str = "GET", **arguments: Any) -> TestResponse:
        """One request, below the group's path unless ``path`` begins with a slash."""
        headers = {**arguments.pop("headers", {}), **({"Accept": accept} if accept else {})}
        where = path if path.startswith("/") else f"{ROOT}/{path}"
        return self.client.open(where, method=method, headers=headers, **arguments)

    def get(self, path: str, accept: str = "", **arguments: Any) -> Any:
        """The document of a request that works."""
        answer = self.ask(path, accept, **arguments)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def names(self, path: str) -> list[str]:
        """Names of all items of a list."""
        return [item["metadata"]["name"] for item in self.get(path)["items"]]

    def refuse(self, path: str, code: int, reason: str, **arguments: Any) -> Any:
        """The ``Status`` of a request that must fail like this."""
        answer = self.ask(path, **arguments)
        status = answer.get_json()
        assert (answer.status_code, status["kind"], status["status"]) == (code, "Status", "Failure"), answer.text
        assert (status["code"], status["reason"], status["apiVersion"]) == (code, reason, "v1")
        return status

    def delete(self, path: str, code: int = 200, options: Any = None, **arguments: Any) -> Any:
        """The document that a deletion answers with."""
        body = {"json": options} if options is not None else {}
        answer = self.ask(path, method="DELETE", **body, **arguments)
        assert answer.status_code == code, answer.text
        return answer.get_json()

    def write(self, method: str, path: str, document: Any, code: int = 200, content_type: str = "") -> Any:
        """The document that a write answers with; a text is sent as it is."""
        answer = self.send(method, path, document, content_type)
        assert answer.status_code == code, answer.text
        return answer.get_json()

    def send(self, method: str, path: str, document: Any, content_type: str = "", **arguments: Any) -> TestResponse:
        """One request with a body."""
        body = document if isinstance(document, str | bytes) else json.dumps(document)
        return self.ask(path, method=method, data=body, content_type=content_type or "application/json", **arguments)

    def reject(self, method: str, path: str, document: Any, code: int, reason: str, content_type: str = "") -> Any:
        """The ``Status`` of a write that must fail like this."""
        answer = self.send(method, path, document, content_type)
        status = answer.get_json()
        assert (answer.status_code, status["kind"], status.get("reason")) == (code, "Status", reason), answer.text
        return status

    @staticmethod
    def segment(name: str) -> str:
        """A name as one segment of a path."""
        return quote(name, safe="")

    def as_user(self, *headers: tuple[str, str], subject: str | None = PROXY) -> dict[str, Any]:
        """The WSGI environment of a request from the front proxy."""
        return {"image_registry.peer_subject": subject, "image_registry.remote_headers": list(headers)}


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def api(sqlite_template: Path, tmp_path: Path, cluster: FakeCluster) -> Iterator[ImageAPI]:
    """An empty registry."""
    yield from _opened(sqlite_template, tmp_path, cluster)


@pytest.fixture
def either(database: Database, cluster: FakeCluster) -> ImageAPI:
    """An empty registry on SQLite, and one on PostgreSQL."""
    return ImageAPI(database, cluster)


@pytest.fixture(scope="session")
def filled_template(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    for api in _opened(sqlite_template, folder, FakeCluster()):
        for tag in ("v1", "v2", "v10"):
            api.push("team/app", f"app {tag}", tag)
        api.push("team/app", "app v2 again", "v2")
        api.push("team/web", "web")
        api.push("team/web", "app v1", "copy")
        api.push("team-b/app", "app v1", "v1")
        api.push("team-b/tool", "tool", "Stable")
    return folder / "metadata.db"


@pytest.fixture
def filled(filled_template: Path, tmp_path: Path, cluster: FakeCluster) -> Iterator[ImageAPI]:
    """Two namespaces, four streams, seven tags, six images."""
    yield from _opened(filled_template, tmp_path, cluster)


def _opened(template: Path, folder: Path, cluster: FakeCluster) -> Iterator[ImageAPI]:
    shutil.copy(template, folder / "metadata.db")
    database = Database(f"sqlite:///{folder / 'metadata.db'}")
    try:
        yield ImageAPI(database, cluster)
    finally:
        database.dispose()


@pytest.fixture
def without_database(tmp_path: Path, cluster: FakeCluster) -> Iterator[ImageAPI]:
    """A registry whose database is away."""
    database = Database(f"sqlite:///{tmp_path / 'missing' / 'metadata.db'}")
    try:
        yield ImageAPI(database, cluster)
    finally:
        database.dispose()
