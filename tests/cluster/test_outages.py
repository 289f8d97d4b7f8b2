"""What people notice while something of the registry restarts or is away: pulls of what is there, nothing."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from tests.clients.curl import Curl, Reply, bearer
from tests.clients.layout import image
from tests.clients.programs import Crane
from tests.cluster.kubernetes import CHART, NAMESPACE, RELEASE, Helm, Kubectl, Team

pytestmark = pytest.mark.lab

REGISTRY = "app.kubernetes.io/name=image-registry"
DATABASE = "app.kubernetes.io/name=image-registry-db"
PIECE = 300_000


@dataclass
class Pulling:
    """Pulls one image again and again, each time on a new connection, and counts what did not work."""

    curl: Curl
    repository: str
    digest: str
    token: str
    pulled: int = 0
    failed: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def await_more(self, count: int, seconds: float = 60) -> None:
        wanted, deadline = self.pulled + count, time.monotonic() + seconds
        while self.pulled < wanted:
            assert time.monotonic() < deadline, f"{self.pulled} pulls; failed: {self.failed[-3:]}"
            time.sleep(0.02)

    def _run(self) -> None:
        trust = ssl.create_default_context(cafile=str(self.curl.registry.ca))
        while not self._stop.is_set():
            try:
                document = self._get(trust, f"manifests/{self.digest}")
                for layer in json.loads(document)["layers"]:
                    data = self._get(trust, f"blobs/{layer['digest']}")
                    if f"sha256:{hashlib.sha256(data).hexdigest()}" != layer["digest"]:
                        self.failed.append(f"{layer['digest']} has other bytes")
                self.pulled += 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failed.append(f"{time.strftime('%H:%M:%S')} {error!r}")
            time.sleep(0.02)

    def _get(self, trust: ssl.SSLContext, path: str) -> bytes:
        connection = http.client.HTTPSConnection(self.curl.registry.address, timeout=30, context=trust)
        try:
            connection.request(
                "GET", f"/v2/{self.repository}/{path}", headers={"Authorization": f"Bearer {self.token}"}
            )
            answer = connection.getresponse()
            data = answer.read()
            if answer.status != 200:
                raise ValueError(f"{answer.status} {data[:200]!r}")
            return data
        finally:
            connection.close()


@contextmanager
def scaled(kubectl: Kubectl, kind: str, name: str, replicas: int) -> Iterator[None]:
    """So many Pods for a while; the number before afterwards, ready."""
    before = kubectl.json("-n", NAMESPACE, "get", kind, name)["spec"]["replicas"]
    kubectl("-n", NAMESPACE, "scale", kind, name, f"--replicas={replicas}")
    try:
        yield
    finally:
        kubectl("-n", NAMESPACE, "scale", kind, name, f"--replicas={before}")
        kubectl("-n", NAMESPACE, "rollout", "status", f"{kind}/{name}", "--timeout=180s")


@contextmanager
def two_replicas(kubectl: Kubectl) -> Iterator[None]:
    """The data plane as the chart makes it for a claim that several nodes can mount; here it is one node.

    The claim of the lab cannot be changed into such a one, and does not have to: both Pods run where it is.
    """
    helm = Helm(kubectl.kubeconfig)
    wide = ("--set", "config.replicas=2,config.storage.pvc.accessMode=ReadWriteMany")
    version = kubectl.json("version")["serverVersion"]["gitVersion"]
    only = ("--show-only", "templates/registry/deployment.yaml", "--kube-version", version)
    before = kubectl.names("pods", "-n", NAMESPACE, "-l", REGISTRY)
    values = helm.values()
    kubectl("apply", "-f", "-", stdin=helm("template", RELEASE, CHART, "-f", "-", *wide, *only, stdin=values))
    try:
        kubectl("-n", NAMESPACE, "rollout", "status", "deployment/image-registry", "--timeout=180s")
        # the one Pod that was installed does not wait for its last callers when it leaves
        kubectl("-n", NAMESPACE, "wait", "pods", *before, "--for=delete", "--timeout=60s")
        yield
    finally:
        helm.upgrade("--reuse-values", "--wait")
        kubectl("-n", NAMESPACE, "rollout", "status", "deployment/image-registry", "--timeout=180s")


def pushed(crane: Crane, team: Team, folder: Path) -> tuple[str, str]:
    """A repository with an image of two layers, and its digest."""
    repository = f"{team.namespace}/app"
    return repository, crane.push(image(folder / "image", layers=2, size=500_000), f"{repository}:v1")


def send(curl: Curl, location: str, authorization: str, data: bytes, end: int, folder: Path) -> str:
    """Bring an upload to ``end`` bytes of ``data`` as a patient client does; where the next ones go."""
    body = folder / "piece"
    octets = ("-X", "PATCH", "-H", "Content-Type: application/octet-stream")
    deadline, said = time.monotonic() + 60, ""
    while True:
        try:  # curl: the connection was cut, or refused
            found = curl(location, config=authorization)
            if found.status == 204:
                location = found.headers["location"]
                first, _, last = found.headers.get("range", "0-0").partition("-")
                stands = int(last) + 1 if last not in ("0", first) or int(last) else 0
                if stands == end:
                    return location
                body.write_bytes(data[stands:end])
                found = curl(location, *octets, config=authorization, body=body)
            said = f"{found.status} {found.body!r}"
        except AssertionError as error:
            said = str(error)
        assert time.monotonic() < deadline, f"the upload could not be continued: {said}"
        time.sleep(0.1)


def settled(curl: Curl, scope: str) -> str:
    """A token, as soon as nobody is led to a Pod from before the change of the Deployment: not the matter here."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return curl.token(scope)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_a_rolling_restart_of_two_replicas_fails_no_pull_and_ends_no_upload(
    crane: Crane, curl: Curl, team: Team, kubectl: Kubectl, tmp_path: Path
) -> None:
    repository, digest = pushed(crane, team, tmp_path)
    with two_replicas(kubectl):
        token = settled(curl, f"repository:{repository}:pull,push")
        authorization, data = bearer(token), os.urandom(10 * PIECE)
        begun = curl(f"/v2/{repository}/blobs/uploads/", "-X", "POST", "-d", "", config=authorization)
        location = send(curl, begun.headers["location"], authorization, data, PIECE, tmp_path)
        before = kubectl.names("pods", "-n", NAMESPACE, "-l", REGISTRY)
        with Pulling(curl, repository, digest, token) as pulling:
            pulling.await_more(5)
            kubectl("-n", NAMESPACE, "rollout", "restart", "deployment/image-registry")
            for number in range(1, 9):
                location = send(curl, location, authorization, data, (number + 1) * PIECE, tmp_path)
                time.sleep(1)
            kubectl("-n", NAMESPACE, "rollout", "status", "deployment/image-registry", "--timeout=180s")
            kubectl("-n", NAMESPACE, "wait", "pods", *before, "--for=delete", "--timeout=90s")
            pulling.await_more(5)
        location = send(curl, location, authorization, data, len(data), tmp_path)
        wanted = f"sha256:{hashlib.sha256(data).hexdigest()}"
        joint = "&" if "?" in location else "?"
        done = curl(f"{location}{joint}digest={wanted}", "-X", "PUT", "-d", "", config=authorization)
        assert done.status == 201, done.body
        assert curl(f"/v2/{repository}/blobs/{wanted}", config=authorization).body == data
        assert not pulling.failed, f"{len(pulling.failed)} of {pulling.pulled} pulls failed: {pulling.failed[:5]}"


def test_pulls_go_on_without_the_database_even_in_a_pod_that_starts_then(
    crane: Crane, curl: Curl, team: Team, kubectl: Kubectl, tmp_path: Path
) -> None:
    repository, digest = pushed(crane, team, tmp_path)
    token = curl.token(f"repository:{repository}:pull,push")
    with scaled(kubectl, "statefulset", "image-registry-db", 0):
        kubectl("-n", NAMESPACE, "wait", "pods", "-l", DATABASE, "--for=delete", "--timeout=120s")
        with Pulling(curl, repository, digest, token) as pulling:
            pulling.await_more(5)
        assert not pulling.failed, pulling.failed[:5]
        kubectl("-n", NAMESPACE, "delete", "pod", "-l", REGISTRY)
        kubectl("-n", NAMESPACE, "rollout", "status", "deployment/image-registry", "--timeout=180s")
        with Pulling(curl, repository, digest, token) as pulling:
            pulling.await_more(5)
        assert not pulling.failed, pulling.failed[:5]
        by_tag = curl(f"/v2/{repository}/manifests/v1", config=bearer(token))
        assert (by_tag.status, by_tag.headers["docker-content-digest"]) == (200, digest)
        refused = put_tag(curl, repository, by_tag.body, bearer(token), tmp_path)
        assert refused.status == 503, refused.body
        assert int(refused.headers["retry-after"]) > 0
        assert json.loads(refused.body)["errors"][0]["message"]
    deadline = time.monotonic() + 60
    while put_tag(curl, repository, by_tag.body, bearer(token), tmp_path).status != 201:
        assert time.monotonic() < deadline, "pushes do not work again although the database is back"
        time.sleep(1)


def put_tag(curl: Curl, repository: str, document: bytes, authorization: str, folder: Path) -> Reply:
    """Another tag for an image."""
    body = folder / "manifest"
    body.write_bytes(document)
    kind = f"Content-Type: {json.loads(document)['mediaType']}"
    return curl(f"/v2/{repository}/manifests/again", "-X", "PUT", "-H", kind, config=authorization, body=body)
