"""The report of a copy, for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from image_registry import measures

BRIEF = 3500
"""Bytes of a report that Kubernetes takes from a Pod: it cuts at 4096."""

SHOWN = 20
"""Failures that are printed; the report in JSON has more."""


def lines(found: dict[str, Any]) -> Iterator[str]:
    """What there is, what was done, what stayed behind, and what is next."""
    blobs, links, records = found["blobs"], found["links"], found["records"]
    yield f"{found['from']} to {found['to']}"
    yield f"blobs    {blobs['found']} ({measures.size(blobs['bytes'])}) at the source, {blobs['there']} there already"
    if found["dryRun"]:
        yield f"to copy  {blobs['toCopy']} ({measures.size(blobs['bytesToCopy'])})"
        yield f"links    {links['found']}, of which {links['written']} to write and {links['removed']} to remove"
        yield f"records  {records['found']}, of which {records['written']} to write and {records['removed']} to remove"
    else:
        speed = blobs["bytesCopied"] / max(found["seconds"], 0.001)
        size, fast = measures.size(blobs["bytesCopied"]), measures.size(speed)
        yield f"copied   {blobs['copied']} ({size}) in {measures.age(found['seconds'])}, {fast} a second"
        yield f"links    {links['found']}, {links['written']} written, {links['removed']} removed"
        yield f"records  {records['found']}, {records['written']} written, {records['removed']} removed"
        if found["uploads"]["found"]:
            yield f"uploads  {found['uploads']['found']} under way, {found['uploads']['copied']} copied"
    behind = {
        "in the trash": found["leftBehind"]["trash"] - blobs["fromTrash"],
        "in the quarantine": found["leftBehind"]["quarantine"],
        "damaged links": found["leftBehind"]["damagedLinks"],
        "files of no registry": found["leftBehind"]["strangers"],
        "accepted failures": len(found["accepted"]),
    }
    if stayed := ", ".join(f"{number} {what}" for what, number in behind.items() if number > 0):
        yield f"stay behind: {stayed}"
    for failure in found["failures"][:SHOWN]:
        yield f"FAILED {failure['what']}: {failure['why']}"
    if found["failed"] > SHOWN:
        yield f"and {found['failed'] - SHOWN} more: see -o json"
    yield _next(found)


def _next(found: dict[str, Any]) -> str:
    if "why" in found:
        return f"broken off: {found['why']}"
    if found["dryRun"]:
        return "nothing was changed: this was a dry run, --confirm copies"
    if found["failed"]:
        return f"{found['failed']} could not be copied: repair them and copy again, or name them by --accept"
    if found["changedMeanwhile"]:
        return (
            f"the source changed while it was copied ({found['changedMeanwhile']} differences): make it read-only first"
        )
    if found["state"] == "complete":
        return "the copy is complete: let the registry use it. The source stays as it is"
    return "what was there has been copied: make the registry read-only, and copy once more with --complete"


def short(found: dict[str, Any]) -> dict[str, Any]:
    """The report with as many names as fit into what Kubernetes keeps of a Pod."""
    brief = {key: value for key, value in found.items() if not isinstance(value, list)}
    if "why" in brief:
        brief["why"] = brief["why"][:1000]
    brief["failures"] = list[dict[str, str]]()
    for failure in found["failures"]:
        cut = {"what": failure["what"], "why": failure["why"][:200]}
        if len(json.dumps({**brief, "failures": [*brief["failures"], cut]})) > BRIEF:
            break
        brief["failures"].append(cut)
    return brief
