"""Whether a migration is under way in a cluster, and the refusal of whoever would work against it.

From its first change to the end of ``finalize``, or of a whole rollback, a migration holds the registry as its journal
knows it. What prunes or collects garbage meanwhile deletes what the way back needs, of a storage that both registries
may share. The Lease of :mod:`holding` says that it is so, in whatever namespace the legacy registry is. The modules of
the collection, most of which do without this package, have the same rule and the same sentences; a test compares them.

A Lease of that name that names no plan was made by somebody else: no migration is known to be under way, and none is
known not to be. It is refused all the same, because what is pruned is gone, and the refusal says who made it, how it is
removed, and by which name it is passed over. One that names a plan and is no migration's was forged by somebody who
may write Leases there, who could as well remove that of a migration: rights are the boundary, not this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import KubeError
from image_registry.migration.generations import NAMESPACE
from image_registry.migration.holding import (
    GROUP_VERSION,
    NAME,
    OWNER,
    PLAN,
    PROCESS,
    Lease,
    foreign,
    is_foreign,
    lease_path,
)


def find(client: ClusterClient) -> list[Lease]:
    """Leases that stand, wherever a legacy registry is; in its usual namespace for who may not list all.

    Raises ``KubeError`` and ``ClusterUnreachable``.
    """
    try:
        listed = client.get(object_path(GROUP_VERSION, "leases"), query={"fieldSelector": f"metadata.name={NAME}"})
        found = list(listed.get("items") or ())
    except KubeError as error:
        if error.not_found:
            return []
        if not error.forbidden:
            raise
        one = client.find(lease_path(NAMESPACE))
        found = [one] if one else []
    return [lease for lease in found if lease["metadata"]["name"] == NAME and _spec(lease).get("holderIdentity")]


def name_of(lease: Mapping[str, Any]) -> str:
    """The digest of its plan, which names a migration; the holder of a Lease that tells no plan."""
    return _said(lease, PLAN) or str(_spec(lease)["holderIdentity"])


def refusal(lease: Mapping[str, Any], how: str, *, go_on: str, take_back: str) -> str:
    """Which migration, whose, since when, and what to do next; or whose a Lease is that is no migration's.

    ``how`` says what was named in vain, and by what words it is accepted.
    """
    spec, process = _spec(lease), _said(lease, PROCESS)
    place = f"{lease['metadata'].get('namespace', NAMESPACE)}/{NAME}"
    if is_foreign(lease):
        return foreign(lease) + f" Nothing was changed. {how}"
    now = f", at work now: process {process}, last seen {spec.get('renewTime')}" if process else ""
    return (
        f"a migration of this cluster is under way: plan {name_of(lease)}, begun by "
        f"{_said(lease, OWNER) or 'somebody'} at {spec.get('acquireTime')}, journal {spec.get('holderIdentity')}{now} "
        f"(Lease {place}). Nothing was changed, because what is changed beside a migration it can not take back. Go on "
        f"with it, with its plan and its journal, to the end of finalize ({go_on}), or take it back ({take_back}). "
        f"{how}"
    )


def _spec(lease: Mapping[str, Any]) -> Mapping[str, Any]:
    return lease.get("spec") or {}


def _said(lease: Mapping[str, Any], name: str) -> str:
    return str(((lease.get("metadata") or {}).get("annotations") or {}).get(name, ""))
