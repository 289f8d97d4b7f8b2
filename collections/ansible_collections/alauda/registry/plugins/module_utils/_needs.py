# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every need of an installation, checked in one go: what one check can not see does not stop the others.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import (
    _needs_cluster,
    _needs_names,
    _needs_objects,
    _needs_rights,
    _needs_storage,
    _wanted,
)
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding, errors
from ansible_collections.alauda.registry.plugins.module_utils._helm import Helm, HelmError

Check = Callable[[Cluster, _wanted.Wanted], Iterator[Finding]]


@dataclass(frozen=True)
class Asked:
    """What the user asks for."""

    chart_ref: str
    chart_version: str | None
    values: dict[str, Any]
    values_file: str
    scratch: str
    architectures: list[str]
    made: frozenset[str] = frozenset()
    """Secrets and ConfigMaps that earlier tasks of a check would have made."""


def every(cluster: Cluster, helm: Helm, asked: Asked) -> list[Finding]:
    """All findings; raises :class:`ClusterError` only when the cluster does not answer at all."""
    kube_version = str(cluster.get("/version").get("gitVersion", ""))
    wanted, found = _wanted.read(
        helm, asked.chart_ref, asked.chart_version, asked.values, asked.values_file, asked.scratch, kube_version
    )
    wanted = replace(wanted, made=asked.made)
    checks: list[Check] = [
        _needs_cluster.version,
        _needs_cluster.aggregation,
        partial(_needs_cluster.nodes, architectures=asked.architectures),
        _needs_rights.permissions,
        _needs_storage.replicas,
        _needs_storage.claims,
        _needs_storage.database,
        _needs_objects.credentials,
        _needs_objects.trust,
        _needs_names.namespace,
        _needs_names.conflicts,
        _needs_names.references,
    ]
    for check in checks:
        try:
            found.extend(check(cluster, wanted))
        except ClusterError as error:
            if error.unreachable:
                raise
            found.append(_blind(error))
    if not errors(found):
        found += _refused_by_the_chart(helm, asked)
    return _without_repetition(found)


def _refused_by_the_chart(helm: Helm, asked: Asked) -> Iterator[Finding]:
    """What the chart itself looks up in the cluster, such as a claim's size that can not be changed."""
    try:
        helm.dry_run(asked.chart_ref, asked.chart_version, asked.values_file)
    except HelmError as error:
        if "another operation" not in str(error):  # the install repairs that, or says who works on the release
            yield _wanted.contradiction(str(error))


def _blind(error: ClusterError) -> Finding:
    need = "permissions" if error.forbidden else "cluster"
    cure = "" if error.forbidden else "look at the API server, then run again"
    return Finding(need, str(error), cure)


def _without_repetition(found: list[Finding]) -> list[Finding]:
    """The chart says again what a check knows better, and one missing right is met by several checks."""
    better = any(finding.need == "access-mode" for finding in found)
    kept = [
        finding
        for finding in found
        if not (better and finding.need == "values" and finding.found.startswith(("config.replicas is", "the claim ")))
    ]
    rights = [finding for finding in kept if finding.need == "permissions"]
    if any(finding.found.startswith("these credentials") for finding in rights):
        kept = [each for each in kept if each.need != "permissions" or each.found.startswith("these credentials")]
    return list(dict.fromkeys(kept))
