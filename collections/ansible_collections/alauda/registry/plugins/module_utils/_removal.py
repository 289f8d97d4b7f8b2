# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan and carry out an uninstallation that keeps every image: what Helm owns, then what its hooks left behind.

Private to this collection.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.alauda.registry.plugins.module_utils import _objects
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._helm import Helm, HelmError
from ansible_collections.alauda.registry.plugins.module_utils._readiness import look
from ansible_collections.alauda.registry.plugins.module_utils._release import ReleaseFailed
from ansible_collections.alauda.registry.plugins.module_utils._remnants import delete_remnants, remnants


@dataclass
class Removal:
    """What an uninstallation would do."""

    installed: bool = False
    objects: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def plan(cluster: Cluster, helm: Helm) -> Removal:
    """What there is to remove; raises HelmError, ClusterError."""
    current = helm.status()
    if current is not None:
        kept = [item for item in _objects.parse(str(current.get("manifest") or "")) if not _is_kept(item)]
        titles = [_objects.title(item, helm.namespace) for item in kept]
        reasons = [f"release {helm.release} exists in namespace {helm.namespace}"]
        return Removal(installed=True, objects=titles, reasons=reasons)
    left = remnants(cluster, helm.namespace, helm.release)
    reasons = [f"objects without a release are left: {', '.join(left)}"] if left else []
    return Removal(installed=False, objects=left, reasons=reasons)


def apply(cluster: Cluster, helm: Helm, removal: Removal, timeout: int, progress: Callable[[str], None]) -> None:
    """Remove, and return when the last Pod has ended and thereby taken back the trust of its node."""
    deadline = time.monotonic() + timeout
    if removal.installed:
        progress(f"uninstalling release {helm.release}")
        try:
            helm.uninstall(timeout)
        except HelmError as error:
            raise ReleaseFailed(
                f"helm could not uninstall {helm.release}: {error}. Cure the reason and run again"
            ) from error
    for path in delete_remnants(cluster, helm.namespace, helm.release):
        progress(f"deleted {path}")
    while True:
        try:
            pods = [pod["metadata"]["name"] for pod in look(cluster, helm.namespace, helm.release, logs=False).pods]
        except ClusterError as error:
            if error.status != 404:
                raise
            return
        if not pods:
            return
        if time.monotonic() > deadline:
            raise ReleaseFailed(
                f"these Pods have not ended within {timeout} s: {', '.join(pods)}. Look at their "
                "nodes; run again to go on"
            )
        progress(f"waiting for the end of {', '.join(pods)}")
        time.sleep(2)


def _is_kept(item: dict[str, object]) -> bool:
    metadata = item.get("metadata")
    notes = metadata.get("annotations") if isinstance(metadata, dict) else None
    return (notes or {}).get("helm.sh/resource-policy") == "keep"
