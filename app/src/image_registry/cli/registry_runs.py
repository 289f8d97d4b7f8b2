"""Runs that a registry makes when it is asked: started, followed to their end, and told."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from image_registry.cli.failures import Failed, Unreachable
from image_registry.cli.output import note
from image_registry.cli.reading import Reading
from image_registry.cli.registry_door import Door, Refused

PATH = "/extensions/v2/upkeep"
WHAT = ("confirm", "namespace", "repository", "deep")
"""Options that make a run another one; by the rest (speed, ages) two of a kind are alike enough."""

FIRST, LONGEST = 0.2, 5.0
"""Seconds between two questions how far it is: they grow."""

PATIENCE = 120.0
"""Seconds for which a registry that does not answer is asked again: it may be rolling out. The run goes on."""


def follow(door: Door, kind: str, options: Mapping[str, Any], *, wait: bool = True) -> dict[str, Any]:
    """Start a run and return what became of it; without ``wait`` what it is at the beginning.

    Raises :class:`Failed`, :class:`Refused` and :class:`Unreachable`.
    """
    run = _start(door, kind, options)
    if not wait:
        return run
    with Reading(sys.stderr) as reading:
        run = _to_the_end(door, run, reading)
    if run["state"] == "succeeded":
        return run
    why = run["error"] or ("somebody stopped it" if run["state"] == "stopped" else "it does not say why")
    raise Failed(f"run {run['id']} of {door.url} {run['state']}: {why}")


def _start(door: Door, kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return door.ask("POST", PATH, {"kind": kind, "options": options})
    except Refused as refusal:
        found = refusal.detail.get("run")
        if not isinstance(found, dict):
            raise
        if other := _differing(found["options"], options):
            raise Failed(
                f"{refusal.message}, and is not what you ask for ({other}): wait for its end, or stop it by "
                f"`ac adm registry stop {found['id']}`"
            ) from None
        note(f"a run is at work already, which {found['askedBy'] or 'somebody'} asked for: following it")
        return found


def _differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """By what the run that is at work answers another question; empty if following it is as good."""
    return ", ".join(
        f"its {name} is {str(found[name]).lower() if found.get(name) else 'not set'}"
        for name in WHAT
        if (found.get(name) or None) != (wanted.get(name) or None)
    )


def _to_the_end(door: Door, run: dict[str, Any], reading: Reading) -> dict[str, Any]:
    pause, silent_since = FIRST, time.monotonic()
    while run["ended"] is None:
        progress = run["progress"]
        reading.read(progress["stage"] or "waiting for a process", progress["count"])
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST)
        try:
            run = door.ask("GET", f"{PATH}/{run['id']}")
            silent_since = time.monotonic()
        except Unreachable:
            if time.monotonic() - silent_since > PATIENCE:
                raise
    return run
