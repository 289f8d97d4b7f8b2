"""The inside of a node: what an init system does on a machine, below pid 1 of the node's own namespaces.

It covers the folders that Kubernetes writes to with the node's own, configures its end of the cable, and keeps
containerd, kubelet and kube-proxy running. Whoever started the node reads ``status.json`` in the node's folder.
"""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from image_registry_lab import addresses, archives, node_config, node_images
from image_registry_lab.places import Places
from image_registry_lab.process import clean_environment, run, wait
from image_registry_lab.report import LabError, Report, last_lines

COVERS = {
    "run": "/run",
    "kubelet": "/var/lib/kubelet",
    "containerd": "/var/lib/containerd",
    "cni-state": "/var/lib/cni",
    "cni-conf": "/etc/cni/net.d",
    "etc-containerd": "/etc/containerd",
    "certs.d": "/etc/containerd/certs.d",
    "docker-certs.d": "/etc/docker/certs.d",
    "pod-logs": "/var/log/pods",
    "container-logs": "/var/log/containers",
    "volumes": "/opt/local-path-provisioner",
}
"""Folders of a node and what they cover, outer ones first."""

START_SECONDS = 60.0
API_SECONDS = 180.0

FURTHER_IMAGES = "further images"
"""The stage in which a node is Ready and still takes images that nothing on it can want yet."""


class Status:
    """What the node is doing and how often its programs ended, for those outside."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stage = "starting"
        self._ended: dict[str, int] = {}
        self._lock = threading.Lock()
        self._write()

    def stage(self, stage: str) -> None:
        """The next step of the start."""
        with self._lock:
            self._stage = stage
            self._write()

    def ended(self, name: str) -> None:
        """Count a program that ended by itself."""
        with self._lock:
            self._ended[name] = self._ended.get(name, 0) + 1
            self._write()

    def _write(self) -> None:
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps({"stage": self._stage, "ended": self._ended}), encoding="ascii")
        temporary.replace(self._path)


def main(node: str, places: Places) -> int:
    """Run the node until it is ended from outside."""
    report = Report()
    status = Status(places.node(node) / "status.json")
    try:
        _prepare_files(node, places)
        _prepare_network(node)
        _start_containerd(node, places, status)
        status.stage("images")
        marks = Path("/var/lib/containerd/imported")
        needed = [image.file_name for image in archives.standard(places)]
        first, later = node_images.split(node_images.archives(places.images), marks, needed)
        node_images.import_new(first, node_config.CONTAINERD_SOCKET, marks, report.say)
        status.stage("API server")
        _await_api(places)
        status.stage("kubelet")
        for name, command in _kubernetes(node, places).items():
            _keep(name, command, node, places, status)
        status.stage(FURTHER_IMAGES)
        node_images.import_new(later, node_config.CONTAINERD_SOCKET, marks, report.say)
        status.stage("complete")
    except LabError as error:
        report.say(str(error))
        return 1
    report.say("started")
    threading.Event().wait()
    return 0


def _start_containerd(node: str, places: Places, status: Status) -> None:
    status.stage("containerd")
    configuration = "/etc/containerd/config.toml"
    _keep("containerd", ["containerd", "--config", configuration], node, places, status)
    if not wait(_containerd_answers, START_SECONDS, 0.1):
        raise LabError(f"containerd does not answer; {last_lines(_log(places, node, 'containerd'))}")


def _await_api(places: Places) -> None:
    if not wait(lambda: _api_answers(places), API_SECONDS, 0.1):
        raise LabError(f"the API server at {addresses.NODE_API} cannot be reached from the node")


def _kubernetes(node: str, places: Places) -> dict[str, list[str]]:
    etc = places.node(node) / "etc"
    kubelet = [places.program("kubelet"), "--config", str(etc / "kubelet.yaml"), "--hostname-override", node]
    kubelet += ["--kubeconfig", str(places.keys / f"node-{node}.kubeconfig")]
    kubelet += ["--node-ip", addresses.node_address(node), "--v", "2"]
    return {"kubelet": kubelet, "kube-proxy": [places.program("kube-proxy"), "--config", str(etc / "kube-proxy.yaml")]}


def _prepare_files(node: str, places: Places) -> None:
    folder = places.node(node)
    # containers with Bidirectional mounts need a shared root
    run(["mount", "--make-rshared", "/"])
    socket.sethostname(node)
    shutil.rmtree(folder / "run", ignore_errors=True)  # sockets of the last start
    for name, target in COVERS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        Path(target).mkdir(parents=True, exist_ok=True)  # below a folder that is covered already
        run(["mount", "--bind", str(folder / name), target])
    run(["mount", "--make-shared", "/var/lib/kubelet"])
    etc = folder / "etc"
    etc.mkdir(exist_ok=True)
    if not (etc / "hosts").exists():
        (etc / "hosts").write_text(node_config.hosts(node), encoding="ascii")
    (etc / "resolv.conf").write_text("", encoding="ascii")
    run(["mount", "--bind", str(etc / "hosts"), "/etc/hosts"])
    if Path("/etc/resolv.conf").exists():
        # empty: names that /etc/hosts does not have fail at once, there is no way out of the lab
        run(["mount", "--bind", str(etc / "resolv.conf"), "/etc/resolv.conf"])
    (folder / "cni-conf/10-lab.conflist").write_text(node_config.cni(node), encoding="ascii")
    (folder / "etc-containerd/config.toml").write_text(node_config.containerd(), encoding="ascii")
    (etc / "kubelet.yaml").write_text(node_config.kubelet(node, places.keys, etc / "resolv.conf"), encoding="ascii")
    (etc / "kube-proxy.yaml").write_text(node_config.kube_proxy(node, places.keys), encoding="ascii")


def _prepare_network(node: str) -> None:
    if not wait(Path("/proc/sys/net/ipv4/conf/eth0").exists, 30, 0.02):
        raise LabError("nobody plugged in the cable of this node (eth0)")
    run(["ip", "link", "set", "lo", "up"])
    run(["ip", "address", "add", f"{addresses.node_address(node)}/{addresses.PREFIX_LENGTH}", "dev", "eth0"])
    run(["ip", "link", "set", "eth0", "up"])
    run(["ip", "route", "add", "default", "via", addresses.HOST])
    for other in addresses.NODE_NAMES:
        if other != node:
            run(["ip", "route", "add", addresses.pod_range(other), "via", addresses.node_address(other)])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
    # without it a Service whose Pod is on the same node does not answer
    Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text("1", encoding="ascii")


def _log(places: Places, node: str, name: str) -> Path:
    return places.logs / f"{node}-{name}.log"


def _keep(name: str, command: Sequence[str], node: str, places: Places, status: Status) -> None:
    """Run a program for as long as the node lives; its log of the start before is kept as ``.log.1``."""
    log = _log(places, node, name)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))

    def loop() -> None:
        while True:
            with log.open("ab") as output:
                program = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    check=False,
                    env=clean_environment(),
                )
                output.write(f"--- {name} ended with status {program.returncode}, starting it again\n".encode())
            status.ended(name)
            time.sleep(1)

    threading.Thread(target=loop, name=name, daemon=True).start()


def _containerd_answers() -> bool:
    command = ["ctr", "--address", node_config.CONTAINERD_SOCKET, "version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _api_answers(places: Places) -> bool:
    try:
        context = ssl.create_default_context(cafile=str(places.keys / "ca.crt"))
        with urllib.request.urlopen(f"{addresses.NODE_API}/readyz", timeout=2, context=context) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Places(Path(sys.argv[2]))))
