# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A chart as its user sees it: what it is called, what it needs, which values it knows and which it has by default.

Private to this collection.
"""

from __future__ import annotations

import copy
import json
import os
import tarfile
from dataclasses import dataclass
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils._helm import Helm, HelmError
from ansible_collections.alauda.registry.plugins.module_utils._objects import yaml

PARTS = ("Chart.yaml", "values.yaml", "values.schema.json")


class ChartError(Exception):
    """There is no usable chart."""


@dataclass(frozen=True)
class Chart:
    """What was read out of a chart."""

    metadata: dict[str, Any]
    defaults: dict[str, Any]
    schema: dict[str, Any]

    @property
    def kube_version(self) -> str:
        """The Kubernetes versions it is for."""
        return str(self.metadata.get("kubeVersion") or "")


def load(ref: str, version: str | None, helm: Helm, scratch: str) -> Chart:
    """Read the chart in a folder, an archive, or what helm can pull into ``scratch``; raises :class:`ChartError`."""
    if os.path.isdir(ref):
        texts = _from_folder(ref)
    elif os.path.isfile(ref):
        texts = _from_archive(ref)
    elif "://" in ref or (ref.count("/") == 1 and not ref.startswith((".", "/", "~"))):
        texts = _pulled(ref, version, helm, scratch)
    else:
        raise ChartError(f"there is no chart at {ref}")
    if "Chart.yaml" not in texts:
        raise ChartError(f"{ref} has no Chart.yaml, so it is no chart")
    try:
        return Chart(
            yaml.safe_load(texts["Chart.yaml"]) or {},
            yaml.safe_load(texts.get("values.yaml", "")) or {},
            json.loads(texts.get("values.schema.json", "{}")),
        )
    except (ValueError, yaml.YAMLError) as error:
        raise ChartError(f"the chart {ref} is damaged: {error}") from error


def merge(defaults: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Values over defaults as Helm does it: maps are joined, everything else is replaced, null takes a default away."""
    merged = copy.deepcopy(defaults)
    for key, value in values.items():
        if value is None and key in merged:
            del merged[key]
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _from_folder(folder: str) -> dict[str, str]:
    texts = {}
    for part in PARTS:
        try:
            with open(os.path.join(folder, part), encoding="utf-8") as stream:
                texts[part] = stream.read()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ChartError(f"{folder}/{part} can not be read: {error.strerror}") from error
    return texts


def _from_archive(path: str) -> dict[str, str]:
    texts = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                folder, _sep, part = member.name.partition("/")
                stream = archive.extractfile(member) if folder and part in PARTS else None
                if stream is not None:
                    texts[part] = stream.read().decode("utf-8")
    except (tarfile.TarError, OSError, UnicodeDecodeError) as error:
        raise ChartError(f"{path} is no chart archive: {error}") from error
    return texts


def _pulled(ref: str, version: str | None, helm: Helm, scratch: str) -> dict[str, str]:
    folder = os.path.join(scratch, "pulled-chart")
    os.makedirs(folder, exist_ok=True)
    try:
        helm.pull(ref, version, folder)
    except HelmError as error:
        raise ChartError(f"the chart {ref} can not be pulled: {error}") from error
    inside = next(iter(sorted(os.listdir(folder))), None)
    if inside is None:
        raise ChartError(f"helm pulled nothing for {ref}")
    return _from_folder(os.path.join(folder, inside))
