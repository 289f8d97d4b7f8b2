"""What a source is called in the note of its copy, so that no other one is taken for it.

``/registry`` is a folder of every registry, and a bucket may hold several; so a name has everything that tells two
places apart, and nothing that is secret.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from image_registry.storage.choice import KINDS, Filesystem, Storage

NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where Kubernetes tells a Pod its namespace, if it tells it."""

_TOLD_APART = {
    "gcs": ("endpoint",),
    "azure": ("endpoint", "accountname"),
    "swift": ("authurl", "domain", "domainid", "tenant", "tenantid", "region"),
}


def called(storage: Storage) -> str:
    """The name of a storage; of a folder with the namespace or the host that has it."""
    if isinstance(storage, Filesystem):
        folder = f"folder {storage.rootdirectory.resolve()}"
        return f"{folder} of {host}" if (host := _host()) else folder
    kind = next(name for name, found in KINDS.items() if found is type(storage))
    return bucket(kind, asdict(storage))


def bucket(kind: str, settings: Mapping[str, Any]) -> str:
    """The name of an object store; ``settings`` by the last part of ``REGISTRY_STORAGE_…``, in small letters."""
    if kind == "s3":
        where = str(settings.get("regionendpoint") or settings.get("region") or "us-east-1").rstrip("/")
    else:
        where = " ".join(str(settings[key]) for key in _TOLD_APART[kind] if settings.get(key))
    name = f"{kind} {settings.get('bucket') or settings.get('container')}"
    folder = str(settings.get("rootdirectory") or "").strip("/")
    return f"{name}{f' at {where}' if where else ''}{f', folder {folder}' if folder else ''}"


def _host() -> str:
    """A Pod's own name is another one each time, and says nothing; a machine's does."""
    try:
        return f"namespace {NAMESPACE.read_text(encoding='utf-8').strip()}"
    except OSError:
        return "" if "KUBERNETES_SERVICE_HOST" in os.environ else platform.node()
