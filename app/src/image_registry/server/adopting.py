"""Runs that make this registry's own what lies in its storage: other names, tables from storage, and the way back.

A migration that keeps the storage asks for them (ADR 80): it has no storage and no database, and Pods of the registry
have both.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from image_registry.imagestreams import forgetting, records
from image_registry.oci.reference import Repository
from image_registry.rebuilding import renaming
from image_registry.rebuilding.rebuild import Counts, Outcome
from image_registry.server.settings import Settings
from image_registry.server.tools import RebuildTools, integrity_tools, rebuild_tools
from image_registry.server.upkeep_options import forgotten, renames

if TYPE_CHECKING:
    from image_registry.server.upkeep_making import Making

LISTED = 1000
"""Findings in a report; totals count all."""

PATIENCE = 1.0
"""Seconds between two looks at a rebuild that another process makes."""

HELD_BACK = timedelta(hours=1)
"""How long nobody makes streams anew that were just forgotten: who goes back takes the storage away before that."""


def rename(settings: Settings, making: Making) -> Mapping[str, Any]:
    """Link repositories under other names, or take that back; without ``confirm`` look at what there is."""
    options = making.run.options
    names = renames(options)
    with integrity_tools(settings) as (store, _):
        if not making.run.changes:
            there = sum(renaming.read(store, Repository.parse(new)) is not None for new in names.values())
            return {"repositories": len(names), "renamed": there}
        work = renaming.take_back if options.get("undo") else renaming.rename
        return work(store, names, making.progress).document()


def rebuild(settings: Settings, making: Making) -> Mapping[str, Any]:
    """Make the tables from storage, from its first repository on; without ``confirm`` say what that would do."""
    started = time.monotonic()
    with rebuild_tools(settings) as tools:
        if not making.run.changes:
            counts, found = tools.rebuild.rehearse(lambda counts, _at: making.progress("manifests", counts.manifests))
            return _report(Outcome(complete=True, counts=counts), found, started)
        if making.run.notes.get("generation") != tools.ledger.state().generation:
            if next(iter(tools.store.record_names(records.STREAMS)), None) is not None:
                tools.recorder.catch_up()  # or what was recorded before would be taken for newer than the tables
            tools.ledger.begin_again()
            making.advance("begun", {"generation": tools.ledger.state().generation})
        outcome = _until_done(tools, making)
        return _report(outcome, list(tools.ledger.findings()), started)


def forget(settings: Settings, making: Making) -> Mapping[str, Any]:
    """Take streams out of the tables again that were made from storage; storage speaks for everything from then on."""
    names = forgotten(making.run.options)
    with rebuild_tools(settings) as tools:
        if not making.run.changes:
            return {"streams": len(names)}
        now = datetime.now(UTC)
        tools.ledger.hold_back(now + HELD_BACK)
        return asdict(forgetting.forget(tools.database, names, now))


def _until_done(tools: RebuildTools, making: Making) -> Outcome:
    """A serving process may be faster in taking the work; then this one waits for it, and goes on if that one dies."""
    from image_registry.server.upkeep_making import Stopped

    stop = threading.Event()

    def told(counts: Counts, _at: Repository) -> None:
        try:
            making.progress("manifests", counts.manifests)
        except Stopped:
            stop.set()

    while (outcome := tools.rebuild.run(stop, told)) is None:
        state = tools.ledger.state()
        counts = Counts(**{key: int(value) for key, value in state.counts.items()})
        if state.finished is not None:
            return Outcome(complete=True, counts=counts)
        making.progress("manifests", counts.manifests)
        time.sleep(PATIENCE)
    making.still()
    return outcome


def _report(outcome: Outcome, found: list[tuple[Repository, Any]], started: float) -> dict[str, Any]:
    return {
        "complete": outcome.complete,
        "seconds": round(time.monotonic() - started, 3),
        **asdict(outcome.counts),
        "unreadable": list(outcome.unreadable[:LISTED]),
        "totals": dict(sorted(Counter(finding.kind for _, finding in found).items())),
        "found": [{"repository": str(at) if at.name else "", **asdict(finding)} for at, finding in found[:LISTED]],
    }
