"""Limits that hold when many come at once, and logs that no shorter way leaves out."""

from __future__ import annotations

import http.client
import io
import json
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from werkzeug.test import Client

from image_registry.auth.htpasswd import HtpasswdAuthenticator
from image_registry.auth.local import AuthenticatedOnly
from image_registry.auth.tokens import RegistryTokens, generate_key
from image_registry.distribution_api import open_uploads
from image_registry.imagestreams import signatures
from image_registry.imagestreams.errors import TooManySignatures
from image_registry.imagestreams.signatures import Signature
from image_registry.metadata.database import Database
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.server.observation import Audit, Observer
from image_registry.server.request_log import RequestLog
from tests.app.conftest import database, database_url, postgresql  # noqa: F401 - fixtures
from tests.app.distribution_api.conftest import Registry, assemble, basic, code, manifest_of
from tests.at_once import at_once
from tests.security.conftest import Guarded


def test_those_who_come_together_do_not_pass_a_limit_together(
    database: Database,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Row 56 (Harbor's quota model): requests that run at once are each measured against the same free room."""
    monkeypatch.setattr(signatures, "MOST", 5)
    registry = assemble(database, tmp_path / "blobs")
    digest = Digest.parse(registry.push("demo/app", "v1").headers["Docker-Content-Digest"])
    repository, refused = Repository.parse("demo/app"), []

    def add(number: int) -> None:
        try:
            registry.streams.add_signature(repository, digest, Signature(f"s{number}", "x", b"x"), created_by="ann")
        except TooManySignatures:
            refused.append(number)

    at_once([partial(add, number) for number in range(12)])
    assert len(registry.streams.signatures(repository, digest)) == 5
    assert len(refused) == 7


def test_sessions_that_nobody_finishes_end_at_a_limit(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 55 (generic): sessions that are begun and never finished fill the disk."""
    monkeypatch.setattr(open_uploads, "MOST", 4)
    start = "/v2/demo/app/blobs/uploads/"
    begun = [registry.client.post(start).headers["Location"] for _ in range(20)]
    for location in begun[:4]:
        assert registry.client.patch(location, data=b"x").status_code == 202
    elsewhere = registry.client.post("/v2/demo/other/blobs/uploads/").headers["Location"]
    for location in (begun[4], elsewhere):
        refused = registry.client.patch(location, data=b"x")
        assert (refused.status_code, code(refused)) == (429, "TOOMANYREQUESTS")
        assert refused.headers["Retry-After"]
    quiet = registry.client.post("/v2/quiet/app/blobs/uploads/").headers["Location"]
    assert registry.client.patch(quiet, data=b"x").status_code == 202, "other namespaces go on"
    assert registry.client.delete(begun[0]).status_code == 204
    assert registry.client.patch(begun[4], data=b"x").status_code == 202
    for location in begun[1:5]:
        assert registry.client.put(f"{location}?digest={Digest.of(b'x')}").status_code == 201
    for number in range(12):
        registry.upload("demo/app", f"layer {number}".encode())


def test_sessions_that_ended_in_another_process_count_no_more(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 55 (generic): the wall against floods stays up for those who finish what they begin."""
    monkeypatch.setattr(open_uploads, "MOST", 4)
    other = assemble(registry.database, registry.store.root)
    for number in range(12):
        data = f"layer {number}".encode()
        location = registry.client.post("/v2/demo/app/blobs/uploads/").headers["Location"]
        assert registry.client.patch(location, data=data).status_code == 202, number
        assert other.client.put(f"{location}?digest={Digest.of(data)}").status_code == 201


def test_a_beginning_costs_nothing(registry: Registry) -> None:
    """Row 55 (generic): requests without a byte leave files and rows behind."""
    for _ in range(50):
        assert registry.client.post("/v2/demo/app/blobs/uploads/").status_code == 202
    assert not [path for path in registry.store.root.rglob("*") if path.is_file()]
    assert registry.streams.sessions.abandoned(datetime.now(UTC) + timedelta(days=1)) == []


SHOWN = ("method", "path", "status", "route", "repository", "reference", "digest", "decision", "error")


def requests(digest: str, missing: str) -> list[tuple[str, str, dict[str, str]]]:
    """What a short way past the application would take, allowed, refused and missing."""
    paths = (
        "manifests/v1",
        f"manifests/{digest}",
        "manifests/none",
        f"blobs/{Digest.of(b'layer')}",
        f"blobs/{missing}",
        "blobs/sha256:x",
        "tags/list",
    )
    special = (
        (f"blobs/{Digest.of(b'layer')}", {"Range": "bytes=1-2"}),
        (f"manifests/{digest}", {"If-None-Match": f'"{digest}"'}),
    )
    asked = [*((path, {}) for path in paths), *special]
    return [(method, f"/v2/demo/app/{path}", dict(headers)) for method in ("GET", "HEAD") for path, headers in asked]


def lines(text: str, asked: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Access log lines of these requests, by request id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in text.splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            if entry.get("event") == "request" and entry.get("request_id") in asked:
                found.setdefault(entry["request_id"], []).append(entry)
    return found


@pytest.mark.slow
def test_every_way_through_the_server_leaves_the_same_line(
    behind_a_socket: Guarded, build: Callable[..., Registry], tmp_path: Path
) -> None:
    """Row 59 (a risk of a fast path): what is served by a shorter way is not on record, or without its caller."""
    user, password = behind_a_socket.user, behind_a_socket.password
    users = tmp_path / "users"
    users.write_text(f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n", encoding="utf-8")
    who = HtpasswdAuthenticator(users)
    inside = build(authorizer=AuthenticatedOnly(), authenticator=who, tokens=RegistryTokens([generate_key()]))
    digest = inside.push("demo/app", "v1", headers=basic(user, password)).headers["Docker-Content-Digest"]
    stream = io.BytesIO()
    observer = Observer(stream=stream, audit=Audit.ALL)
    client = Client(RequestLog(inside.client.application, observer))
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {}}).encode()
    connection = http.client.HTTPConnection(behind_a_socket.served.host, timeout=20)

    def over_the_socket(method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> int:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    known = basic(user, password)
    for content in (config, b"layer"):
        path = f"/v2/demo/app/blobs/uploads/?digest={Digest.of(content)}"
        assert over_the_socket("POST", path, known, content) == 201
    kind = {**known, "Content-Type": media_types.OCI_MANIFEST}
    assert over_the_socket("PUT", "/v2/demo/app/manifests/v1", kind, manifest_of(config, b"layer")) == 201

    asked = {}
    for method, path, headers in requests(digest, str(Digest.of(b"missing"))):
        for credentials in (known, basic(user, "wrong"), {}):
            request_id = secrets.token_hex(8)
            sent = {**headers, **credentials, "X-Request-Id": request_id}
            asked[request_id] = (method, path)
            status = over_the_socket(method, path, sent)
            with client.open(path, method=method, headers=sent, buffered=True) as answer:
                assert answer.status_code == status, (method, path)
    connection.close()
    observer.flush()
    within = lines(stream.getvalue().decode(), set(asked))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        outside = lines(behind_a_socket.log.read_text(encoding="utf-8"), set(asked))
        if len(outside) == len(asked):
            break
        time.sleep(0.05)
    for request_id, request in asked.items():
        [one], [other] = within[request_id], outside[request_id]
        assert {key: one.get(key) for key in SHOWN} == {key: other.get(key) for key in SHOWN}, request
        assert (one.get("caller"), one.get("bytes")) == (other.get("caller"), other.get("bytes")), request
        assert set(one) == set(other), request
