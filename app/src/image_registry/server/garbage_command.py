"""``image-registry garbage-collect``: a run of the collector with somebody watching."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import timedelta

import click

from image_registry.garbage.collection import Report, Rules
from image_registry.server.settings import Settings, seconds
from image_registry.server.tools import garbage_tools
from image_registry.storage.blob_store import Stored

SAFETY = 2
"""Times the promise of a registry that the grace time is at least."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
NOT_A_TERMINAL = 10.0
"""Seconds between two lines about progress where nobody can see one change."""


def rules(settings: Settings, *, grace: str, trash: str, at_most: int, rate: float) -> Rules:
    """What the options say. Raises :class:`click.BadParameter`."""
    careful = _duration(grace, "--grace")
    least = timedelta(seconds=settings.blob_promise * SAFETY)
    if careful < least:
        raise click.BadParameter(
            f"{grace} is less than {int(least.total_seconds())} s: whoever was told that a blob is there relies on it "
            f"for {int(settings.blob_promise)} s (REGISTRY_BLOB_PROMISE), and would have to push again",
            param_hint="--grace",
        )
    return Rules(careful, _duration(trash, "--trash"), at_most / 100, rate)


def run(settings: Settings, rules: Rules, *, dry_run: bool, output: str) -> int:
    """Returns the exit status: 0 if all was well, 1 if some repositories could not be understood."""
    started, progress = time.monotonic(), _Progress()
    with garbage_tools(settings, rules, progress) as collector:
        report = collector.run(dry_run=dry_run)
    progress.end()
    spent = time.monotonic() - started
    if output == "json":
        click.echo(json.dumps(_document(report, rules, spent), indent=2))
    else:
        for line in _lines(report, rules, spent, wide=output == "wide"):
            click.echo(line)
    return 1 if report.skipped or report.failed else 0


def _lines(report: Report, rules: Rules, spent: float, *, wide: bool) -> list[str]:
    verb = "would be " if report.dry_run else ""
    back = f"{len(report.taken_back)} blobs {verb}taken back out of the trash: somebody needs them"
    lines = [
        f"{report.blobs} blobs looked at in {spent:.1f} s",
        f"{len(report.links)} links {verb}removed that nothing in their repository needs",
        f"{_blobs(report.thrown_away)} {verb}thrown away that no image needs",
        *([f"{report.young} more are younger than {_short(rules.grace)}"] if report.young else []),
        *([back] if report.taken_back else []),
        f"{_blobs(report.removed)} {verb}removed for good, after {_short(rules.trash)} in the trash",
        *([f"{_blobs(report.waiting)} {verb}left in the trash for now"] if report.waiting else []),
    ]
    if wide:
        lines += [f"link: {name} {digest}" for name, digest in report.links]
        lines += [
            f"thrown away: {blob.digest} {_size(blob.size)} of {blob.since:%F %T}Z" for blob in report.thrown_away
        ]
        lines += [f"taken back: {digest}" for digest in report.taken_back]
        lines += [f"removed: {blob.digest} {_size(blob.size)}" for blob in report.removed]
    lines += [
        f"{name}: its links were left alone, because not everything in it was understood; "
        "`image-registry metadata rebuild --dry-run` says what"
        for name in report.skipped
    ]
    lines += [f"not done: {text}" for text in report.failed]
    if report.too_much:
        lines.append(f"--confirm will be refused: that is more than {rules.share:.0%} of all blobs (--at-most)")
    elif report.dry_run:
        lines.append("nothing was changed; --confirm does it")
    return lines


def _document(report: Report, rules: Rules, spent: float) -> dict[str, object]:
    return {
        "dryRun": report.dry_run,
        "seconds": round(spent, 3),
        "graceSeconds": rules.grace.total_seconds(),
        "trashSeconds": rules.trash.total_seconds(),
        "blobs": report.blobs,
        "young": report.young,
        "refusedByShare": report.too_much,
        "links": [{"repository": name, "digest": str(digest)} for name, digest in report.links],
        "thrownAway": _entries(report.thrown_away),
        "takenBack": [str(digest) for digest in report.taken_back],
        "removed": _entries(report.removed),
        "inTrash": _entries(report.waiting),
        "skipped": report.skipped,
        "failed": report.failed,
        "bytesFreed": 0 if report.dry_run else report.freed,
    }


def _entries(blobs: Sequence[Stored]) -> list[dict[str, object]]:
    return [{"digest": str(blob.digest), "bytes": blob.size, "since": blob.since.isoformat()} for blob in blobs]


def _blobs(blobs: Sequence[Stored]) -> str:
    return f"{len(blobs)} blobs ({_size(sum(blob.size for blob in blobs))})"


def _size(number: float) -> str:
    for unit in UNITS:
        if number < 1024 or unit == UNITS[-1]:
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


def _short(span: timedelta) -> str:
    total = int(span.total_seconds())
    return f"{total // 3600} h" if total and total % 3600 == 0 else f"{total} s"


def _duration(text: str, option: str) -> timedelta:
    try:
        return timedelta(seconds=seconds(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no duration; write 24h, 90m or 30s", param_hint=option) from None


class _Progress:
    """A line that changes on a terminal, a line now and then elsewhere, both beside the result."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = time.monotonic() + (0.2 if self._terminal else NOT_A_TERMINAL)

    def __call__(self, stage: str, count: int) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (0.2 if self._terminal else NOT_A_TERMINAL)
        if self._terminal:
            click.echo(f"\r{stage}: {count}\033[K", err=True, nl=False)
        else:
            click.echo(f"{stage}: {count}", err=True)

    def end(self) -> None:
        """Take the line away."""
        if self._terminal:
            click.echo("\r\033[K", err=True, nl=False)
