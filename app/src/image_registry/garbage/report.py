"""What a run did, as a document for programs and, made from that, as lines for people.

Made once, so that the command beside the data and the one that asks a registry say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from image_registry.garbage.collection import Report
from image_registry.garbage.rules import Rules
from image_registry.measures import hours, size
from image_registry.storage.blob_store import Stored


def document(report: Report, rules: Rules, spent: float, *, at_most: int | None = None) -> dict[str, Any]:
    """The report of a run of ``spent`` seconds; its lists are cut after ``at_most`` entries, its totals are not."""
    return {
        "dryRun": report.dry_run,
        "seconds": round(spent, 3),
        "graceSeconds": rules.grace.total_seconds(),
        "trashSeconds": rules.trash.total_seconds(),
        "atMostPercent": round(rules.share * 100, 1),
        "blobs": report.blobs,
        "young": report.young,
        "refusedByShare": report.too_much,
        "bytesFreed": 0 if report.dry_run else report.freed,
        "totals": {
            "links": len(report.links),
            "thrownAway": _total(report.thrown_away),
            "takenBack": len(report.taken_back),
            "removed": _total(report.removed),
            "inTrash": _total(report.waiting),
            "skipped": len(report.skipped),
            "failed": len(report.failed),
        },
        "links": [{"repository": name, "digest": str(digest)} for name, digest in report.links[:at_most]],
        "thrownAway": _entries(report.thrown_away[:at_most]),
        "takenBack": [str(digest) for digest in report.taken_back[:at_most]],
        "removed": _entries(report.removed[:at_most]),
        "inTrash": _entries(report.waiting[:at_most]),
        "skipped": report.skipped[:at_most],
        "failed": report.failed[:at_most],
    }


def clean(found: Mapping[str, Any]) -> bool:
    """Whether everything was understood and done."""
    return not found["totals"]["skipped"] and not found["totals"]["failed"]


def lines(found: Mapping[str, Any], *, wide: bool) -> Iterator[str]:
    """A document for people; ``wide`` with a line for each link and blob."""
    totals, dry_run = found["totals"], found["dryRun"]
    verb = "would be " if dry_run else ""
    yield f"{found['blobs']} blobs looked at in {found['seconds']:.1f} s"
    yield f"{totals['links']} links {verb}removed that nothing in their repository needs"
    yield f"{_blobs(totals['thrownAway'])} {verb}thrown away that no image needs"
    if found["young"]:
        yield f"{found['young']} more are younger than {hours(found['graceSeconds'])}"
    if totals["takenBack"]:
        yield f"{totals['takenBack']} blobs {verb}taken back out of the trash: somebody needs them"
    yield f"{_blobs(totals['removed'])} {verb}removed for good, after {hours(found['trashSeconds'])} in the trash"
    if totals["inTrash"]["blobs"]:
        yield f"{_blobs(totals['inTrash'])} {verb}left in the trash for now"
    if wide:
        yield from _each(found)
    for name in found["skipped"]:
        yield (
            f"{name}: its links were left alone, because not everything in it was understood; "
            "`image-registry metadata rebuild --dry-run` says what"
        )
    yield from _more(found, "skipped")
    yield from (f"not done: {text}" for text in found["failed"])
    yield from _more(found, "failed")
    if found["refusedByShare"]:
        share = f"{found['atMostPercent']:g}%"
        yield f"--confirm will be refused: that is more than {share} of all blobs (--at-most)"
    elif dry_run:
        yield "nothing was changed; --confirm does it"


def _each(found: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"link: {link['repository']} {link['digest']}" for link in found["links"])
    yield from _more(found, "links")
    for blob in found["thrownAway"]:
        yield f"thrown away: {blob['digest']} {size(blob['bytes'])} of {blob['since'].replace('T', ' ')[:19]}Z"
    yield from _more(found, "thrownAway")
    yield from (f"taken back: {digest}" for digest in found["takenBack"])
    yield from _more(found, "takenBack")
    yield from (f"removed: {blob['digest']} {size(blob['bytes'])}" for blob in found["removed"])
    yield from _more(found, "removed")


def _more(found: Mapping[str, Any], kind: str) -> Iterator[str]:
    total = found["totals"][kind]
    left = (total["blobs"] if isinstance(total, Mapping) else total) - len(found[kind])
    if left > 0:
        yield f"... and {left} more"


def _total(blobs: Sequence[Stored]) -> dict[str, int]:
    return {"blobs": len(blobs), "bytes": sum(blob.size for blob in blobs)}


def _entries(blobs: Iterable[Stored]) -> list[dict[str, Any]]:
    return [{"digest": str(blob.digest), "bytes": blob.size, "since": blob.since.isoformat()} for blob in blobs]


def _blobs(total: Mapping[str, int]) -> str:
    return f"{total['blobs']} blobs ({size(total['bytes'])})"
