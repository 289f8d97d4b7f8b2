"""Every kind of thing that names an image, in one namespace of the lab: started, ended and started again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.clients.curl import Curl, bearer
from tests.clients.layout import CONFIG, INDEX, LAYER, MANIFEST
from tests.clients.programs import Crane, Refused
from tests.cluster.kubernetes import NAMESPACE, ROOT, SERVICE, Team

SIZE = 256 << 10
"""Bytes of the layer that each image has for itself."""

BLOBS = "/registry/docker/registry/v2/blobs/sha256"
PULL = "pull"
KIND = "things.lab.example"
SERVE = ["/bin/busybox", "httpd", "-f", "-p", "8080"]


@dataclass(frozen=True, slots=True)
class Image:
    """``layer`` is its own, not of its base."""

    repository: str
    digest: str
    layer: str
    manifest: dict[str, Any] = field(repr=False)
    length: int = 0

    @property
    def named(self) -> str:
        return f"{self.repository}@{self.digest}"


@dataclass
class Images:
    """Pushed by the team's builder, on one base whose layers all of them share."""

    crane: Crane
    team: Team
    base: str
    folder: Path

    def push(self, name: str, tag: str = "1") -> Image:
        """One more image with a layer of its own."""
        repository = f"{self.team.namespace}/{name}"
        target = self.crane.at(f"{repository}:{tag}")
        content, archive = self.folder / "content", self.folder / "layer.tar"
        content.write_bytes(os.urandom(SIZE))
        with tarfile.open(archive, "w") as tar:
            tar.add(content, "content")
        self.crane.run("append", "--base", self.crane.at(self.base), "--new_layer", str(archive), "--new_tag", target)
        raw = self.crane.run("manifest", target).encode()
        manifest = json.loads(raw)
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        return Image(repository, digest, manifest["layers"][-1]["digest"], manifest, len(raw))

    def push_index(self, name: str, children: dict[str, Image]) -> Image:
        """An index of images that lie in the same repository, by architecture."""
        entries = [
            {"mediaType": child.manifest["mediaType"], "digest": child.digest, "size": child.length,
             "platform": {"os": "linux", "architecture": architecture}}
            for architecture, child in children.items()
        ]  # fmt: skip
        return self._put(name, "1", {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})

    def sign(self, image: Image, name: str) -> tuple[Image, Image]:
        """A signature under a tag of its own, and one by OCI's ``subject``."""
        tagged = self.push(name, f"sha256-{image.digest[7:]}.sig")
        about = {"mediaType": image.manifest["mediaType"], "digest": image.digest, "size": image.length}
        layers = [{**layer, "mediaType": LAYER} for layer in tagged.manifest["layers"]]
        config = {**tagged.manifest["config"], "mediaType": CONFIG}
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, "subject": about}
        return tagged, self._put(name, "", document)

    def _put(self, name: str, tag: str, document: dict[str, Any]) -> Image:
        repository, file = f"{self.team.namespace}/{name}", self.folder / "manifest"
        file.write_text(json.dumps(document), encoding="ascii")
        digest = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
        curl = Curl(self.crane.registry)
        authorization = bearer(curl.token(f"repository:{repository}:pull,push"))
        kind = ("-X", "PUT", "-H", f"Content-Type: {document['mediaType']}")
        answer = curl(f"/v2/{repository}/manifests/{tag or digest}", *kind, config=authorization, body=file)
        assert answer.status == 201, answer.body
        return Image(repository, digest, "", document, file.stat().st_size)


@dataclass
class Pushing:
    """Somebody who pushes images that share their layers with all the others, for as long as this is used."""

    images: Images
    pushed: list[Image] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._push, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(60)

    def _push(self) -> None:
        while not self._stop.is_set():
            try:
                self.pushed.append(self.images.push(f"busy{len(self.pushed) % 3}", f"t{len(self.pushed)}"))
            except Refused as error:
                self.failed.append(str(error))
            time.sleep(0.3)


class Workloads:
    """Things that name images; whoever ends them all and starts them again has pulled every image anew."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self._pods: dict[str, str] = {}
        self._deployments: list[str] = []
        team.pull_secret(PULL, "builder")

    def pod(self, name: str, image: str) -> None:
        self._pods[name] = image
        self._apply("v1", "Pod", name, self._pod(image, SERVE, "Always"))

    def deployment(self, name: str, image: str) -> None:
        self._deployments.append(name)
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": self._pod(image, SERVE, "Always")}
        self._apply("apps/v1", "Deployment", name, {"selector": {"matchLabels": labels}, "template": template})

    def job(self, name: str, image: str) -> None:
        """One that waits to be started."""
        template = {"spec": self._pod(image, ["/bin/busybox", "true"], "Never")}
        self._apply("batch/v1", "Job", name, {"suspend": True, "template": template})

    def cron_job(self, name: str, image: str) -> None:
        template = {"spec": {"template": {"spec": self._pod(image, ["/bin/busybox", "true"], "Never")}}}
        self._apply("batch/v1", "CronJob", name, {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": template})

    def thing(self, name: str, image: str) -> None:
        """An object of a kind that this cluster had not before, which names an image in a field of its own."""
        group = KIND.partition(".")[2]
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"plural": "things", "singular": "thing", "kind": "Thing"}
        definition = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
        kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
        self.team.kubectl.apply({**kind, "metadata": {"name": KIND}, "spec": definition})
        self.team.kubectl("wait", f"crd/{KIND}", "--for=condition=Established", "--timeout=30s")
        self._apply(f"{group}/v1", "Thing", name, {"server": {"image": f"{SERVICE}/{image}"}})

    def ready(self) -> None:
        """Until all that runs all the time does."""
        for name in self._deployments:
            self._kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")
        for name in self._pods:
            self._kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=120s")

    def end(self) -> None:
        """Everything that runs ends; what names images stays, but for Pods, which are the only ones to name theirs."""
        self._kubectl("scale", "deployment", *self._deployments, "--replicas=0")
        self._kubectl("delete", "pods", "--all", "--wait=true", "--timeout=60s")

    def start_again(self) -> None:
        """And everything that may run runs, the Job and the CronJob too."""
        self._kubectl("scale", "deployment", *self._deployments, "--replicas=1")
        for name, image in self._pods.items():
            self._apply("v1", "Pod", name, self._pod(image, SERVE, "Always"))
        self._kubectl("patch", "job", "once", "--type=merge", "-p", '{"spec": {"suspend": false}}')
        self._kubectl("create", "job", "now", "--from=cronjob/nightly")
        self.ready()
        for name in ("once", "now"):
            self._kubectl("wait", f"job/{name}", "--for=condition=Complete", "--timeout=120s")

    def pulled(self) -> int:
        """How often a node has said that it pulled an image."""
        events = self._kubectl("get", "events", "--field-selector=reason=Pulled", "-o", "json")
        return sum(
            int(item.get("count") or 1)
            for item in json.loads(events)["items"]
            if item["message"].startswith("Successfully pulled")
        )

    def _apply(self, version: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        metadata = {"name": name, "namespace": self.team.namespace}
        self.team.kubectl.apply({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})

    def _pod(self, image: str, command: list[str], restart: str) -> dict[str, Any]:
        container: dict[str, Any] = {"name": "main", "image": f"{SERVICE}/{image}", "command": command}
        if command is SERVE:
            container["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
        secrets = [{"name": PULL}]
        return {"terminationGracePeriodSeconds": 1, "restartPolicy": restart, "imagePullSecrets": secrets,
                "containers": [container]}  # fmt: skip

    def _kubectl(self, *arguments: str) -> str:
        return self.team.kubectl("-n", self.team.namespace, *arguments)


def in_volume(team: Team, *digests: str) -> tuple[set[str], int]:
    """Which of these blobs lie in the registry's volume, and the bytes of all that do."""
    script = (
        "import json, os, sys\n"
        f"root = {BLOBS!r}\n"
        "there = [d for d in sys.argv[1:] if os.path.exists(f'{root}/{d[7:9]}/{d[7:]}/data')]\n"
        "size = sum(os.path.getsize(os.path.join(at, n)) for at, _, names in os.walk(root) for n in names)\n"
        "print(json.dumps([there, size]))"
    )
    command = ["exec", "deployment/image-registry", "-c", "registry", "--", "python3", "-c", script, *digests]
    there, size = json.loads(team.kubectl("-n", NAMESPACE, *command))
    return set(there), size


def clean_node(namespace: str) -> int:
    """Take every image of a namespace of the registry out of the node; returns how many there were.

    Their bytes go with their last name, and one of those is the digest of the configuration.
    """
    rows = [line.split() for line in _ctr("ls").splitlines()[1:]]
    ours = {row[2] for row in rows if row[0].startswith(f"{SERVICE}/{namespace}/")}
    _ctr("rm", "--sync", *(row[0] for row in rows if row[2] in ours))
    return len(ours)


def _ctr(*arguments: str) -> str:
    command = [str(ROOT / "lab/lab"), "shell", "n1", "ctr", "--namespace", "k8s.io", "images", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ac(kubeconfig: Path, home: Path, *arguments: str) -> str:
    """A command of an administrator; fails with what it said."""
    command = [str(Path(sys.executable).parent / "ac"), *arguments]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(kubeconfig)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
