# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan and carry out an installation: one plan is the check mode's answer, the diff and the real run.

Private to this collection.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils import _namespaces, _objects, _retained, _unsaid
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding, report
from ansible_collections.alauda.registry.plugins.module_utils._helm import Helm, HelmError, clean
from ansible_collections.alauda.registry.plugins.module_utils._readiness import hopeless, look, problems
from ansible_collections.alauda.registry.plugins.module_utils._remnants import delete_remnants

STALE = 900
"""Seconds after which a release that is still 'pending' belongs to a run that died."""

LOOK = 3.0
"""Seconds between two looks at an installation that is under way."""


class ReleaseFailed(Exception):
    """The release is not as asked; what was half done has been taken back."""

    def __init__(self, message: str, findings: list[Finding] | None = None) -> None:
        super().__init__(message)
        self.findings = findings or []


@dataclass
class Plan:
    """What a run would change."""

    before: dict[str, Any]
    after: dict[str, Any]
    reasons: list[str] = field(default_factory=list)
    revision: int = 0
    """The newest revision, 0 if there is no release."""
    working: int = 0
    """The newest revision that was deployed: the way back."""
    namespace_exists: bool = False
    died: bool = False
    """The newest revision is of a run that ended in its middle."""


@dataclass(frozen=True)
class Order:
    """What is asked for."""

    chart: str
    chart_version: str | None
    values: dict[str, Any]
    values_file: str
    timeout: int
    patience: int
    namespace_labels: dict[str, str]
    forgotten: tuple[str, ...] = (_unsaid.ANY,)
    """Values of the release that go where the order does not say them."""


def plan(cluster: Cluster, helm: Helm, order: Order) -> Plan:
    """Compare what is there with what the chart makes of the values; raises HelmError, ClusterError, ReleaseFailed."""
    namespace = cluster.find(f"/api/v1/namespaces/{helm.namespace}")
    current = helm.status()
    _refuse_a_release_in_use(helm, current)
    # helm plans nothing over a release that is 'pending'; here that means a run that died, so there is news anyway
    died = current is not None and str(current["info"]["status"]).startswith("pending-")
    desired = None if died else helm.dry_run(order.chart, order.chart_version, order.values_file)
    labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    missing_labels = _namespaces.missing(namespace or {}, order.namespace_labels)
    result = Plan(
        before=_shown(current, helm.values() if current else {}, helm.namespace),
        after=_shown(desired, order.values, helm.namespace),
        namespace_exists=namespace is not None,
        died=died,
    )
    if namespace is None:
        result.reasons.append(f"namespace {helm.namespace} does not exist")
    elif missing_labels:
        result.reasons.append(f"namespace {helm.namespace} lacks {_pairs(missing_labels)}")
        result.before["namespace labels"] = {key: labels.get(key) for key in missing_labels}
        result.after["namespace labels"] = missing_labels
    if current is None:
        result.reasons.append("there is no release")
        return result
    result.revision = int(current["version"])
    state = str(current["info"]["status"])
    result.working = result.revision if state == "deployed" else last_working(helm)
    _refuse_to_forget(helm, order, result)
    if state != "deployed":
        result.reasons.append(f"revision {result.revision} is {state}")
    for part in ("objects", "hooks", "values"):
        if result.before[part] != result.after[part]:
            result.reasons.append(f"{part} differ")
    gone = [
        _objects.title(item, helm.namespace)
        for item in _objects.parse(str(current.get("manifest") or ""))
        if _objects.known(item) and cluster.find(_objects.path(item, helm.namespace)) is None
    ]
    if gone:
        result.reasons.append(f"objects of the release are gone: {', '.join(gone)}")
    return result


def apply(
    cluster: Cluster, helm: Helm, order: Order, proposal: Plan, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Install or upgrade and wait; on failure take it back and raise :class:`ReleaseFailed` with every reason."""
    _make_namespace(cluster, helm, order, proposal, progress)
    if proposal.revision and not proposal.working:
        # nothing ever worked: an upgrade would keep what the failed try left, a new install does not
        progress("taking away a first installation that never became ready")
        helm.uninstall(order.timeout)
    elif proposal.died:
        progress(f"going back to revision {proposal.working}, since a later run died")
        _go_back(helm, order, proposal.working, progress)
    kept_before = {item.path for item in _retained.find(cluster, helm.namespace, helm.release)}
    failure, found = _upgrade_and_watch(cluster, helm, order, progress)
    if failure is None:
        return helm.status() or {}
    restored = _restore(cluster, helm, order, proposal, kept_before, progress)
    heading = f"the registry did not become ready: {failure}"
    message = report(found, f"{heading}\nWhat stood in the way:") if found else heading
    raise ReleaseFailed(f"{message}\n{restored}", found)


def _upgrade_and_watch(
    cluster: Cluster, helm: Helm, order: Order, progress: Callable[[str], None]
) -> tuple[str | None, list[Finding]]:
    process = helm.start_upgrade(order.chart, order.chart_version, order.values_file, order.timeout)
    started = time.monotonic()
    found: list[Finding] = []
    in_vain_since: float | None = None
    gave_up = ""
    said = ""
    while True:
        try:
            _out, errors = process.communicate(timeout=LOOK)
            break
        except subprocess.TimeoutExpired:
            pass
        try:
            found = problems(look(cluster, helm.namespace, helm.release))
        except ClusterError:
            continue  # a look that fails now may succeed the next time; helm's own verdict counts
        elapsed = time.monotonic() - started
        line = _progress_line(found)
        if line != said:
            progress(line)
            said = line
        in_vain_since = (in_vain_since or elapsed) if hopeless(found) else None
        if in_vain_since is not None and elapsed - in_vain_since >= order.patience and not gave_up:
            gave_up = (
                f"after {elapsed:.0f} s it was clear that waiting is in vain ({hopeless(found)[0].need} for more than "
                f"{order.patience} s)"
            )
            process.terminate()  # helm marks its revision as failed and ends; jobs in the background ignore interrupts
    if process.returncode == 0:
        return None, []
    with contextlib.suppress(ClusterError):  # what the last look saw is told then
        found = problems(look(cluster, helm.namespace, helm.release)) or found
    return gave_up or clean(errors or "") or f"helm ended with status {process.returncode}", found


def _make_namespace(
    cluster: Cluster, helm: Helm, order: Order, proposal: Plan, progress: Callable[[str], None]
) -> None:
    if proposal.namespace_exists:
        if "namespace labels" in proposal.after:
            missing = proposal.after["namespace labels"]
            cluster.merge(f"/api/v1/namespaces/{helm.namespace}", {"metadata": {"labels": missing}})
        return
    progress(f"making namespace {helm.namespace}")
    cluster.create("/api/v1/namespaces", _namespaces.made(helm.namespace, order.namespace_labels))


def _restore(
    cluster: Cluster, helm: Helm, order: Order, proposal: Plan, kept_before: set[str], progress: Callable[[str], None]
) -> str:
    """Back to what was there before; says what was done, or what could not be done."""
    try:
        if proposal.working:
            progress(f"going back to revision {proposal.working}")
            _go_back(helm, order, proposal.working, progress)
            delete_remnants(cluster, helm.namespace, helm.release, hooks_only=True)
            return f"Revision {proposal.working}, which worked before, is restored. Cure the reasons and run again."
        progress("taking back what was installed")
        helm.uninstall(order.timeout)
        delete_remnants(cluster, helm.namespace, helm.release)
        # what this try made and helm keeps was never in use; it would forbid other values (a StorageClass) next time
        new = [item for item in _retained.find(cluster, helm.namespace, helm.release) if item.path not in kept_before]
        if not proposal.namespace_exists:
            new.append(_retained.Kept("Namespace", helm.namespace, "", f"/api/v1/namespaces/{helm.namespace}"))
        left = _retained.delete(cluster, new, 60)
    except (HelmError, ClusterError) as error:
        what = f"go back to revision {proposal.working}" if proposal.working else "take the installation back"
        return f"It was not possible to {what} either: {error}. Run again after the cure: the run goes on from there."
    if left:
        return (
            f"What was installed is taken back, but {', '.join(left)} is still going. Cure the reasons and run again."
        )
    return "Nothing of this installation is left in the cluster. Cure the reasons and run again."


def _go_back(helm: Helm, order: Order, revision: int, progress: Callable[[str], None]) -> None:
    """By a rollback; where helm cannot do that, by an upgrade to the values of that revision, with the same chart.

    A claim that helm keeps, and that a later revision has let go, is taken over by an upgrade and not by a rollback.
    """
    try:
        helm.rollback(revision, order.timeout)
    except HelmError as error:
        if len({each.get("chart") for each in helm.history() if int(each["revision"]) >= revision}) > 1:
            raise
        progress(f"helm could not roll back ({error}): an upgrade to the values of revision {revision}")
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:  # its owner's alone
            json.dump(helm.values(revision), file)
            file.flush()
            helm.upgrade(order.chart, order.chart_version, file.name, order.timeout)


def in_use_for(current: dict[str, Any] | None) -> float:
    """Seconds until a release that is 'pending' counts as left by a run that died; 0 for one that nobody works on.

    ``current`` is what helm tells of its newest revision.
    """
    if current is None or not str(current["info"]["status"]).startswith("pending-"):
        return 0.0
    age = _age(str(current["info"].get("last_deployed") or ""))
    return 0.0 if age is None else max(STALE - age, 0.0)


def record(release: str, current: dict[str, Any]) -> str:
    """The Secret in which helm keeps the newest revision."""
    return f"sh.helm.release.v1.{release}.v{current['version']}"


def _refuse_a_release_in_use(helm: Helm, current: dict[str, Any] | None) -> None:
    left = in_use_for(current)
    if current is not None and left:
        raise ReleaseFailed(
            f"release {helm.release} in namespace {helm.namespace} is {current['info']['status']} "
            f"since {STALE - left:.0f} s: another "
            f"helm or playbook works on it. Wait for its end and run again; if there is none, run again in "
            f"{left / 60:.0f} minutes, or remove its record at once: kubectl -n {helm.namespace} delete secret "
            f"{record(helm.release, current)}"
        )


def _refuse_to_forget(helm: Helm, order: Order, found: Plan) -> None:
    """What a first installation that never worked was given binds nobody."""
    if not found.working:
        return
    installed = found.before["values"] if found.working == found.revision else helm.values(found.working)
    lost = _unsaid.unsaid(installed, order.values, order.forgotten)
    if lost:
        raise ReleaseFailed(
            f"release {helm.release} in namespace {helm.namespace} has values that nobody says now, so they would go: "
            f"{', '.join(lost)}. Nothing was changed. Say each of them in the inventory (registry_chart_values), with "
            "another value where it shall change; a migration has written what it made into journal.values.yml of its "
            "folder. Those that shall go are named: forget (registry_values_forgotten of the role)"
        )


def _age(moment: str) -> float | None:
    """Seconds since a moment as helm writes it (nanoseconds and an offset)."""
    head, _sep, rest = moment.partition(".")
    offset = rest.lstrip("0123456789") if rest else ""
    try:
        then = datetime.fromisoformat(head + offset)
    except ValueError:
        return None
    return (datetime.now(UTC) - then).total_seconds() if then.tzinfo else None


def last_working(helm: Helm) -> int:
    """The revision that is deployed, else the newest that was once; 0 without one. Raises HelmError.

    One that failed is called superseded, too, when helm tried to roll it back.
    """
    history = helm.history()
    for status in ("deployed", "superseded"):
        if found := [int(each["revision"]) for each in history if each.get("status") == status]:
            return max(found)
    return 0


def _shown(release: dict[str, Any] | None, values: dict[str, Any], namespace: str) -> dict[str, Any]:
    """A release as something to compare and to show: objects by title, secrets as digests."""
    if release is None:
        return {"objects": {}, "hooks": {}, "values": {}}
    hooks = {
        f"{hook['kind']} {hook['name']}": [_masked(item) for item in _objects.parse(str(hook["manifest"]))]
        for hook in release.get("hooks") or []
    }
    objects = {
        _objects.title(item, namespace): _masked(item) for item in _objects.parse(str(release.get("manifest") or ""))
    }
    return {"objects": objects, "hooks": hooks, "values": values or {}}


def _masked(item: dict[str, Any]) -> dict[str, Any]:
    if item.get("kind") != "Secret":
        return item
    hidden = {
        part: {key: f"sha256:{hashlib.sha256(str(text).encode()).hexdigest()[:16]}" for key, text in item[part].items()}
        for part in ("data", "stringData")
        if isinstance(item.get(part), dict)
    }
    return {**item, **hidden}


def _progress_line(found: list[Finding]) -> str:
    telling = [finding for finding in found if finding.need not in ("NotReady", "APIServiceUnavailable")]
    shown = telling or found
    return "; ".join(finding.found for finding in shown[:3])[:400] or "waiting for the hooks"


def _pairs(labels: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
