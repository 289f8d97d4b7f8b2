# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The namespace of the registry and its labels: one rule for every way in which the registry is installed.

Private to this collection.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _objects

Document = dict[str, Any]


def made(name: str, labels: dict[str, str]) -> Document:
    """A new one, marked as ours: an uninstallation may delete it, and its labels follow what is asked for."""
    metadata = {"name": name, "labels": labels, "annotations": {_objects.CREATED_BY: "alauda.registry.install"}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def missing(current: Document, labels: dict[str, str]) -> dict[str, str]:
    """Labels that it lacks. A value that somebody else chose is not overruled; the preflight says when it stands in the
    way."""
    metadata = current.get("metadata") or {}
    there = metadata.get("labels") or {}
    ours = _objects.CREATED_BY in (metadata.get("annotations") or {})
    return {key: value for key, value in labels.items() if key not in there or (ours and there[key] != value)}
