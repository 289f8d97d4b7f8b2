"""A kubelet for one Job, where there are no nodes: a named fake that really runs the Job's command on folders.

What the Pod would mount is a folder here; what the command leaves as its last word is what the Pod has said.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.relocating.cluster_job import MOUNTED, NAME

BUCKET = f"{MOUNTED}/storage.env"
"""Where the Job is told of a bucket: a folder stands for it."""

PROGRAM = str(Path(sys.executable).parent / "image-registry")


class ActingCopier:
    """``folders`` by the paths at which the Pod has them mounted."""

    def __init__(self, client: ClusterClient, namespace: str, folder: Path, folders: Mapping[str, Path]) -> None:
        self._client, self._namespace = client, namespace
        self._folder, self._folders = folder, folders
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acting copier", daemon=True)
        self.commands: list[list[str]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        path = object_path("batch/v1", "jobs", NAME, namespace=self._namespace)
        while not self._over.wait(0.1):
            try:
                job = self._client.find(path)
                if job is not None and not (job.get("status") or {}).get("conditions"):
                    self._do(path, job)
                elif job is not None and job["metadata"].get("deletionTimestamp"):
                    self._client.merge(path, {"metadata": {"finalizers": None}})  # as the garbage collector does
            except (KubeError, ClusterUnreachable):
                continue

    def _do(self, path: str, job: dict[str, Any]) -> None:
        container = job["spec"]["template"]["spec"]["containers"][0]
        said = self._folder / "last-word"
        arguments = [self._here(argument, said) for argument in container["args"]]
        told = {entry["name"]: self._here(entry["value"], said) for entry in container["env"]}
        if told["REGISTRY_STORAGE"] != "filesystem":
            told = {"REGISTRY_STORAGE": "filesystem"}
            told["REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"] = str(self._folders[BUCKET])
        clean = {key: value for key, value in os.environ.items() if not key.startswith("REGISTRY_")}
        done = subprocess.run(
            [PROGRAM, *arguments], env={**clean, **told}, capture_output=True, timeout=60, check=False
        )
        self.commands.append(container["args"])
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._pod(job, done.returncode, said.read_text() if said.exists() else done.stderr.decode(), now)
        said.unlink(missing_ok=True)
        words = ("FailureTarget", "Failed") if done.returncode else ("SuccessCriteriaMet", "Complete")
        conditions = [
            {"type": word, "status": "True", "reason": "PodFailurePolicy", "message": "", "lastTransitionTime": now}
            for word in words
        ]
        ended = {"failed": 1} if done.returncode else {"succeeded": 1, "completionTime": now}
        self._client.merge(f"{path}/status", {"status": {"startTime": now, "conditions": conditions, **ended}})

    def _pod(self, job: dict[str, Any], code: int, message: str, now: str) -> None:
        pods = object_path("v1", "pods", namespace=self._namespace)
        for pod in self._client.get(pods)["items"]:
            if pod["metadata"]["name"].startswith(NAME):
                self._client.delete(f"{pods}/{pod['metadata']['name']}?gracePeriodSeconds=0")
        name = f"{NAME}-{job['metadata']['uid'][:5]}"
        labels = {"batch.kubernetes.io/job-name": NAME}
        container = {"name": "copy", "image": "registry:test"}
        body = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [container]}}
        self._client.create(pods, body)
        ended = {"exitCode": code, "message": message, "startedAt": now, "finishedAt": now}
        statuses = [{**container, "imageID": "", "ready": False, "restartCount": 0, "state": {"terminated": ended}}]
        status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": statuses}
        self._client.merge(f"{pods}/{name}/status", {"status": status})

    def _here(self, text: str, said: Path) -> str:
        for mounted, folder in {**self._folders, "/dev/termination-log": said}.items():
            text = text.replace(mounted, str(folder))
        return text
