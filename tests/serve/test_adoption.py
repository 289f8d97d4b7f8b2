"""Adoption in place and back again, with CNCF distribution itself, as Debian packages it and as its newest module."""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from benchmarks.distribution_tree import MANIFEST as DOCKER
from benchmarks.distribution_tree import Tree
from image_registry.storage.filesystem import FilesystemStore
from tests.serve.conftest import free_port, program, run, serve, wait_for_port
from tests.serve.pushing import MANIFEST, Gone, ask, digest_of

pytestmark = pytest.mark.slow

DISTRIBUTIONS = {
    "docker-registry": "apt-get install docker-registry",
    "distribution": "run `lab/lab build distribution`",
}
REPOSITORIES = ("team/app", "team/tools", "other/app")


@contextmanager
def distribution(name: str, folder: Path, root: Path) -> Generator[str, None, None]:
    """CNCF distribution, serving ``root``."""
    host, log, config = f"127.0.0.1:{free_port()}", folder / "distribution.log", folder / "distribution.yml"
    storage = {"filesystem": {"rootdirectory": str(root)}, "delete": {"enabled": True}}
    config.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": host}}), encoding="utf-8")
    with log.open("wb") as output:
        command = [program(name, DISTRIBUTIONS[name]), "serve", str(config)]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for_port(host, process, log)
        yield host
    finally:
        process.terminate()
        process.wait(20)


class Writer:
    """Writes to whichever registry is there, and knows what must be read from it afterwards."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a test that can be repeated
        self.tags: dict[tuple[str, str], str] = {}
        self.bytes: dict[str, bytes] = {}
        self.holds: dict[str, set[str]] = {name: set() for name in REPOSITORIES}

    def write(self, host: str, times: int) -> None:
        """New images, tags that move, manifests by digest, tags that go."""
        for _ in range(times):
            repository = self._random.choice(REPOSITORIES)
            tag = f"v{self._random.randrange(12)}"
            known = [key for key in self.tags if key[0] == repository]
            match self._random.randrange(5):
                case 0 if known:
                    self._move(host, repository, tag, self.tags[self._random.choice(known)])
                case 1:
                    self._push(host, repository, None)
                case _:
                    self._push(host, repository, tag)

    def check(self, host: str) -> None:
        """Every tag and every manifest is there, with all its blobs, byte by byte."""
        for repository in REPOSITORIES:
            found = ask(host, "GET", f"/v2/{repository}/tags/list").expect(200)
            assert sorted(json.loads(found.body)["tags"]) == sorted(
                tag for name, tag in self.tags if name == repository
            )
        for (repository, tag), digest in self.tags.items():
            assert digest_of(manifest(host, repository, tag)) == digest
        for repository, digests in self.holds.items():
            for digest in digests:
                document = json.loads(manifest(host, repository, digest))
                for blob in (document["config"], *document["layers"]):
                    body = ask(host, "GET", f"/v2/{repository}/blobs/{blob['digest']}").expect(200).body
                    assert body == self.bytes[blob["digest"]]

    def _push(self, host: str, repository: str, tag: str | None) -> None:
        blobs = [self._blob(host, repository) for _ in range(2)]
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": blobs[0], "layers": blobs[1:]}
        body = json.dumps(document).encode()
        self._put(host, repository, tag or digest_of(body), body)
        self.holds[repository].add(digest_of(body))
        if tag:
            self.tags[repository, tag] = digest_of(body)

    def _move(self, host: str, repository: str, tag: str, digest: str) -> None:
        self._put(host, repository, tag, manifest(host, repository, digest))
        self.tags[repository, tag] = digest

    def _put(self, host: str, repository: str, reference: str, body: bytes) -> None:
        ask(host, "PUT", f"/v2/{repository}/manifests/{reference}", body, MANIFEST).expect(201)

    def _blob(self, host: str, repository: str) -> dict[str, object]:
        data = self._random.randbytes(300)
        self.bytes[digest_of(data)] = data
        location = ask(host, "POST", f"/v2/{repository}/blobs/uploads/").expect(202).headers["Location"]
        path = location.partition(host)[2] or location
        joint = "&" if "?" in path else "?"
        ask(host, "PUT", f"{path}{joint}digest={digest_of(data)}", data).expect(201)
        return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest_of(data), "size": len(data)}


def manifest(host: str, repository: str, reference: str) -> bytes:
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request("GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": MANIFEST})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise Gone(f"{repository} {reference}: {response.status} {body[:300]!r}")
    return body


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Every file of the layout with size and time; records are no part of it."""
    layout = root / "docker"
    files = (path for path in layout.rglob("*") if path.is_file() and ".records" not in path.parts)
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def rebuilt(root: Path, *options: str) -> dict[str, Any]:
    """What the command prints."""
    command = Path(sys.executable).parent / "image-registry"
    found: dict[str, Any] = json.loads(
        run(command, "metadata", "rebuild", "--root", root, "--apply", "-o", "json", *options)
    )
    return found


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_tree_goes_to_this_registry_and_back_and_back_again(name: str, tmp_path: Path) -> None:
    writer, root = Writer(7), tmp_path / "registry"
    with distribution(name, tmp_path, root) as theirs:
        writer.write(theirs, 25)
    before = snapshot(root)
    for served in serve(tmp_path, "--auth", "none"):
        writer.check(served.host)
        assert snapshot(root) == before, "files were changed before the first write"
        writer.write(served.host, 40)
        writer.check(served.host)
    with distribution(name, tmp_path, root) as theirs:
        writer.check(theirs)
        writer.write(theirs, 25)
    assert rebuilt(root)["complete"]
    for served in serve(tmp_path, "--auth", "none"):
        writer.check(served.host)
        (repository, tag), digest = next(iter(writer.tags.items()))
        ask(served.host, "DELETE", f"/v2/{repository}/manifests/{tag}").expect(202)
        del writer.tags[repository, tag]
        writer.check(served.host)
        assert digest_of(manifest(served.host, repository, digest)) == digest
    with distribution(name, tmp_path, root) as theirs:
        writer.check(theirs)


def test_the_first_pull_does_not_wait_for_the_index(tmp_path: Path) -> None:
    """Thousands of images: the last of them is pulled, pushed to and listed before the index can have reached it."""
    tree = Tree(tmp_path / "registry")
    made = list(tree.fill(2000, layers=3))
    repository, tag, digest = max(made)
    for served in serve(tmp_path, "--auth", "none"):
        began = time.monotonic()
        assert digest_of(manifest(served.host, repository, tag)) == digest
        assert time.monotonic() - began < 1
        ask(
            served.host, "PUT", f"/v2/{repository}/manifests/new", manifest(served.host, repository, tag), DOCKER
        ).expect(201)
        listed = json.loads(ask(served.host, "GET", f"/v2/{repository}/tags/list").expect(200).body)["tags"]
        assert set(listed) == {"new", *(entry[1] for entry in made if entry[0] == repository)}
        assert time.monotonic() - began < 5
        deadline = time.monotonic() + 60
        wanted = len({entry[0] for entry in made})
        while len(catalog(served.host)) < wanted:
            assert time.monotonic() < deadline, "the index was not complete within a minute"
            time.sleep(0.2)
    found = rebuilt(tmp_path / "registry")
    assert (found["manifests"], found["images"], found["findings"]) == (2000, 0, 0)


def catalog(host: str) -> list[str]:
    found: list[str] = json.loads(ask(host, "GET", "/v2/_catalog").expect(200).body)["repositories"]
    return found


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_referrers_that_were_pushed_without_the_referrers_api_are_found(name: str, tmp_path: Path) -> None:
    """Clients note them under a fallback tag then; afterwards the API answers with them."""
    regctl, crane = program("regctl", "run `lab/lab build regctl`"), program("crane", "run `lab/lab build crane`")
    home = {"HOME": str(tmp_path), "REGCTL_CONFIG": str(tmp_path / "regctl.json")}
    with distribution(name, tmp_path, tmp_path / "registry") as theirs:
        tree = Tree(tmp_path / "registry")
        subject = tree.image("team/app", "v1", "signed", 1)
        run(regctl, "registry", "set", "--tls", "disabled", theirs, env=home)
        put = ("artifact", "put", "--artifact-type", "application/x.signature", "--subject", f"{theirs}/team/app:v1")
        run(regctl, *put, env=home, stdin="a signature")
        fallback = run(crane, "ls", "--insecure", f"{theirs}/team/app").split()
        assert subject.replace(":", "-") in fallback
    for served in serve(tmp_path, "--auth", "none"):
        answer = ask(served.host, "GET", f"/v2/team/app/referrers/{subject}").expect(200)
        assert [entry["artifactType"] for entry in json.loads(answer.body)["manifests"]] == ["application/x.signature"]


def test_names_of_another_depth_are_reported_and_left_alone(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "registry")
    for repository in ("single", "a/b/c", "team/app"):
        tree.image(repository, "v1", repository, 1)
    found = rebuilt(tmp_path / "registry", "--dry-run")
    assert (found["repositories"], found["findings"]) == (1, 2)
    assert {entry["subject"] for entry in found["found"]} == {"single", "a/b/c"}
    assert not (tmp_path / "registry/metadata.db").exists()
    assert rebuilt(tmp_path / "registry") == {**found, "applied": True, "images": 1, "tags_changed": 1, "seconds": ANY}


def test_a_registry_records_what_only_its_database_knows_and_learns_it_from_there(tmp_path: Path) -> None:
    root, writer = tmp_path / "registry", Writer(3)
    store = FilesystemStore(root)
    for served in serve(tmp_path, "--auth", "none"):
        writer.write(served.host, 12)
        deadline = time.monotonic() + 60
        while len(list(store.record_names("streams"))) < sum(map(bool, writer.holds.values())):
            assert time.monotonic() < deadline, "nothing was recorded"
            time.sleep(0.5)
        time.sleep(1)  # a portion is whole
    for file in root.glob("metadata.db*"):
        file.unlink()
    found = rebuilt(root)
    assert (found["complete"], found["findings"]) == (True, 0)
    assert found["remembered"] == sum(map(bool, writer.holds.values()))
    for served in serve(tmp_path, "--auth", "none"):
        writer.check(served.host)
