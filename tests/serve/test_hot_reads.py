"""Two servers over one folder and one database, one of which gives answers again: nobody can tell which.

Thousands of requests, simple ones and odd ones, go to both, byte for byte the same; in between images are pushed, moved
and deleted through either. What comes back is compared byte for byte, without the date and the request id.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import random
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import quote

import bcrypt
import pytest

from benchmarks.postgresql import PostgreSQL
from tests.app.conftest import postgresql  # noqa: F401 - a fixture
from tests.serve.conftest import serve

pytestmark = pytest.mark.slow

REQUESTS = 4000
INDEX = "application/vnd.oci.image.index.v1+json"
TYPE = "application/vnd.oci.image.manifest.v1+json"
LENGTH = re.compile(rb"\r\nContent-Length: (\d+)", re.IGNORECASE)
CHANGING = re.compile(rb"\r\nDate: [^\r]*|\r\nX-Request-Id: [0-9a-f]{24}(?=\r\n)|\"request_id\":\"[0-9a-f]{24}\"")
KINDS = ("application/vnd.example.signature", "application/vnd.example.sbom")
FILTERS = ("", "", f"?artifactType={KINDS[0]}", f"?artifactType={quote(KINDS[1], safe='')}", "?artifactType=", "?n=1")
SPANS = ("0-4", "5-", "-3", "0-0", "7-90", "900000-", "-0", "000-1", "3-2", "1-999999999999999999999")
REPOSITORIES = ("team/app", "team/other", "public/app")


@dataclass
class Door:
    """One of the two servers, and the tokens that it has issued."""

    host: str
    password: str
    tokens: dict[str, str] = field(default_factory=dict)
    connection: socket.socket | None = None

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"ann:{self.password}".encode()).decode()

    def ask(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        headers = {"Authorization": self.basic, **({"Content-Type": content_type} if content_type else {})}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        read = answer.status, answer.read(), answer.getheader("Location") or ""
        connection.close()
        return read

    def log_in(self) -> None:
        for name, repositories, more in (
            ("wide", REPOSITORIES, "&scope=registry:catalog:*"),
            ("narrow", REPOSITORIES[:1], ""),
        ):
            query = "&".join(f"scope=repository:{repository}:pull,push" for repository in repositories) + more
            self.tokens[name] = json.loads(self.ask("GET", f"/v2/token?{query}")[1])["token"]

    def raw(self, request: bytes, *, bodiless: bool) -> bytes:
        """The answer to these bytes, on a connection that is kept as long as the server keeps it."""
        for fresh in (False, True):
            if self.connection is None or fresh:
                self.hang_up()
                host, _, port = self.host.rpartition(":")
                self.connection = socket.create_connection((host, int(port)), 30)
            with suppress(ConnectionError):
                self.connection.sendall(request)
                if received := self._answer(bodiless=bodiless):
                    return received
        return b""

    def hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _answer(self, *, bodiless: bool) -> bytes:
        assert self.connection is not None
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            if not (block := self.connection.recv(65536)):
                return received
            received += block
        head = received[: end + 2]
        length = LENGTH.search(head)
        expected = 0 if bodiless or b" 304 " in head[:16] or length is None else int(length[1])
        while len(received) < end + 4 + expected:
            block = self.connection.recv(65536)
            assert block, f"the body ended early: {received!r}"
            received += block
        if b"\r\nConnection: close" in head:
            while block := self.connection.recv(65536):
                received += block
            self.hang_up()
        else:
            assert len(received) == end + 4 + expected
        return received


@pytest.fixture(params=["sqlite", "postgresql"])
def doors(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Door, Door]]:
    """The one that gives answers again, and the one that does not."""
    password = secrets.token_urlsafe(12)
    users = tmp_path / "users"
    users.write_text(f"ann:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n", encoding="utf-8")
    options = ["--auth", f"htpasswd:{users}", "--workers", "1"]
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        options += ["--database", server.url(server.new_database())]
    first = serve(tmp_path, *options)
    second = serve(tmp_path, *options, "--no-hot-reads")
    try:
        yield Door(next(first).host, password), Door(next(second).host, password)
    finally:
        first.close()
        second.close()


class World:
    """What is pushed, and what may be asked about it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.blobs = [f"blob {number} ".encode() * (1 + 40 * number) for number in range(6)]
        self.blobs.append(bytes(chance.randrange(256) for _ in range(100_000)))
        self.digests = [f"sha256:{hashlib.sha256(blob).hexdigest()}" for blob in self.blobs]
        self.nowhere = [f"sha256:{number:064x}" for number in range(20)] + [
            f"sha512:{number:0128x}" for number in range(2)
        ]
        self.manifests = [self._manifest(number) for number in range(5)]
        self.references = [f"sha256:{hashlib.sha256(document).hexdigest()}" for document in self.manifests]
        self.referring = [self._referring(number) for number in range(6)]
        self.tags = [f"v{number}" for number in range(4)]

    def _manifest(self, number: int) -> bytes:
        def descriptor(at: int, kind: str) -> dict[str, str | int]:
            return {"mediaType": kind, "digest": self.digests[at], "size": len(self.blobs[at])}

        config = descriptor(0, "application/vnd.oci.image.config.v1+json")
        layers = [descriptor(number % 6, "application/vnd.oci.image.layer.v1.tar")]
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": TYPE,
                "config": config,
                "layers": layers,
                "annotations": {"n": str(number)},
            }
        ).encode()

    def _referring(self, number: int) -> bytes:
        """What refers to one of the first two manifests."""
        subject = self.manifests[number % 2]
        empty = {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": self.digests[0],
            "size": len(self.blobs[0]),
        }
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": TYPE,
                "artifactType": KINDS[number % 3 % 2],
                "config": empty,
                "layers": [empty],
                "subject": {"mediaType": TYPE, "digest": self.references[number % 2], "size": len(subject)},
                "annotations": {"number": str(number)},
            }
        ).encode()

    def refer(self, door: Door, repository: str, number: int) -> str:
        """Push it by its digest alone, which changes no tag; returns that."""
        document = self.referring[number]
        digest = f"sha256:{hashlib.sha256(document).hexdigest()}"
        self.push_blob(door, repository, 0)
        assert door.ask("PUT", f"/v2/{repository}/manifests/{digest}", document, TYPE)[0] == 201
        return digest

    def fill(self, door: Door) -> None:
        for repository in REPOSITORIES:
            for at in range(len(self.blobs)):
                self.push_blob(door, repository, at)
            for at, tag in enumerate(self.tags):
                door.ask("PUT", f"/v2/{repository}/manifests/{tag}", self.manifests[at], TYPE)

    def push_blob(self, door: Door, repository: str, at: int) -> None:
        _, _, upload = door.ask("POST", f"/v2/{repository}/blobs/uploads/")
        assert door.ask("PUT", f"{upload}?digest={self.digests[at]}", self.blobs[at])[0] == 201

    def change(self, door: Door) -> list[str]:
        """Something changes through this door; what is worth asking about now."""
        chance, repository = self._chance, self._chance.choice(REPOSITORIES)
        at, tag = chance.randrange(len(self.manifests)), chance.choice(self.tags)
        blob = chance.randrange(1, len(self.blobs))
        match chance.randrange(8):
            case 6:
                self.refer(door, repository, chance.randrange(len(self.referring)))
            case 7:
                gone = hashlib.sha256(chance.choice(self.referring)).hexdigest()
                door.ask("DELETE", f"/v2/{repository}/manifests/sha256:{gone}")
            case 0:
                door.ask("DELETE", f"/v2/{repository}/manifests/{tag}")
            case 1:
                door.ask("DELETE", f"/v2/{repository}/manifests/{self.references[at]}")
            case 2:
                door.ask("DELETE", f"/v2/{repository}/blobs/{self.digests[blob]}")
            case 3:
                self.push_blob(door, repository, blob)
            case _:
                for needed in (0, at % 6):
                    self.push_blob(door, repository, needed)
                assert door.ask("PUT", f"/v2/{repository}/manifests/{tag}", self.manifests[at], TYPE)[0] == 201
        return [
            f"/v2/{repository}/manifests/{tag}",
            f"/v2/{repository}/manifests/{self.references[at]}",
            f"/v2/{repository}/blobs/{self.digests[blob]}",
            f"/v2/{repository}/tags/list",
            "/v2/_catalog",
            *(f"/v2/{repository}/referrers/{reference}" for reference in self.references[:2]),
        ]

    def target(self) -> str:
        chance, repository = self._chance, self._chance.choice([*REPOSITORIES, "team/none"])
        usual = [
            f"/v2/{repository}/manifests/{chance.choice([*self.tags, 'none'])}",
            f"/v2/{repository}/manifests/{chance.choice(self.references)}",
            f"/v2/{repository}/blobs/{chance.choice(self.digests)}",
            f"/v2/{repository}/blobs/{chance.choice(self.nowhere)}",
            f"/v2/{repository}/tags/list{chance.choice(['', '?n=2', '?n=1&last=v1', '?last=v0'])}",
            f"/v2/_catalog{chance.choice(['', '?n=1', '?n=1&last=team/app'])}",
            f"/v2/{repository}/referrers/{chance.choice(self.references[:2])}{chance.choice(FILTERS)}",
            "/v2/",
        ]
        odd = [
            f"/v2/{repository}/tags/list?n={chance.choice(['x', '0', '-1', '99999999999'])}",
            f"/v2/{repository}/manifests/v%30",
            f"/v2//{repository}/manifests/v0",
            f"/v2/{repository}/blobs/sha256:{'0' * 63}",
            f"/v2/{repository}/../{repository}/manifests/v0",
            f"/v2/{repository.upper()}/manifests/v0",
            f"/v2/{repository}/manifests/v0?tag=x",
            "/v2",
            "/v2/nothing",
        ]
        return chance.choice(usual if chance.random() < 0.85 else odd)

    def headers(self) -> list[str]:
        """Lines besides Host and Authorization."""
        chance, digest = self._chance, self._chance.choice([*self.digests, *self.references])
        lines = [f"User-Agent: client/{chance.randrange(3)}"]
        if chance.random() < 0.4:
            lines.append(
                chance.choice([f"Accept: {TYPE}", "Accept: */*", "ACCEPT-encoding: gzip", "connection: Keep-Alive"])
            )
        if chance.random() < 0.3:
            lines.append(f"X-Request-Id: {chance.choice(['mine-1', 'a b', 'x' * 65, 'ok.2'])}")
        if chance.random() < 0.1:
            lines.append(f"{chance.choice(['Range', 'range'])}: bytes={chance.choice(SPANS)}")
            if chance.random() < 0.4:
                date = "Sat, 21 Nov 2026 00:00:00 GMT"
                lines.append("If-Range: " + chance.choice([f'"{digest}"', f'W/"{digest}"', '"x"', date, ""]))
        elif chance.random() < 0.2:
            lines.append(
                chance.choice(
                    [
                        f"Range: bytes={chance.choice(['0-4', '5-', '-3', '4-2', '0-0,2-3', '900000-', 'x'])}",
                        f'If-None-Match: "{digest}"',
                        "If-None-Match: *",
                        f'If-Match: "{digest}"',
                        "Connection: close",
                        "Content-Length: 0",
                        "Expect: 100-continue",
                        "X-Forwarded-Proto: https",
                        "Cookie: a=b",
                        "Cache-Control: no-cache",
                        "Upgrade: h2c",
                        "X-HTTP-Method-Override: DELETE",
                        "Host: twice.test",
                        "Accept : space-before-colon",
                    ]
                )
            )
        return lines

    def authorization(self) -> str:
        """With the name of a token in braces."""
        return self._chance.choice(
            ["Authorization: Bearer {wide}"] * 10
            + [
                "Authorization: {basic}",
                "Authorization: Bearer {narrow}",
                "authorization:   bearer {wide}",
                "Authorization: Bearer {wide}x",
                "Authorization: Bearer nonsense",
                "Authorization: Basic bm9ib2R5Om5vdGhpbmc=",
                "Authorization: Digest x",
                "X-Nothing: at-all",
                "Authorization: Bearer {wide}\r\nAuthorization: Bearer {narrow}",
            ]
        )


def compared(doors: tuple[Door, Door], method: str, template: str) -> None:
    answers = []
    for door in doors:
        request = template.format(basic=door.basic, **door.tokens).encode()
        answers.append(CHANGING.sub(b"", door.raw(request, bodiless=method == "HEAD")))
    assert answers[0] == answers[1], template


def given_again(door: Door) -> int:
    name = "imageregistry_http_answers_given_again_total"
    [line] = [line for line in door.ask("GET", "/metrics")[1].decode().splitlines() if line.startswith(name)]
    return int(float(line.split()[-1]))


@pytest.mark.parametrize("doors", ["sqlite"], indirect=True)
def test_nobody_can_tell_an_answer_that_was_given_again(doors: tuple[Door, Door]) -> None:
    chance = random.Random(20261121)  # noqa: S311 - the same run every time
    world = World(chance)
    world.fill(doors[0])
    for number in range(REQUESTS):
        if number % 500 == 0:  # tokens last for minutes, and so may this on a slow machine
            for door in doors:
                door.log_in()
        targets = [world.target()]
        if number % 40 == 0:
            targets = world.change(chance.choice(doors)) * 3
        for target in targets:
            method = chance.choice(["GET", "GET", "HEAD"] * 8 + ["PATCH"])
            version = "HTTP/1.0" if chance.random() < 0.02 else "HTTP/1.1"
            lines = [f"{method} {target} {version}", "Host: registry.test", world.authorization(), *world.headers()]
            compared(doors, method, "\r\n".join(lines) + "\r\n\r\n")
    assert given_again(doors[0]) > REQUESTS // 8
    for door in doors:
        door.hang_up()


def test_a_change_through_another_process_is_seen_by_the_very_next_read(doors: tuple[Door, Door]) -> None:
    hot, other = doors
    world = World(random.Random(1))  # noqa: S311
    world.fill(other)
    hot.log_in()
    request = f"GET /v2/team/app/manifests/v0 HTTP/1.1\r\nHost: x\r\nAuthorization: {hot.basic}\r\n\r\n".encode()
    deadline = time.monotonic() + 120  # a database that has no time for questions is left alone for a while
    for turn in count():
        document = world.manifests[turn % 5]
        assert other.ask("PUT", "/v2/team/app/manifests/v0", document, TYPE)[0] == 201
        for _ in range(3):
            assert hot.raw(request, bodiless=False).endswith(document)
        if turn >= 40 and given_again(hot) >= 40:
            break
        assert time.monotonic() < deadline, "almost every read went to the application"
    hot.hang_up()


@pytest.mark.parametrize("doors", ["sqlite"], indirect=True)
def test_a_blob_that_another_process_took_in_is_there_at_once_and_gone_at_once(doors: tuple[Door, Door]) -> None:
    hot, other = doors
    target = "/v2/team/app/blobs/"

    def asked(method: str, digest: str) -> bytes:
        request = f"{method} {target}{digest} HTTP/1.1\r\nHost: x\r\nAuthorization: {hot.basic}\r\n\r\n"
        return hot.raw(request.encode(), bodiless=method == "HEAD").split(b"\r\n")[0]

    for _ in range(3):  # a question or two until an answer is kept
        asked("HEAD", f"sha256:{'0' * 64}")
        asked("GET", f"sha256:{'0' * 64}")
    before = given_again(hot)
    world = World(random.Random(4))  # noqa: S311
    for at, digest in enumerate(world.digests):
        for method in ("HEAD", "GET"):
            assert asked(method, digest) == b"HTTP/1.1 404 NOT FOUND"
        world.push_blob(other, "team/app", at)
        assert asked("HEAD", digest) == b"HTTP/1.1 200 OK"
        assert other.ask("DELETE", target + digest)[0] == 202
        assert asked("HEAD", digest) == b"HTTP/1.1 404 NOT FOUND"
    assert given_again(hot) - before >= 2 * len(world.digests)
    hot.hang_up()


def test_whoever_begins_or_ends_to_refer_is_seen_by_the_very_next_read(doors: tuple[Door, Door]) -> None:
    """Also one that was known already, from another repository, and that no tag names: only a list of digests grows."""
    hot, other = doors
    world = World(random.Random(6))  # noqa: S311
    world.fill(other)
    for number in range(len(world.referring)):
        world.refer(other, "team/other", number)

    def listed() -> set[str]:
        target = f"/v2/team/app/referrers/{world.references[0]}"
        request = f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: {hot.basic}\r\n\r\n".encode()
        for _ in range(3):
            answer = hot.raw(request, bodiless=False).partition(b"\r\n\r\n")[2]
        return {entry["digest"] for entry in json.loads(answer)["manifests"]}

    deadline = time.monotonic() + 120  # a database that has no time for questions is left alone for a while
    before = given_again(hot)
    while given_again(hot) < before + 6:
        assert time.monotonic() < deadline, "almost every read went to the application"
        assert listed() == set()
        digest = world.refer(other, "team/app", 2)
        assert listed() == {digest}
        assert other.ask("DELETE", f"/v2/team/app/manifests/{digest}")[0] == 202
    assert listed() == set()
    tag = world.references[0].replace(":", "-")
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    assert other.ask("PUT", f"/v2/team/app/manifests/{tag}", json.dumps(index).encode(), INDEX)[0] == 201
    assert listed() == set()
    hot.hang_up()


@pytest.mark.parametrize("doors", ["sqlite"], indirect=True)
def test_parts_of_a_blob_are_the_parts_that_were_asked_for(doors: tuple[Door, Door]) -> None:
    hot, other = doors
    world = World(random.Random(5))  # noqa: S311
    world.fill(other)
    hot.log_in()
    blob, digest = world.blobs[-1], world.digests[-1]

    def asked(span: str) -> bytes:
        lines = [f"GET /v2/team/app/blobs/{digest} HTTP/1.1", "Host: x", f"Authorization: {hot.basic}"]
        lines += [f"Range: bytes={span}", f'If-Range: "{digest}"']
        return hot.raw("\r\n".join([*lines, "", ""]).encode(), bodiless=False).partition(b"\r\n\r\n")[2]

    def plain(span: str) -> bytes:
        lines = [f"GET /v2/team/app/blobs/{digest} HTTP/1.1", "Host: x", f"Authorization: {hot.basic}"]
        return hot.raw("\r\n".join([*lines, f"Range: bytes={span}", "", ""]).encode(), bodiless=False)

    for _ in range(3):
        plain("0-0")
    before = given_again(hot)
    for start in range(0, len(blob), 9973):
        assert asked(f"{start}-{start + 9972}") == blob[start : start + 9973]
        assert asked(f"{start}-") == blob[start:]
        assert asked(f"-{start + 1}") == blob[-start - 1 :]
    assert plain(f"{len(blob)}-").startswith(b"HTTP/1.1 416")
    assert given_again(hot) - before > 20
    hot.hang_up()


@pytest.mark.parametrize("doors", ["sqlite"], indirect=True)
def test_a_user_who_was_removed_is_refused_at_once(doors: tuple[Door, Door], tmp_path: Path) -> None:
    hot, _ = doors
    world = World(random.Random(2))  # noqa: S311
    world.fill(hot)
    hot.log_in()
    request = f"GET /v2/team/app/manifests/v0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hot.tokens['wide']}\r\n\r\n"
    for _ in range(5):
        assert hot.raw(request.encode(), bodiless=False).startswith(b"HTTP/1.1 200")
    (tmp_path / "users").write_text("", encoding="utf-8")
    assert not hot.raw(request.encode(), bodiless=False).startswith(b"HTTP/1.1 200")
    hot.hang_up()


@pytest.mark.parametrize("doors", ["sqlite"], indirect=True)
def test_requests_in_one_packet_are_answered_in_their_order(doors: tuple[Door, Door]) -> None:
    hot, _ = doors
    world = World(random.Random(3))  # noqa: S311
    world.fill(hot)

    def get(target: str) -> bytes:
        return f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: {hot.basic}\r\n\r\n".encode()

    first, second = (f"/v2/team/app/manifests/v{number}" for number in range(2))
    for _ in range(3):
        assert hot.raw(get(first), bodiless=False).endswith(world.manifests[0])
    with socket.create_connection((hot.host.partition(":")[0], int(hot.host.rpartition(":")[2])), 10) as connection:
        connection.sendall(get(first) + get(second) + get(first))
        received = b""
        while received.count(b'"schemaVersion"') < 3 or not received.endswith(world.manifests[0]):
            block = connection.recv(65536)
            assert block
            received += block
    at = [received.index(world.manifests[0]), received.index(world.manifests[1]), received.rindex(world.manifests[0])]
    assert at == sorted(at)
    hot.hang_up()
