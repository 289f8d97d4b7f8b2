"""What ``ac image mirror`` shows: a bar on a terminal, a line for each image elsewhere, and a report at the end."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

import click

from image_registry.cli.output import document
from image_registry.measures import size
from image_registry.mirroring.mirror import Prepared
from image_registry.mirroring.planner import ImagePlan, Plan
from image_registry.mirroring.results import COPIED, FAILED, NOT_TRIED, PRESENT, SKIPPED, Report, Result

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID


class Watcher:
    """Writes to the stream of errors; thread-safe. What draws bars is imported where somebody watches."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream, self._terminal, self._quiet = stream, stream.isatty(), quiet
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._images: TaskID | None = None
        self._bytes: TaskID | None = None

    def __enter__(self) -> Self:
        if self._terminal:
            from rich.progress import MofNCompleteColumn

            self._progress = self._bar(MofNCompleteColumn())
            self._images = self._progress.add_task("Looking", total=None)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """No more bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def looking(self, what: str, number: int) -> None:
        """So much has been looked at."""
        if self._progress is not None and self._images is not None:
            self._progress.update(self._images, description=f"Looking at {what}", completed=number)

    def planned(self, plan: Plan) -> None:
        """What is to be done is known."""
        if self._progress is None:
            return
        from rich.progress import DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

        self.stop()
        self._progress = self._bar(DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
        self._bytes = self._progress.add_task(f"Copying {len(plan.images)} images", total=plan.bytes)
        self._progress.start()

    def sent(self, number: int) -> None:
        """More bytes."""
        if self._progress is not None and self._bytes is not None:
            self._progress.advance(self._bytes, number)

    def image(self, result: Result) -> None:
        """One image is done, whatever became of it."""
        if self._quiet:
            return
        with self._lock:
            if self._progress is not None:
                self._progress.console.print(line(result), markup=False)
            else:
                click.echo(line(result), file=self._stream)

    def _bar(self, *columns: ProgressColumn) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(file=self._stream, highlight=False, soft_wrap=True)
        described = (TextColumn("{task.description}"), BarColumn())
        return Progress(*described, *columns, console=console, transient=True)


def line(result: Result) -> str:
    """One image on one line."""
    text = f"{result.status:9} {result.mapping.target}"
    if result.digest and not result.error:
        text += f" {result.digest}"
    if result.original:
        text += f" (filtered; {result.original} at the source)"
    if result.referrers:
        text += f" with {result.referrers} referrers"
    if result.lost:
        text += f"; {result.lost} referrers of the unfiltered index left out"
    return text + (f": {result.error}" if result.error else "")


def show_report(report: Report, form: str | None) -> None:
    """The end of a run."""
    if form is not None:
        document(form, _document(report))
        return
    for result in report.results:
        if result.before:
            click.echo(f"{'before':9} {result.mapping.target} {result.digest or ''}")
    speed = f", {size(report.sent_bytes / report.seconds)}/s" if report.sent_bytes and report.seconds > 1 else ""
    click.echo(
        f"{_counted(report)}; {report.sent_blobs} blobs sent ({size(report.sent_bytes)}), {report.mounted} mounted, "
        f"{report.manifests} manifests, in {report.seconds:.1f} s{speed}"
    )
    bad = [result for result in report.results if result.status in (FAILED, NOT_TRIED)]
    for result in bad:
        click.echo(f"  {result.mapping.source} -> {result.mapping.target}: {result.error}", err=True)
    if bad:
        click.echo("Run it again: what is done is not sent again.", err=True)


def _counted(report: Report) -> str:
    numbers = [(report.number(status), status) for status in (COPIED, PRESENT, SKIPPED, FAILED, NOT_TRIED)]
    return ", ".join(f"{number} {status}" for number, status in numbers if number) or "nothing to do"


def _document(report: Report) -> dict[str, Any]:
    return {
        "images": [result.document() for result in report.results],
        "totals": {
            "images": len(report.results),
            "copied": report.number(COPIED),
            "present": report.number(PRESENT),
            "skipped": report.number(SKIPPED),
            "failed": report.number(FAILED),
            "notTried": report.number(NOT_TRIED),
            "blobsSent": report.sent_blobs,
            "bytesSent": report.sent_bytes,
            "blobsMounted": report.mounted,
            "manifests": report.manifests,
            "seconds": round(report.seconds, 3),
        },
    }


def show_plan(prepared: Prepared, form: str | None) -> int:
    """What a run would do; the exit code."""
    plan = prepared.plan
    bad = [image for image in plan.images if image.looked.error is not None and not image.looked.missing]
    if form is not None:
        document(form, _plan_document(prepared))
        return 1 if bad else 0
    for image in plan.images:
        click.echo(_plan_line(plan, image))
    for result in prepared.before:
        click.echo(f"done before  {result.mapping.target}")
    for store, totals in sorted(plan.totals.items()):
        click.echo(
            f"{store.removeprefix('docker:')}: {totals.blobs} blobs to send ({size(totals.bytes)}), {totals.mounts} to "
            f"mount ({size(totals.mounted_bytes)}), {size(totals.present_bytes)} there already, "
            f"{totals.manifests} manifests"
        )
    click.echo("Nothing was changed (--dry-run).")
    return 1 if bad else 0


def _plan_line(plan: Plan, image: ImagePlan) -> str:
    looked = image.looked
    if looked.error is not None:
        return f"{'missing' if looked.missing else 'error':9} {looked.mapping.source}: {looked.error}"
    name = f"{looked.mapping.source} -> {looked.mapping.target} {looked.digest}"
    if not image.steps:
        return f"{'present':9} {name}"
    filtered = f" (filtered; {looked.original} at the source)" if looked.original else ""
    return f"{'copy':9} {name}{filtered} {size(_bytes(plan, image))}"


def _bytes(plan: Plan, image: ImagePlan) -> int:
    return sum(plan.blobs[step].bytes for step in image.steps if step in plan.blobs)


def _plan_document(prepared: Prepared) -> dict[str, Any]:
    plan = prepared.plan
    images = []
    for image in plan.images:
        looked = image.looked
        entry: dict[str, Any] = {
            "source": str(looked.mapping.source),
            "target": str(looked.mapping.target),
            "action": "skip" if looked.missing else "error" if looked.error else "copy" if image.steps else "none",
            "bytes": _bytes(plan, image),
        }
        if looked.digest:
            entry["digest"] = str(looked.digest)
        if looked.original:
            entry["sourceDigest"] = str(looked.original)
        if looked.error:
            entry["error"] = str(looked.error)
        images.append(entry)
    totals = {
        store: {
            "blobs": found.blobs,
            "bytes": found.bytes,
            "mounts": found.mounts,
            "mountedBytes": found.mounted_bytes,
            "presentBytes": found.present_bytes,
            "manifests": found.manifests,
        }
        for store, found in sorted(plan.totals.items())
    }
    before = [result.document() for result in prepared.before]
    return {"dryRun": True, "images": images, "before": before, "targets": totals}
