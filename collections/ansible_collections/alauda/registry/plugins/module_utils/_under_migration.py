# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a migration off a legacy registry is under way, and the refusal of whoever would work against it.

Private to this collection. From its first change to the end of ``finalize``, or of a whole rollback, a migration holds
the registry as its journal knows it: values, storage that both registries may share, objects that a rollback puts back.
What prunes, collects garbage, installs, configures or moves storage meanwhile destroys the way back. The migration says
by a Lease that it is under way; it does its own work by other doors, and reading is never refused. The rule and its
sentences are those of ``image_registry.migration.under_way``, for modules that do without that package.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _objects
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError

NAME = "image-registry-migration"
GROUP_VERSION = "coordination.k8s.io/v1"
PLAN = "imageregistry.alauda.io/migration-plan"
OWNER = "imageregistry.alauda.io/migration-owner"
PROCESS = "imageregistry.alauda.io/migration-process"
GO_ON, TAKE_BACK = "playbooks/migrate.yml, with --tags for what is left", "playbooks/rollback.yml"
LEGACY_NAMESPACE = "cpaas-system"
"""Where the Lease is unless the legacy registry is elsewhere; asked by who may not list leases of all namespaces."""

Lease = dict[str, Any]


def arguments() -> dict[str, Any]:
    """The acceptance, which names the migration that it accepts."""
    return {"accept_migration": {"type": "str", "default": ""}}


def refuse(module: AnsibleModule, cluster: Cluster | None = None) -> None:
    """Fail while a migration is under way that ``accept_migration`` does not name; in check mode, too."""
    cluster = cluster or _arguments.connect(module)
    try:
        held = find(cluster)
    except ClusterError as error:
        if not error.forbidden:
            module.fail_json(msg=str(error))
        module.warn(
            f"whether a migration is under way can not be seen: {error}. It takes the right to list leases "
            f"(coordination.k8s.io), or to get {LEGACY_NAMESPACE}/{NAME}"
        )
        return
    for lease in held:
        if module.params["accept_migration"] != name_of(lease):
            module.fail_json(msg=told(lease, module.params["accept_migration"]))


def find(cluster: Cluster) -> list[Lease]:
    """The Leases of migrations that are under way, wherever a legacy registry is. Raises ClusterError."""
    everywhere = _objects.collection(GROUP_VERSION, "leases", "")
    try:
        found = cluster.items(everywhere, fieldSelector=f"metadata.name={NAME}")
    except ClusterError as error:
        if error.status == 404:
            return []
        if not error.forbidden:
            raise
        one = cluster.find(f"{_objects.collection(GROUP_VERSION, 'leases', LEGACY_NAMESPACE)}/{NAME}")
        found = [one] if one else []
    return [lease for lease in found if lease["metadata"]["name"] == NAME and _spec(lease).get("holderIdentity")]


def name_of(lease: Lease) -> str:
    """The digest of its plan, which names a migration, or that of its journal where the Lease tells no plan."""
    return _said(lease, PLAN) or str(_spec(lease)["holderIdentity"])


def told(lease: Lease, accepted: str) -> str:
    """Which migration, whose, since when, and what to run next; or whose a Lease is that is no migration's."""
    wrong = f"accept_migration names {accepted}, which is not that one. " if accepted else ""
    how = (
        f"{wrong}If this is meant nevertheless: accept_migration={name_of(lease)} (-e registry_accept_migration=… of "
        "the roles)"
    )
    if not _said(lease, PLAN):
        return f"{_foreign(lease)} Nothing was changed. {how}"
    spec, process = _spec(lease), _said(lease, PROCESS)
    now = f", at work now: process {process}, last seen {spec.get('renewTime')}" if process else ""
    return (
        f"a migration of this cluster is under way: plan {name_of(lease)}, begun by "
        f"{_said(lease, OWNER) or 'somebody'} at {spec.get('acquireTime')}, journal {spec.get('holderIdentity')}{now} "
        f"(Lease {lease['metadata'].get('namespace', LEGACY_NAMESPACE)}/{NAME}). Nothing was changed, "
        "because what is changed beside a migration it can not take back. Go on with it, with its plan and its "
        f"journal, to the end of finalize ({GO_ON}), or take it back ({TAKE_BACK}). {how}"
    )


def _foreign(lease: Lease) -> str:
    """Whose a Lease is that names no plan, and how it is removed."""
    metadata, spec = lease.get("metadata") or {}, _spec(lease)
    namespace = metadata.get("namespace")
    makers = sorted(
        {str(entry.get("manager")) for entry in metadata.get("managedFields") or () if entry.get("manager")}
    )
    since = spec.get("acquireTime") or spec.get("renewTime") or "an unknown time"
    return (
        f"the Lease {namespace}/{NAME} stands, by which a migration says that it is under way, but it names no plan, "
        f"so no migration made it: held by {spec.get('holderIdentity')} since {since}, there since "
        f"{metadata.get('creationTimestamp') or 'an unknown time'}, written by {', '.join(makers) or 'somebody'}. Find "
        f"out who needs it; if nobody does, remove it: kubectl delete lease -n {namespace} {NAME}."
    )


def _spec(lease: Lease) -> Lease:
    return lease.get("spec") or {}


def _said(lease: Lease, name: str) -> str:
    return str(((lease.get("metadata") or {}).get("annotations") or {}).get(name, ""))
