"""Where everything of the lab lies: one cache folder outside of the repository, programs apart from state."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1]
"""The folder ``lab/`` of the repository."""

REPOSITORY = SOURCES.parent


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    """The cache folder: ``IMAGE_REGISTRY_LAB``, else below the user's cache folder."""
    given = environment.get("IMAGE_REGISTRY_LAB")
    if given:
        return Path(given).absolute()
    home = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home).absolute() / "image-registry-lab"


@dataclass(frozen=True, slots=True)
class Places:
    """Paths below the cache folder. ``state`` is what ``down --purge`` removes; the rest costs minutes to make anew."""

    root: Path

    @property
    def programs(self) -> Path:
        """Compiled programs."""
        return self.root / "bin"

    @property
    def manifests(self) -> Path:
        """Manifests read out of Go modules."""
        return self.root / "manifests"

    @property
    def images(self) -> Path:
        """Image archives; every node imports them when it starts."""
        return self.root / "images"

    @property
    def build(self) -> Path:
        """Work folders of image builds: Debian base, wheels, layers."""
        return self.root / "build"

    @property
    def state(self) -> Path:
        """What a running lab writes: etcd, keys, nodes, logs."""
        return self.root / "state"

    @property
    def run(self) -> Path:
        """Process records, and what of the machine must be put back."""
        return self.state / "run"

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.state / "log"

    @property
    def keys(self) -> Path:
        """Certificates, keys and the kubeconfigs of components."""
        return self.state / "pki"

    @property
    def nodes(self) -> Path:
        """One folder for each node."""
        return self.state / "nodes"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    def node(self, name: str) -> Path:
        """The folder of one node: its /run, its images, its volumes."""
        return self.nodes / name

    def program(self, name: str) -> str:
        """The path of a compiled program."""
        return str(self.programs / name)

    def known_nodes(self) -> list[str]:
        """Names of nodes that have ever been started since the last purge."""
        if not self.nodes.is_dir():
            return []
        return sorted(path.name for path in self.nodes.iterdir() if re.fullmatch(r"n[1-9]", path.name))
