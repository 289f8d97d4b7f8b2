# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has which role of the registry: a list of bindings read as sentences. Private to this collection. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _access

_NAMES = {cluster_role: name for name, cluster_role in _access.ROLES.items()}


def holdings(bindings: Iterable[_access.Document], namespace: str) -> Iterator[dict[str, Any]]:
    """One for each subject of each binding of a role of the registry; ``namespace`` is empty for the whole cluster."""
    for binding in bindings:
        reference = binding.get("roleRef") or {}
        role = _NAMES.get(str(reference.get("name"))) if reference.get("kind") == "ClusterRole" else None
        for subject in (binding.get("subjects") or ()) if role else ():
            yield {
                "holder": _access.named(subject),
                "role": role,
                "namespace": namespace,
                "binding": str(binding["metadata"]["name"]),
                "kept_by_program": _access.of_a_program(binding),
            }
