"""The lab's cable: one bridge in the host, a link and a route for each node. No overlay and no address translation."""

from __future__ import annotations

import subprocess
from pathlib import Path

from image_registry_lab import addresses
from image_registry_lab.process import run
from image_registry_lab.report import LabError

FIRST_NODE = "n1"
"""Service addresses are reached through the first node."""


def _exists(link: str) -> bool:
    return Path("/sys/class/net", link).exists()


def refuse_another_lab(owner: str) -> None:
    """Raises :class:`LabError` when a lab of another folder runs: the addresses are the same, so only one can."""
    other = owner_of_bridge()
    if other and other != owner[:255]:
        raise LabError(
            f"the bridge {addresses.BRIDGE} belongs to the lab in {other}, and a machine holds one lab only: "
            f"stop that one with IMAGE_REGISTRY_LAB={other} lab/lab down"
        )


def prepare_host(owner: str) -> None:
    """The bridge with the host's address, made if it is missing. It carries the name of the lab that it belongs to."""
    refuse_another_lab(owner)
    if not Path("/proc/sys/net/bridge").is_dir():  # a module on most kernels, built in on others
        subprocess.run(["modprobe", "--all", "br_netfilter", "overlay"], capture_output=True, check=False)
    if not _exists(addresses.BRIDGE):
        run(["ip", "link", "add", addresses.BRIDGE, "type", "bridge"])
    if not owner_of_bridge():
        run(["ip", "link", "set", addresses.BRIDGE, "alias", owner[:255]])
    address = f"{addresses.HOST}/{addresses.PREFIX_LENGTH}"
    run(["ip", "address", "replace", address, "dev", addresses.BRIDGE])
    run(["ip", "link", "set", addresses.BRIDGE, "up"])


def owner_of_bridge() -> str | None:
    """The folder of the lab that made the bridge; None when there is none, empty if it does not say."""
    try:
        return Path("/sys/class/net", addresses.BRIDGE, "ifalias").read_text(encoding="utf-8").strip()
    except OSError:
        return None


def connect(node: str, pid: int) -> None:
    """Plug the cable into the namespaces of ``pid`` and route the node's Pods, and Services, through it."""
    link = addresses.link(node)
    if _exists(link):
        run(["ip", "link", "delete", link])
    run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
    run(["ip", "link", "set", link, "master", addresses.BRIDGE, "up"])
    routed = [addresses.pod_range(node)]
    if node == FIRST_NODE:
        routed.append(addresses.SERVICE_RANGE)
    for target in routed:
        run(["ip", "route", "replace", target, "via", addresses.node_address(node), "dev", addresses.BRIDGE])


def disconnect(node: str) -> None:
    """Unplug; the kernel has mostly done it when the node's namespaces ended."""
    link = addresses.link(node)
    if _exists(link):
        # it may vanish by itself at this very moment, when the kernel takes the node's namespaces down
        subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)
    targets = [addresses.pod_range(node)] + ([addresses.SERVICE_RANGE] if node == FIRST_NODE else [])
    if _exists(addresses.BRIDGE):
        for target in targets:
            command = ["ip", "route", "delete", target, "dev", addresses.BRIDGE]
            subprocess.run(command, capture_output=True, check=False)


def remove_host() -> None:
    """The bridge, and every route with it."""
    if _exists(addresses.BRIDGE):
        run(["ip", "link", "delete", addresses.BRIDGE])
