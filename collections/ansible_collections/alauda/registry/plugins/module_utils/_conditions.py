# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator says of its objects, and waiting until it says that all is as asked.

Private to this collection. Judging is a pure function of the object; the one loop that waits asks it again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding
from ansible_collections.alauda.registry.plugins.module_utils._readiness import hopeless

Document = dict[str, Any]
PAUSE = 1.0
"""Seconds between two looks."""

BY_A_PERSON = {"ConfigurationInvalid", "DefinitionMissing", "ObjectExists", "PermissionDenied", "SpecInvalid"}
"""Reasons of ``Degraded`` that no waiting cures."""


@dataclass(frozen=True)
class Verdict:
    """``doing`` says what is waited for; ``refused`` why waiting is in vain."""

    done: bool = False
    doing: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Waited:
    """How waiting ended: well, or with the sentence that says why not."""

    document: Document
    failure: str = ""
    findings: list[Finding] = field(default_factory=list)


def conditions(document: Document) -> dict[str, Document]:
    """By their type."""
    return {str(item.get("type")): item for item in (document.get("status") or {}).get("conditions") or []}


def config(document: Document) -> Verdict:
    """Of Config: whether the registry is what its specification says."""
    if waits := _unseen(document):
        return waits
    found = conditions(document)
    degraded, progressing = found.get("Degraded", {}), found.get("Progressing", {})
    if degraded.get("status") == "True" and degraded.get("reason") in BY_A_PERSON:
        return Verdict(refused=f"{degraded.get('reason')}: {degraded.get('message')}")
    if progressing.get("status") != "False" or progressing.get("reason") == "Error":
        return Verdict(doing=str(progressing.get("message") or "waiting for the operator"))
    for kind, wanted in (("Available", "True"), ("Degraded", "False")):
        said = found.get(kind, {})
        if said.get("status") != wanted:
            return Verdict(doing=str(said.get("message") or f"waiting for {kind}={wanted}"))
    return Verdict(done=True)


def pruner(document: Document) -> Verdict:
    """Of ImagePruner: whether the CronJob is what its specification says; how its runs end is another matter."""
    if waits := _unseen(document):
        return waits
    found = conditions(document)
    degraded, available = found.get("Degraded", {}), found.get("Available", {})
    if degraded.get("status") == "True" and degraded.get("reason") in BY_A_PERSON:
        return Verdict(refused=f"{degraded.get('reason')}: {degraded.get('message')}")
    if available.get("status") == "True" or available.get("reason") == "NoRegistry":
        return Verdict(done=True)
    return Verdict(doing=str(available.get("message") or "waiting for the CronJob"))


def wait(
    cluster: Cluster,
    path: str,
    judge: Callable[[Document], Verdict],
    progress: Callable[[str], None],
    *,
    timeout: float,
    patience: float,
    look: Callable[[], list[Finding]] = list,
) -> Waited:
    """Until the verdict is done. ``look`` finds reasons beside the object: Pods that can not start, for example.

    A read that fails counts as nothing seen: what is waited for may restart the way to the API server.
    """
    began = time.monotonic()
    document: Document = {}
    found: list[Finding] = []
    vain_since: float | None = None
    said = missing = ""
    while True:
        verdict = Verdict(doing="waiting for an answer of the API server")
        try:
            document = cluster.get(path)
            verdict, missing = judge(document), ""
            found = [] if verdict.done else look()
        except ClusterError as error:
            missing = str(error)
        if verdict.done:
            return Waited(document)
        elapsed = time.monotonic() - began
        in_vain = verdict.refused or (hopeless(found)[0].found if hopeless(found) else "")
        vain_since = (elapsed if vain_since is None else vain_since) if in_vain else None
        line = in_vain or verdict.doing
        if line != said:
            progress(line)
            said = line
        if vain_since is not None and elapsed - vain_since >= patience:
            return Waited(document, f"after {elapsed:.0f} s it is clear that waiting is in vain: {in_vain}", found)
        if elapsed >= timeout:
            return Waited(document, f"not ready after {timeout:.0f} s: {missing or line}", found)
        time.sleep(min(PAUSE, max(0.05, timeout - elapsed)))


def _unseen(document: Document) -> Verdict | None:
    wanted = (document.get("metadata") or {}).get("generation")
    seen = (document.get("status") or {}).get("observedGeneration")
    if seen == wanted:
        return None
    return Verdict(
        doing="the operator has not seen this change yet; if that lasts, look at its Pods "
        "(kubectl get pods -A -l app.kubernetes.io/component=operator)"
    )
