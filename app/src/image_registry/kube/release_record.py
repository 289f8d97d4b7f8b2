"""Helm's own record of a release, read from the Secret that Helm keeps: no program is started to look.

The record is Helm's storage format, the same since Helm 3.0: a Secret per revision, in it JSON, compressed, twice in
Base64.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import yaml

RELEASE = "image-registry"
"""Name of the release: that of the Ansible role and the how-to, so that an installation can be taken over."""


@dataclass(frozen=True, slots=True)
class Release:
    """One revision of a release; ``name`` is that of its Secret."""

    name: str
    revision: int
    status: str
    values: Mapping[str, Any] = field(repr=False)
    manifest: str = field(repr=False)
    app_version: str
    written: datetime | None
    description: str = ""

    @property
    def pending(self) -> bool:
        """True if Helm began and has not said how it ended."""
        return self.status.startswith("pending-") or self.status == "uninstalling"

    @property
    def deployed(self) -> bool:
        """True if Helm has finished this revision."""
        return self.status == "deployed"

    def objects(self) -> list[dict[str, Any]]:
        """What the chart made, hooks left out."""
        return [item for item in yaml.load_all(self.manifest, _LOADER) if item]


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(secret: Mapping[str, Any]) -> Release | None:
    """One revision; ``None`` for anything else."""
    try:
        packed = base64.b64decode(base64.b64decode((secret.get("data") or {})["release"]))
        document = json.loads(gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed)
        info = document.get("info") or {}
        return Release(
            name=str(secret["metadata"]["name"]),
            revision=int(document["version"]),
            status=str(info.get("status") or ""),
            values=document.get("config") or {},
            manifest=str(document.get("manifest") or ""),
            app_version=str(((document.get("chart") or {}).get("metadata") or {}).get("appVersion") or ""),
            written=_time(str(info.get("last_deployed") or "")),
            description=str(info.get("description") or ""),
        )
    except (KeyError, ValueError, TypeError, OSError, binascii.Error):
        return None


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text[:19] + _zone(text)) if text else None
    except ValueError:
        return None


def _zone(text: str) -> str:
    """The zone of Go's time, whose fractions are longer than Python's."""
    rest = text[19:].lstrip(".0123456789")
    return "+00:00" if rest in ("", "Z") else rest
