"""Starts and stops the whole: each step does nothing where its result is there, so any of them can be interrupted."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from image_registry_lab import (
    addons,
    addresses,
    archives,
    cgroups,
    control_plane,
    manifests,
    network,
    node_images,
    stores,
)
from image_registry_lab.api import Api
from image_registry_lab.images import Image, Images
from image_registry_lab.legacy.running import Legacy, in_lab
from image_registry_lab.machine import Machine
from image_registry_lab.node import Node
from image_registry_lab.node_init import FURTHER_IMAGES
from image_registry_lab.pki import Keys
from image_registry_lab.places import Places
from image_registry_lab.process import Processes
from image_registry_lab.programs import build, programs
from image_registry_lab.report import LabError, Report, last_lines

READY_SECONDS = 180.0


class Cluster:
    """The lab that lies in ``places``."""

    def __init__(self, places: Places, report: Report) -> None:
        self.places = places
        self.processes = Processes(places.run, places.logs)
        self.api = Api(places.keys)
        self._machine = Machine(places.run)
        self._say = report.say

    def build(self, names: Sequence[str] = ()) -> list[str]:
        """Compile programs; without names those of a cluster, and everything made from them. What was done."""
        wanted = list(names or (program.name for program in programs() if not program.on_demand))
        done = [name for place, name in enumerate(wanted, 1) if self._build(name, f"{place} of {len(wanted)}")]
        if not names:
            if manifests.ensure(self.places.manifests):
                done.append("manifests")
            images = archives.standard(self.places)
            done += [image.name for image in images if archives.ensure(image, self.places.images, self._say)]
        return done

    def _build(self, name: str, place: str) -> bool:
        for store in stores.STORES:
            if store.name == name:
                return stores.build(store, self.places.programs, self._say, place)
        return build({program.name: program for program in programs()}[name], self.places.programs, self._say, place)

    def up(self, nodes: Sequence[str]) -> None:
        """Control plane, n1, ``nodes`` and the nodes that ran when the lab was stopped; ready when this returns."""
        for name in nodes:
            addresses.number(name)  # before anything is written down
        wanted = sorted({network.FIRST_NODE, *nodes, *self._wanted()})
        network.refuse_another_lab(str(self.places.root))
        with self._alone():
            self.build()
            self._write_wanted(wanted)
            network.prepare_host(str(self.places.root))
            self._machine.remember_settings()
            self._machine.make_folders()
            keys = Keys(self.places.keys)
            keys.make_cluster()
            for name in wanted:
                keys.make_node(name)
            keys.write_admin(self.places.kubeconfig)
            members = [self.node(name) for name in wanted]
            for node in members:  # containerd and the image import run beside the start of the control plane
                if node.start():
                    self._say(f"started node {node.name} ({addresses.node_address(node.name)})")
            control_plane.start(self.places, self.processes, self.api, self._say)
            addons.apply(self.places, self.api, self._say)
            for node in members:
                self._await_node(node)

            def check() -> None:
                for node in members:
                    node.check()

            addons.await_ready(self.api, {node.name: node.started() for node in members}, check)
            for node in members:
                self._await_images(node)
        self._say(f"ready: {', '.join(wanted)}; kubeconfig {self.places.kubeconfig}")

    def down(self, *, purge: bool) -> None:
        """End everything and put the machine back; with ``purge`` the cluster's data goes too."""
        network.refuse_another_lab(str(self.places.root))
        with self._alone():
            # the API server first: it would wait for connections of a node that went without a word
            control_plane.stop(self.processes, self._say)
            for name in self._started_nodes():
                if self.node(name).cut_power():
                    self._say(f"stopped node {name}")
            cgroups.remove()
            network.remove_host()
            self._machine.restore_settings()
            self._machine.remove_folders()
            if purge:
                shutil.rmtree(self.places.state, ignore_errors=True)
                self.places.kubeconfig.unlink(missing_ok=True)
                self._say(f"removed {self.places.state}")

    def down_nodes(self, names: Sequence[str], *, purge: bool) -> None:
        """Cut nodes off as a power cut would; with ``purge`` they are forgotten, images and volumes included."""
        with self._alone():
            for name in names:
                node = self.node(name)
                self._say(f"node {name} {'lost power' if node.cut_power() else 'was not running'}")
                if purge:
                    self.api.delete(f"/api/v1/nodes/{name}")
                    shutil.rmtree(node.folder, ignore_errors=True)
            self._write_wanted([name for name in self._wanted() if name not in names])

    def load(self, files: Sequence[Path]) -> None:
        """Keep image archives for nodes to come, and import them into the nodes that run."""
        absent = [str(file) for file in files if not file.is_file()]
        if absent:
            raise LabError(f"no such image archive: {', '.join(absent)}")
        self.places.images.mkdir(parents=True, exist_ok=True)
        with self._alone():
            kept: list[Path] = []
            for file in files:
                target = self.places.images / file.name
                if file.resolve() != target.resolve():
                    temporary = target.with_name(f".{target.name}.new")
                    shutil.copy2(file, temporary)
                    temporary.replace(target)
                kept.append(target)
            for node in self.running_nodes():
                count = node_images.import_new(kept, node.socket(), node.marks(), self._say)
                self._say(f"node {node.name}: {count} imported, {len(kept) - count} were there")

    def make_images(self, *, operator: bool = False) -> list[Image]:
        """Build the registry's images and import them into the nodes that run; what was built anew."""
        with self._alone():
            images = Images(self.places, self._say)
            made = images.make_all() + (images.make_operator() if operator else [])
        self.load([self.places.images / image.archive for image in made])
        return made

    def legacy(self) -> Legacy:
        """The legacy registry of this lab."""
        return Legacy(self.places, self.running_nodes, self._say)

    def make_legacy(self, variant: str) -> None:
        """Build its image, load it, and let the registry of this variant run, filled and used."""
        image = "lab.local/legacy-registry"
        in_lab(variant, image)  # refused before anything is built
        if not self.status()["running"]:
            raise LabError("the cluster does not run: start it with `lab/lab up`")
        with self._alone():
            made = Images(self.places, self._say).make_legacy_registry()
        self.load([self.places.images / entry.archive for entry in made])
        named = self.places.images / "LEGACY_REGISTRY_IMAGE.name"
        self.legacy().make(variant, named.read_text(encoding="ascii").strip())

    def make_hello(self) -> Path:
        """The archive of the image that the demo pushes; needs no root and no cluster."""
        image, folder = archives.hello(), self.places.root / "demo"
        archives.ensure(image, folder, self._say)
        return folder / image.file_name

    def node(self, name: str) -> Node:
        """A node by name, running or not."""
        return Node(name, self.places, self.processes)

    def running_nodes(self) -> list[Node]:
        """Nodes whose init runs."""
        return [node for node in map(self.node, self.places.known_nodes()) if node.pid() is not None]

    def status(self) -> dict[str, Any]:
        """What runs, for people and programs."""
        serving = self.processes.pid("kube-apiserver") is not None and self.api.ready()
        ready = {item["metadata"]["name"]: _is_ready(item) for item in self._node_objects()} if serving else {}
        nodes = [
            {
                "name": name,
                "address": addresses.node_address(name),
                "running": self.node(name).pid() is not None,
                "ready": bool(ready.get(name)) and self.node(name).pid() is not None,
            }
            for name in self.places.known_nodes()
        ]
        return {
            "running": serving and any(node["ready"] for node in nodes),
            "controlPlane": {name: self.processes.pid(name) for name in control_plane.NAMES},
            "nodes": nodes,
            "kubeconfig": str(self.places.kubeconfig),
            "folder": str(self.places.root),
        }

    def _await_node(self, node: Node) -> None:
        """Believe only a heartbeat of this start: the Node's object still says Ready from before."""
        deadline = time.monotonic() + READY_SECONDS
        stage = ""
        while not heartbeat(self.api.get(f"/api/v1/nodes/{node.name}"), node.started()):
            node.check()
            if node.stage() != stage:
                stage = node.stage()
                self._say(f"node {node.name}: {stage}")
            if time.monotonic() > deadline:
                log = (
                    self.places.logs
                    / f"{node.name}-{'containerd' if stage in ('starting', 'containerd', 'images') else 'kubelet'}.log"
                )
                raise LabError(f"node {node.name} is not Ready after {READY_SECONDS:.0f} s; {last_lines(log)}")
            time.sleep(0.1)
        self._say(f"node {node.name} is Ready")

    def _await_images(self, node: Node) -> None:
        """A new node goes on to import while it is Ready already."""
        if node.stage() == FURTHER_IMAGES:
            self._say(f"node {node.name}: importing further images")
        while node.stage() == FURTHER_IMAGES:
            node.check()
            time.sleep(0.1)

    def _node_objects(self) -> list[dict[str, Any]]:
        return self.api.items("/api/v1/nodes")

    def _started_nodes(self) -> list[str]:
        recorded = {name.split("-")[1] for name in self.processes.names() if name.startswith("node-")}
        return sorted(recorded | set(self.places.known_nodes()))

    def _wanted(self) -> list[str]:
        try:
            content = json.loads((self.places.state / "nodes.json").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return []
        return [str(name) for name in content] if isinstance(content, list) else []

    def _write_wanted(self, names: Sequence[str]) -> None:
        self.places.state.mkdir(parents=True, exist_ok=True)
        (self.places.state / "nodes.json").write_text(json.dumps(list(names)), encoding="ascii")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One command changes the lab at a time; the next one waits."""
        self.places.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.places.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("waiting for another lab command to end")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def heartbeat(node: dict[str, Any] | None, since: str) -> bool:
    """Whether a Node said that it is Ready at ``since`` or later."""
    conditions = ((node or {}).get("status") or {}).get("conditions") or []
    return any(
        condition["type"] == "Ready"
        and condition["status"] == "True"
        and condition.get("lastHeartbeatTime", "") >= since
        for condition in conditions
    )


def _is_ready(node: dict[str, Any]) -> bool:
    return heartbeat(node, "")
