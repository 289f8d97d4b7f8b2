"""What the lab changes on the machine itself, written down before it is changed, and put back by ``lab down``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from image_registry_lab.process import boot

KUBELET_SETS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""Kernel settings that a kubelet writes for the whole machine, below /proc/sys."""

MOUNT_POINTS = (
    "/var/lib/kubelet",
    "/var/lib/containerd",
    "/var/lib/cni",
    "/etc/cni/net.d",
    "/etc/containerd",
    "/etc/containerd/certs.d",
    "/etc/docker/certs.d",
    "/var/log/pods",
    "/var/log/containers",
    "/opt/local-path-provisioner",
)
"""Folders a node covers with its own; where the machine has none they are made, empty, and removed again."""


class Machine:
    """Remembers settings and folders in ``folder``, so that a later command can put them back."""

    def __init__(self, folder: Path, settings: Path = Path("/proc/sys")) -> None:
        self._settings_file = folder / "kernel-settings.json"
        self._folders_file = folder / "folders-made.json"
        self._settings = settings

    def remember_settings(self, names: Sequence[str] = KUBELET_SETS) -> None:
        """Keep the values of now; those kept earlier in this run of the machine stay, they are the original ones."""
        kept = _read(self._settings_file)
        if kept.get("boot") == boot():
            return
        values = {name: (self._settings / name).read_text(encoding="ascii").strip() for name in names}
        _write(self._settings_file, {"boot": boot(), **values})

    def changed_settings(self) -> dict[str, tuple[str, str]]:
        """Settings that differ from what was kept: (kept, now)."""
        kept = _read(self._settings_file)
        if kept.pop("boot", None) != boot():
            return {}
        now = {name: (self._settings / name).read_text(encoding="ascii").strip() for name in kept}
        return {name: (kept[name], now[name]) for name in kept if kept[name] != now[name]}

    def restore_settings(self) -> None:
        """Put the kept values back and forget them."""
        for name, (kept, _) in self.changed_settings().items():
            (self._settings / name).write_text(kept, encoding="ascii")
        self._settings_file.unlink(missing_ok=True)

    def make_folders(self, paths: Sequence[str] = MOUNT_POINTS) -> None:
        """Make what is missing, parents too, and write down first what is made."""
        made = dict(_read(self._folders_file))
        for path in map(Path, paths):
            for folder in reversed([path, *path.parents]):
                if not folder.exists():
                    made[str(folder)] = "made"
                    _write(self._folders_file, made)
                    folder.mkdir()

    def remove_folders(self) -> None:
        """Remove the folders that were made, unless somebody put something into them."""
        for folder in sorted(_read(self._folders_file), key=len, reverse=True):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
        self._folders_file.unlink(missing_ok=True)

    def made_folders(self) -> list[str]:
        """Folders of the lab that still exist."""
        return sorted(folder for folder in _read(self._folders_file) if Path(folder).exists())


def _read(path: Path) -> dict[str, str]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in raw.items()} if isinstance(raw, dict) else {}


def _write(path: Path, content: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    temporary.replace(path)
