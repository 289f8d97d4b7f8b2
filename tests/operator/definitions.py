"""Definitions of other projects' objects, read from their own releases: Go modules of one version and one digest.

Nothing of them is part of this repository: the Go command keeps what it has fetched, so a second run needs no network.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_registry.kube.client import ClusterClient
from image_registry.kube.errors import KubeError

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PATIENCE = 30.0
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Module:
    """``digest`` is that of ``go.sum``: another content is refused, whoever serves it."""

    path: str
    version: str
    digest: str

    def folder(self, home: Path) -> Path:
        """Where its files lie; fetched once. ``home`` is an empty folder, which no other module claims."""
        command = ["go", "mod", "download", "-json", f"{self.path}@{self.version}"]
        own = {"GOFLAGS": "", "GOSUMDB": "off", "GOTOOLCHAIN": "local"}
        run = subprocess.run(
            command, cwd=home, env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=120
        )
        found = json.loads(run.stdout) if run.stdout else {}
        if run.returncode or found.get("Error"):
            said = found.get("Error") or run.stderr.strip()
            pytest.fail(f"cannot fetch {self.path}: {said}; is the Go proxy reachable?", pytrace=False)
        assert found["Sum"] == self.digest, f"{self.path}@{self.version} has another content than it had"
        return Path(found["Dir"])


GATEWAY_API = Module("sigs.k8s.io/gateway-api", "v1.4.0", "h1:ZwlNM6zOHq0h3WUX2gfByPs2yAEsy/EenYJB78jpQfQ=")
CERT_MANAGER = Module(
    "github.com/cert-manager/cert-manager", "v1.21.2", "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68="
)
OPERATOR_FRAMEWORK = Module(
    "github.com/operator-framework/api", "v0.37.0", "h1:2XCMWitBnumtJTqzip6LQKUwpM2pXVlt3gkpdlkbaCE="
)


def definition(file: Path) -> Object:
    """The one of a file."""
    (found,) = (item for item in yaml.load_all(file.read_text(encoding="utf-8"), yaml.CSafeLoader) if item)
    assert found["kind"] == "CustomResourceDefinition", file
    return dict(found)


@contextmanager
def defined(client: ClusterClient, definitions: Iterable[Object]) -> Iterator[None]:
    """While the API server serves them; objects of these kinds go with them."""
    made: list[str] = []
    try:
        for body in definitions:
            client.create(DEFINITIONS, body)
            made.append(str(body["metadata"]["name"]))
            wait_for(client, body)
        yield
    finally:
        for name in made:
            client.delete(f"{DEFINITIONS}/{name}")
        deadline = time.monotonic() + PATIENCE
        while any(client.find(f"{DEFINITIONS}/{name}") is not None for name in made):
            assert time.monotonic() < deadline, "a definition does not go"
            time.sleep(0.1)


def wait_for(client: ClusterClient, body: Object) -> None:
    """Until every version of it that is to be served is."""
    deadline = time.monotonic() + PATIENCE
    for version in (item["name"] for item in body["spec"]["versions"] if item["served"]):
        while True:
            try:
                client.get(f"/apis/{body['spec']['group']}/{version}/{body['spec']['names']['plural']}")
                break
            except KubeError:
                if time.monotonic() > deadline:
                    found = client.get(f"{DEFINITIONS}/{body['metadata']['name']}")
                    pytest.fail(f"{body['metadata']['name']} is not served: {found.get('status')}")
                time.sleep(0.1)
