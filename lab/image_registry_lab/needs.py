"""What the machine must have before anything is touched, all of it named at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from image_registry_lab.node_config import CNI_PROGRAMS
from image_registry_lab.process import clean_environment, run
from image_registry_lab.report import LabError

PACKAGES = {
    "containerd": ("containerd", "ctr"),
    "runc": ("runc",),
    "containernetworking-plugins": (f"{CNI_PROGRAMS}/bridge", f"{CNI_PROGRAMS}/portmap", f"{CNI_PROGRAMS}/host-local"),
    "catatonit": ("catatonit",),
    "busybox-static": ("/usr/bin/busybox",),
    "nftables": ("nft",),
    "iptables": ("iptables",),
    "conntrack": ("conntrack",),
    "socat": ("socat",),
    "iproute2": ("ip",),
    "openssl": ("openssl",),
    "util-linux": ("unshare", "nsenter"),
    "mount": ("mount", "umount"),
    "buildah": ("buildah",),
    "debootstrap": ("debootstrap",),
    "tar": ("tar",),
}
"""Debian packages with the programs that are wanted of them."""

POLICY = Path("/usr/sbin/policy-rc.d")
"""Asked by packages whether they may start services: 101 says no."""

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing(found: Callable[[str], bool] | None = None) -> list[str]:
    """Packages of which a program is not there."""
    look = found or _found
    return [package for package, programs in PACKAGES.items() if not all(look(program) for program in programs)]


def require_root(what: str, user: int | None = None) -> None:
    """Raises :class:`LabError` for anybody but root, saying why and what works without."""
    if (os.geteuid() if user is None else user) != 0:
        raise LabError(
            f"`lab/lab {what}` needs root: the nodes of the cluster are kernel namespaces with their own mounts, "
            "control groups and a network bridge.\nRun it as root (sudo -E lab/lab …), or use the registry alone, "
            "without a cluster and without root: make serve"
        )


def require_packages() -> None:
    """Raises :class:`LabError` with one line that installs everything that is missing."""
    absent = missing()
    if absent:
        raise LabError(
            f"missing on this machine: {', '.join(absent)}\n"
            f"    apt-get install --no-install-recommends {' '.join(absent)}"
        )


def install(say: Callable[[str], None]) -> None:
    """Install what is missing; services that packages would start are not wanted, the lab starts its own processes."""
    absent = missing()
    if not absent:
        return
    if shutil.which("apt-get") is None:
        raise LabError(f"missing on this machine, and there is no apt-get to install it: {', '.join(absent)}")
    say(f"installing Debian packages: {', '.join(absent)}")
    made = None
    try:
        if not POLICY.exists():
            POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
            POLICY.chmod(0o755)
            made = POLICY
        environment = clean_environment() | _proxies() | {"DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *absent]
        try:
            run(command, environment=environment)
        except LabError:  # the lists of a fresh machine are old or missing
            run(["apt-get", "update", "--quiet"], environment=environment)
            run(command, environment=environment)
    finally:
        if made is not None:
            made.unlink(missing_ok=True)


def _proxies() -> dict[str, str]:
    """The caller's way to the network, which apt-get needs, too."""
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


def _found(program: str) -> bool:
    if program.startswith("/"):
        return Path(program).exists()
    return shutil.which(program, path=SEARCH) is not None
