"""This registry's values where Helm keeps them: the release ``image-registry`` of its namespace.

The program gets no value on its command line. It holds a lock while it runs, so that whoever comes after a killed run
knows whether Helm is still at work; a revision that nobody finishes is taken away before the next one.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.release_marks import own
from image_registry.kube.release_record import RELEASE, read
from image_registry.migration.actions import StepFailed
from image_registry.migration.cluster_objects import ClusterObjects, Document
from image_registry.migration.facts import ObjectName
from image_registry.migration.spelling import Said, Spelling, command_line

_NOT_INSTALLED = ("pending-install", "uninstalled", "uninstalling")
_HEAD = """---
# Written by the migration: what the release image-registry has. Copy it into the inventory of this cluster (host_vars),
# so that install.yml and upgrade.yml keep it; what registry_config, registry_pruner and registry_image say goes first.
"""
_ENVIRONMENT = ("PATH", "HOME", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "TMPDIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class HelmSettings:
    """``chart`` is a folder, an archive, or an address; ``folder`` that of the journal."""

    client: ClusterClient
    namespace: str
    chart: str
    folder: Path
    kubeconfig: Path | None = None
    context: str | None = None
    program: str = "helm"
    chart_version: str = ""
    base: Mapping[str, Any] = field(default_factory=dict)
    """Values beside those of the plan, for the first installation: where images come from, for example. One that did
    not come up gets them anew, so that a wrong one is corrected by running again."""
    values_file: Path | None = None
    """Where variables of an inventory are written that say what the release has: whoever installs by Helm replaces all
    values, and by these the next run changes nothing."""
    timeout: int = 420
    spelling: Spelling = command_line

    @property
    def keeper(self) -> str:
        return "helm"

    def current(self) -> Mapping[str, Any] | None:
        """Read from Helm's record: who only looks, or has an operator, needs no program."""
        newest = self._newest()
        if newest is None or newest["metadata"]["labels"].get("status") in _NOT_INSTALLED:
            return None
        release = read(newest)
        if release is None:
            raise StepFailed(f"{newest['metadata']['name']} is no record of Helm: look at `helm history {RELEASE}`")
        return dict(release.values)

    def write(self, values: Mapping[str, Any], tell: Callable[[str], None]) -> None:
        with self._alone(tell):
            self._heal(tell)
            version = [f"--version={self.chart_version}"] if self.chart_version else []
            tell(f"  helm upgrade --install {RELEASE} (at most {self.timeout} s)")
            self._helm(
                "upgrade", "--install", RELEASE, self.chart, *version, "--values=-", "--reset-values", "--wait",
                "--history-max=10", f"--timeout={self.timeout}s", given=json.dumps(dict(values)).encode(),
            )  # fmt: skip
            self._note(values)

    def resting(self) -> Mapping[str, Any]:
        return {}

    def remove(self, tell: Callable[[str], None], resting: Mapping[str, Any]) -> None:  # noqa: ARG002
        with self._alone(tell):
            tell(f"  helm uninstall {RELEASE}")
            self._helm("uninstall", RELEASE, "--ignore-not-found", "--wait", f"--timeout={self.timeout}s")
            if self.values_file is not None:
                self.values_file.unlink(missing_ok=True)

    def unusable(self) -> str:
        version = [f"--version={self.chart_version}"] if self.chart_version else []
        try:
            self._helm("show", "chart", self.chart, *version)
        except StepFailed as error:
            return f"the chart {self.chart} cannot be installed: {error}"
        return ""

    def below(self) -> Mapping[str, Any]:
        statuses = {str(found["metadata"]["labels"].get("status", "")) for found in self._revisions()}
        return {} if statuses & {"deployed", "superseded"} else self.base

    def by_hand(self, values: Mapping[str, Any]) -> str:  # noqa: ARG002
        return ""

    def take_over(self, objects: Iterable[ObjectName]) -> None:
        found = ClusterObjects(self.client)
        for name in objects:
            if found.find(name) is not None:
                found.change(name, self._owned)

    def _note(self, values: Mapping[str, Any]) -> None:
        """Whole or as it was, and for its owner alone: nobody knows what somebody gives below the plan's values."""
        if self.values_file is None:
            return
        said = {"registry_install_method": "helm", "registry_chart_values": json.loads(json.dumps(dict(values)))}
        fresh = self.values_file.with_name(f"{self.values_file.name}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(_HEAD + yaml.safe_dump(said, allow_unicode=True, sort_keys=True))
        fresh.replace(self.values_file)

    def _owned(self, document: Document) -> Document:
        return own(document, RELEASE, self.namespace)

    def _revisions(self) -> list[Document]:
        path = object_path("v1", "secrets", namespace=self.namespace)
        listed: list[Document] = self.client.get(path, query={"labelSelector": f"owner=helm,name={RELEASE}"})["items"]
        return listed

    def _newest(self) -> Document | None:
        return max(self._revisions(), key=lambda item: int(item["metadata"]["labels"]["version"]), default=None)

    def _heal(self, tell: Callable[[str], None]) -> None:
        """Nobody runs Helm any more when this is called, so what is pending will never end."""
        newest = self._newest()
        if newest is not None and str(newest["metadata"]["labels"].get("status", "")).startswith("pending-"):
            name = newest["metadata"]["name"]
            tell(f"  {name} was left in its middle: it is taken away")
            self.client.delete(object_path("v1", "secrets", name, namespace=self.namespace))

    @contextmanager
    def _alone(self, tell: Callable[[str], None]) -> Iterator[None]:
        """The lock is Helm's too, which inherits it: it ends with the last of both."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "helm.lock", os.O_RDWR | os.O_CREAT, 0o600)
        os.set_inheritable(descriptor, True)  # noqa: FBT003
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                tell("  helm of an earlier run is still at work: waiting for its end")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _helm(self, *arguments: str, given: bytes = b"") -> str:
        command = [self.program, *arguments, f"--namespace={self.namespace}"]
        command += [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        command += [f"--kube-context={self.context}"] if self.context else []
        known = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        if self.kubeconfig is None and "KUBECONFIG" in os.environ:
            known["KUBECONFIG"] = os.environ["KUBECONFIG"]  # where the caller's own client looked, too
        known |= {name: os.environ[name] for name in os.environ if name.startswith("KUBERNETES_SERVICE_")}
        with tempfile.TemporaryFile() as values:
            values.write(given)
            values.seek(0)
            try:
                done = subprocess.run(  # noqa: S603 - a list, never a shell
                    command, stdin=values, capture_output=True, text=True, check=False, env=known,
                    timeout=self.timeout + 60, close_fds=False,
                )  # fmt: skip
            except FileNotFoundError:
                raise StepFailed(
                    f"there is no program {self.program}: install Helm, or name it ({self.spelling(Said.HELM)})"
                ) from None
            except subprocess.TimeoutExpired:
                raise StepFailed(f"helm {arguments[0]} did not end within {self.timeout + 60} s") from None
        if done.returncode:
            raise StepFailed(f"helm {arguments[0]}: {_said(done.stderr)}")
        return done.stdout


def _said(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    start = next((at for at, line in enumerate(lines) if line.startswith("Error:")), max(len(lines) - 3, 0))
    return " ".join(lines[start:]).removeprefix("Error: ")[:1500] or "it ended without a word"
