"""The chart, rendered by the real Helm: once per set of values for the whole test run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_registry_lab.places import Places, cache

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "image-registry"
NAMESPACE = "image-registry-system"
MODES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))

Manifest = dict[str, Any]


class HelmRefused(Exception):
    """Helm ended with an error; the text is what a person would read."""


@dataclass(frozen=True, slots=True)
class Helm:
    """The Helm binary, away from any cluster and from the caller's settings."""

    binary: str
    home: Path

    def run(self, *arguments: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "KUBECONFIG": str(self.home / "no-cluster"),
        }
        done = subprocess.run([self.binary, *arguments], capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise HelmRefused(done.stderr + done.stdout)
        return done.stdout

    def template(self, *files: Path, chart: Path = CHART, namespace: str = NAMESPACE, version: str = "1.37") -> str:
        values = [argument for file in files for argument in ("--values", str(file))]
        return self.run(
            "template", "image-registry", str(chart), "--namespace", namespace, "--kube-version", version, *values
        )


def _binary() -> str | None:
    candidates = [os.environ.get("HELM"), Places(cache()).program("helm"), shutil.which("helm")]
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    binary = _binary()
    if binary is None:
        pytest.fail("no helm: run `lab/lab build`, put helm on PATH, or set HELM to the binary", pytrace=False)
    return Helm(binary, tmp_path_factory.mktemp("helm"))


@dataclass(frozen=True, slots=True)
class Release:
    """All objects of one render."""

    manifests: tuple[Manifest, ...]

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self.manifests)

    def named(self, kind: str, name: str) -> Manifest:
        found = [m for m in self.manifests if m["kind"] == kind and m["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} objects {kind}/{name}"
        return found[0]

    def names(self, kind: str) -> set[str]:
        return {m["metadata"]["name"] for m in self.manifests if m["kind"] == kind}

    def pods(self) -> dict[str, Manifest]:
        """Every Pod specification with its metadata, by ``kind/name`` of its owner."""
        found = {}
        for manifest in self.manifests:
            match manifest["kind"]:
                case "Pod":
                    template = manifest
                case "Deployment" | "StatefulSet" | "DaemonSet" | "Job":
                    template = manifest["spec"]["template"]
                case "CronJob":
                    template = manifest["spec"]["jobTemplate"]["spec"]["template"]
                case _:
                    continue
            found[f"{manifest['kind']}/{manifest['metadata']['name']}"] = template
        return found

    def image_references(self) -> set[str]:
        return {
            container["image"]
            for pod in self.pods().values()
            for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
        }


Render = Callable[..., Release]


@pytest.fixture(scope="session")
def render(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """``render("mode")`` for a file of ``ci/``, or ``render(values={…})``; equal input is rendered once."""
    known: dict[str, Release] = {}
    folder = tmp_path_factory.mktemp("values")

    def rendered(
        mode: str = "default", *, values: Mapping[str, Any] | None = None, namespace: str = NAMESPACE
    ) -> Release:
        key = json.dumps([mode, values, namespace], sort_keys=True)
        if key not in known:
            files = [CHART / "ci" / f"{mode}-values.yaml"]
            if values is not None:
                extra = folder / f"{len(known)}.yaml"
                extra.write_text(yaml.safe_dump(dict(values)))
                files.append(extra)
            text = helm.template(*files, namespace=namespace)
            known[key] = Release(tuple(m for m in yaml.safe_load_all(text) if m is not None))
        return known[key]

    return rendered


@pytest.fixture(scope="session", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def refusal(render: Render) -> Callable[..., str]:
    """What Helm says about values that it must refuse."""

    def refused(*, mode: str = "default", namespace: str = NAMESPACE, **values: Any) -> str:
        with pytest.raises(HelmRefused) as caught:
            render(mode, values=values, namespace=namespace)
        return str(caught.value)

    return refused


@pytest.fixture(scope="session")
def chart() -> Path:
    return CHART


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """What was released and may never change: a difference here is a migration, not an edit."""
    read: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "golden.yaml").read_text())
    return read
