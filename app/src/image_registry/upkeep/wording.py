"""Reports of verifications and scrubs as lines for people, made from the documents that programs get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from image_registry.measures import size
from image_registry.upkeep.verifying import FAULTS, NOTES

SHOWN = 50
"""Findings that are written unless all are wanted."""


def verified(found: Mapping[str, Any], *, wide: bool) -> Iterator[str]:
    """Faults first, each with what it means; ``wide`` with what is only worth a note."""
    what = f"{found['repositories']} repositories, {found['manifests']} manifests and {found['blobs']} blobs"
    deep = f", {size(found['bytesRead'])} of them read" if found["deep"] else ""
    yield f"{found['scope']}: {what} looked at in {found['seconds']:.1f} s{deep}"
    wanted = [each for each in found["findings"] if wide or each["kind"] in FAULTS]
    for each in wanted if wide else wanted[:SHOWN]:
        where = f" {each['repository']}" if each["repository"] else ""
        detail = f" ({each['detail']})" if each["detail"] else ""
        yield f"{each['kind']}:{where} {each['subject']}{detail}"
    for kind, number in found["totals"].items():
        yield f"{number} {kind}: {FAULTS.get(kind) or NOTES[kind]}"
    if found["clean"]:
        yield "everything is there"
        return
    listed = len(found["findings"])
    cut = sum(found["totals"].values()) > listed
    more = f"{listed} of them, faults first: verify single namespaces for the rest" if cut else "every finding"
    yield f"NOT everything is as it should be; `-o json` has {more}"


def scrubbed(found: Mapping[str, Any]) -> Iterator[str]:
    """What was read, and what is wrong."""
    yield f"{found['blobs']} blobs ({size(found['bytes'])}) read in {found['seconds']:.1f} s"
    for kind in ("corrupt", "unreadable"):
        for each in found[kind]:
            cure = f"; {each['cure']}" if each.get("cure") else ""
            yield f"{kind}: {each['digest']} ({each['detail']}{cure})"
        left = found["totals"][kind] - len(found[kind])
        if left > 0:
            yield f"... and {left} more that are {kind}"
    if found["putAside"]:
        yield f"{found['putAside']} put aside: pulls of them are refused, a push of the same digest repairs them"
        if found.get("fetchedAgain"):
            yield f"{found['fetchedAgain']} of them are here again, fetched from where they were imported"
    elif found["totals"]["corrupt"]:
        yield "nothing was changed; --confirm puts aside what is corrupt"
    if found["quarantined"]:
        yield f"{found['quarantined']} lie in the quarantine, from now and before"
    yield "every blob is what its digest says" if found["clean"] else "NOT every blob is what its digest says"
