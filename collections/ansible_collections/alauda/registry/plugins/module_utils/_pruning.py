# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The door to the pruner of the Python package, and to its eye for images that workloads name.

Private to this collection. No rule is here: arguments are turned into its questions, plan and outcome into documents.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _library

IMPORT_ERROR: str | None = None
try:
    from image_registry.kube.client import ClusterClient
    from image_registry.kube.errors import (
        ClusterUnreachable,
        KubeconfigError,
        KubeError,
        NoRegistry,
        RightsMissing,
    )
    from image_registry.kube.image_references import (
        CustomField,
        ImageReference,
        UnknownResource,
        Unreadable,
        list_references,
    )
    from image_registry.pruning.applying import Executor, Outcome
    from image_registry.pruning.gathering import check_rights, find_hosts, make_plan, read_usage
    from image_registry.pruning.plan import Plan
    from image_registry.pruning.references import digest_in
    from image_registry.pruning.rules import Rules, parse_duration, parse_patterns
    from image_registry.pruning.schedule import Schedule, read_schedule
except ImportError:
    IMPORT_ERROR = traceback.format_exc()


WORDS = {
    "age": "keep_younger_than",
    "revisions": "keep_tag_revisions",
    "exclude": "a pattern of exclude",
    "all_images": "all_images=false",
    "over_limit": "over_size_limit",
    "namespace": "namespaces",
}
"""What the module calls the rules."""


class PruneError(Exception):
    """What cannot be done, and what to do about it."""


def need_package(module: AnsibleModule) -> None:
    """Name the Python package that is missing."""
    if IMPORT_ERROR:
        module.fail_json(msg=_library.missing(), exception=IMPORT_ERROR)


def _client(asked: dict[str, Any]) -> ClusterClient:
    from pathlib import Path

    return ClusterClient.from_kubeconfig(Path(asked["kubeconfig"]), asked["context"])


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except RightsMissing as error:
        rights = ", ".join(str(right) for right in error.rights)
        raise PruneError(
            f"these rights are missing, and nothing was done: {rights}. Bind the ClusterRole system:image-pruner to "
            "this user (registry_access with role pruner)"
        ) from None
    except (NoRegistry, ClusterUnreachable, KubeconfigError, KubeError, UnknownResource, ValueError) as error:
        raise PruneError(str(error)) from None


def pruned(asked: dict[str, Any], *, delete: bool) -> dict[str, Any]:
    """The result of ``image_prune``. Raises :class:`PruneError`."""
    with _told():
        client = _client(asked)
        schedule = read_schedule(client, asked["namespace"])
        rules = schedule.held(
            _rules(asked),
            age_given=asked["keep_younger_than"] is not None,
            revisions_given=asked["keep_tag_revisions"] is not None,
        )
        fields = [CustomField.parse(text) for text in (*asked["image_fields"], *schedule.image_fields)]
        check_rights(client, rules, fields, confirm=asked["confirm"], local_usage=False)
        weaker = _weaker(schedule, rules, asked)
        hosts = find_hosts(client, rules, (*asked["registry_hosts"], *schedule.registry_hosts))
        planner = make_plan(client, rules, read_usage(client, hosts, rules, fields))
        result = _planned(planner.plan, asked)
        result["findings"] += weaker
        if not (delete and result["changed"]):
            return result
        now = read_usage(client, hosts, rules, fields)
        outcome = Executor(client, planner, now, workers=asked["workers"]).run()
        done = outcome.dropped_events or outcome.released or outcome.deleted_images
        return {**result, "changed": bool(done), "outcome": _outcome(outcome)}


def _rules(asked: dict[str, Any]) -> Rules:
    """What the task says; times that it does not say are filled in from the schedule afterwards."""
    said: dict[str, Any] = {}
    if asked["over_size_limit"]:
        said["keep_younger_than"] = 0
    elif asked["keep_younger_than"] is not None:
        said["keep_younger_than"] = parse_duration(asked["keep_younger_than"])
    if asked["keep_tag_revisions"] is not None:
        said["keep_tag_revisions"] = asked["keep_tag_revisions"]
    return Rules(
        now=int(time.time()),
        all_images=asked["all_images"],
        over_limit=asked["over_size_limit"],
        namespaces=frozenset(asked["namespaces"]),
        allowed=parse_patterns(asked["exclude"]),
        **said,
    )


def _weaker(schedule: Schedule, rules: Rules, asked: dict[str, Any]) -> list[str]:
    """Findings where the task keeps less than the schedule does. Raises :class:`PruneError` where that is not named."""
    kept = "; ".join(schedule.keeps_more(rules))
    if kept and asked["confirm"] and not asked["below_schedule"]:
        raise PruneError(
            f"the schedule keeps more than this run would: {kept}. Nothing was deleted. Leave out keep_younger_than "
            "(registry_prune_keep_younger_than) and keep_tag_revisions (registry_prune_keep_tag_revisions) to prune as "
            "the schedule does, or say below_schedule=true (registry_prune_below_schedule)"
        )
    return [f"the schedule keeps more: {kept}"] if kept else []


def _planned(plan: Plan, asked: dict[str, Any]) -> dict[str, Any]:
    totals = asdict(plan.totals)
    most = asked["most_rows"]
    streams: list[dict[str, Any]] = [
        {
            "namespace": change.namespace,
            "name": change.name,
            "items": [{"tag": one.tag, "image": one.image} for one in (*change.events, *change.following)],
        }
        for change in islice(plan.streams(), most)
    ]
    images = [
        {
            "name": verdict.digest,
            "size": verdict.size,
            "action": "delete" if verdict.goes else "keep",
            "why": verdict.why,
        }
        for verdict in islice((one for one in plan.verdicts(WORDS) if one.goes or asked["show_kept"]), most)
    ]
    goes = bool(totals["dropped_events"] or totals["released"] or totals["deleted_images"])
    shown = [
        f"{one['namespace']}/{one['name']}:{item['tag']} {item['image']}" for one in streams for item in one["items"]
    ]
    shown += [f"image {one['name']}" for one in images if one["action"] == "delete"]
    return {
        "changed": goes and asked["confirm"],
        "totals": totals,
        "streams": streams,
        "images": images,
        "findings": [str(finding) for finding in (*plan.usage.findings, *plan.findings)],
        "outcome": {},
        "diff": {"before": {"unused": shown}, "after": {"unused": []}} if goes else {},
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "droppedEvents": outcome.dropped_events,
        "changedStreams": outcome.changed_streams,
        "released": outcome.released,
        "deletedImages": outcome.deleted_images,
        "kept": outcome.kept,
        "failed": outcome.failed,
        "failures": list(outcome.failures),
        "stopped": outcome.stopped,
    }


def references(asked: dict[str, Any]) -> dict[str, Any]:
    """The result of ``workload_image_references``. Raises :class:`PruneError`."""
    rows: list[dict[str, Any]] = []
    strange: list[dict[str, str]] = []
    counts: dict[str, int] = {}
    with _told():
        fields = [CustomField.parse(text) for text in asked["image_fields"]]
        namespaces = asked["namespaces"] or [""]
        client = _client(asked)
        for namespace in namespaces:
            for found in list_references(client, fields, namespace=namespace):
                if isinstance(found, Unreadable):
                    strange.append({"owner": found.owner, "why": found.why})
                    continue
                row = _reference(found)
                if row["running"] and not asked["running"]:
                    continue
                if asked["hosts"] and row["host"] not in asked["hosts"]:
                    continue
                counts[row["host"]] = counts.get(row["host"], 0) + 1
                rows.append(row)
    return {"references": rows, "hosts": dict(sorted(counts.items())), "unreadable": strange}


def _reference(found: ImageReference) -> dict[str, Any]:
    """One reference, taken apart as container runtimes do it; docker.io is what a name without a host means."""
    text = found.text.rpartition("://")[2]
    name, _at, _digest = text.partition("@")
    head, slash, rest = name.partition("/")
    has_host = bool(slash) and ("." in head or ":" in head or head == "localhost")
    path = rest if has_host else name
    repository, colon, tag = path.rpartition(":")
    kind, _blank, owner = found.owner.partition(" ")
    place, _slash, own = owner.rpartition("/")
    return {
        "kind": kind,
        "namespace": place,
        "name": own,
        "image": found.text,
        "host": head if has_host else "docker.io",
        "repository": repository if colon else path,
        "tag": tag if colon else "",
        "digest": digest_in(text),
        "running": found.running,
    }
