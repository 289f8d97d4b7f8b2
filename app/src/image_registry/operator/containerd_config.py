"""Whether a node's containerd reads ``certs.d`` at all, from its own configuration. A missing file says nothing."""

from __future__ import annotations

import glob
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CONFIG = "config.toml"
PLUGINS = ("io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri", "cri")
"""Where the setting is, in configurations of version 3, 2 and 1."""


def remark(folder: Path, place: Path, certs_dir: str) -> str:
    """What to change so that pulls are trusted; empty if nothing or not known.

    ``folder`` is ``place`` of the node as this process sees it, ``certs_dir`` what containerd has to read, as the node
    sees it.
    """
    first = _document(folder / CONFIG)
    if first is None:
        return ""
    stated = [path for document in _all(first, folder, place) if (path := _config_path(document)) is not None]
    told = stated[-1] if stated else None
    wanted = f'add [plugins."{_plugin(first)}".registry] with config_path = "{certs_dir}", restart containerd'
    if told:
        if certs_dir in told.split(":"):
            return ""
        return (
            f"{place / CONFIG} has config_path = {told!r}, so containerd does not read {certs_dir}, where the "
            f"registry's authority is: set nodeCA.certsDir to a folder that it reads, or {wanted}"
        )
    if told is None and _elsewhere(first, folder, place):
        return ""
    return (
        f"{place / CONFIG} sets no registry config_path, so containerd does not read {certs_dir} and pulls "
        f"from the registry will fail: {wanted}"
    )


def _document(file: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _imports(document: dict[str, Any]) -> list[str]:
    found = document.get("imports")
    return [str(pattern) for pattern in found] if isinstance(found, list) else []


def _all(first: dict[str, Any], folder: Path, place: Path) -> Iterator[dict[str, Any]]:
    """The file and what it imports from the same folder, in the order in which later ones win."""
    yield first
    for pattern in _imports(first):
        for file in sorted(glob.glob(_seen(pattern, folder, place))):
            if (document := _document(Path(file))) is not None:
                yield document


def _seen(pattern: str, folder: Path, place: Path) -> str:
    inside = pattern.removeprefix(f"{place}/")
    return str(folder / inside) if not inside.startswith("/") else ""


def _elsewhere(first: dict[str, Any], folder: Path, place: Path) -> bool:
    """Set where nobody can look, or by containerd's own default."""
    version = first.get("version", 1)
    return any(not _seen(pattern, folder, place) for pattern in _imports(first)) or (
        isinstance(version, int) and version >= 3
    )


def _plugin(document: dict[str, Any]) -> str:
    version = document.get("version", 1)
    return PLUGINS[0] if isinstance(version, int) and version >= 3 else PLUGINS[1]


def _config_path(document: dict[str, Any]) -> str | None:
    """What the document says, also if that is empty; ``None`` if it says nothing."""
    plugins = document.get("plugins")
    for name in PLUGINS:
        plugin = plugins.get(name) if isinstance(plugins, dict) else None
        registry = plugin.get("registry") if isinstance(plugin, dict) else None
        if isinstance(registry, dict) and isinstance(registry.get("config_path"), str):
            return str(registry["config_path"])
    return None
