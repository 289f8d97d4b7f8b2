"""The report of a prune: lines for people, one document for programs; written row by row, however long it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Protocol

import click
import yaml

from image_registry.cli.output import problem
from image_registry.measures import age, size
from image_registry.pruning.outcome import Outcome
from image_registry.pruning.plan import Dropped, ImageVerdict, Plan
from image_registry.pruning.reasons import Reason

FORMS = ("json", "yaml", "wide")
SHORT = 19
"""Characters of a digest where it need not be whole."""


class Output(Protocol):
    """Told what happens, in this order; :meth:`done` from several threads."""

    def begin(self, plan: Plan) -> None:
        """The plan is made."""
        ...

    def done(self, line: str) -> None:
        """Something was deleted."""
        ...

    def end(self, plan: Plan, outcome: Outcome | None) -> None:
        """All is over; nothing was to be done without ``outcome``."""
        ...


def output(form: str | None, *, confirm: bool, planned: bool = False) -> Output:
    """The one for a form; ``planned`` shows the plan even if it is then carried out."""
    if form in ("json", "yaml"):
        return Document(_json if form == "json" else _yaml)
    return Lines(confirm=confirm, wide=form == "wide", planned=planned)


class Lines:
    """For people. The plan goes to the standard output, what is wrong to that of errors."""

    def __init__(self, *, confirm: bool, wide: bool, planned: bool) -> None:
        self._confirm, self._wide, self._planned = confirm, wide, planned

    def begin(self, plan: Plan) -> None:
        for finding in (*plan.usage.findings, *plan.findings):
            click.echo(f"Warning: {finding}", err=True)
        if plan.usage.more_findings:
            click.echo(f"Warning: {plan.usage.more_findings} more that could not be read", err=True)
        if self._confirm and not self._planned:
            return
        if not self._confirm:
            click.echo("Dry run: nothing is deleted. Use --confirm to delete.", err=True)
        for change in plan.streams():
            events = len(change.events) + len(change.following)
            noun = "item" if events == 1 else "items"
            click.echo(f"Would delete {events} {noun} from image stream {change.namespace}/{change.name}")
        for release in plan.releases():
            digest = self._digest(release.digest)
            click.echo(f"Would delete image {digest} from image stream {release.namespace}/{release.name}")
        if plan.totals.images:
            self._row("IMAGE", "SIZE", "AGE", "ACTION", "REASON")
        for verdict in plan.verdicts():
            if verdict.reason is not Reason.IMAGES_STAY:
                self._verdict(verdict, plan.rules.now)

    def done(self, line: str) -> None:
        click.echo(line)

    def end(self, plan: Plan, outcome: Outcome | None) -> None:
        for failure in outcome.failures if outcome else ():
            problem(str(failure))
        if outcome and outcome.stopped:
            problem(f"stopped: {outcome.stopped}")
        click.echo(_summary(plan, outcome))

    def _digest(self, digest: str) -> str:
        return digest if self._wide else digest[:SHORT]

    def _verdict(self, verdict: ImageVerdict, now: int) -> None:
        action = "delete" if verdict.goes else "keep"
        self._row(self._digest(verdict.digest), size(verdict.size), age(now - verdict.created), action, verdict.why)

    def _row(self, *cells: str) -> None:
        width = 71 if self._wide else SHORT
        click.echo(f"{cells[0]:<{width}}  {cells[1]:>10}  {cells[2]:>5}  {cells[3]:<6}  {cells[4]}")


class Document:
    """For programs: one object, its long lists written as they are read."""

    def __init__(self, write: Callable[[Mapping[str, Any], Mapping[str, Iterable[Any]]], Iterator[str]]) -> None:
        self._write = write

    def begin(self, plan: Plan) -> None:
        """Everything is said at the end."""

    def done(self, line: str) -> None:
        """Counted in the outcome."""

    def end(self, plan: Plan, outcome: Outcome | None) -> None:
        short = {
            "kind": "ImagePruneReport",
            "dryRun": outcome is None,
            "time": _time(plan.rules.now),
            "totals": asdict(plan.totals),
            "findings": [*plan.usage.findings, *plan.findings],
            **({"outcome": _outcome(outcome)} if outcome is not None else {}),
        }
        for part in self._write(short, {"streams": _streams(plan), "heldImages": _held(plan), "images": _images(plan)}):
            sys.stdout.write(part)
        sys.stdout.flush()


def _summary(plan: Plan, outcome: Outcome | None) -> str:
    totals = plan.totals
    done = "would delete" if outcome is None else "deleted"
    updated = "would update" if outcome is None else "updated"
    numbers: Outcome | Any = outcome if outcome is not None else None
    images, events, streams, links = (
        (numbers.deleted_images, numbers.dropped_events, numbers.changed_streams, numbers.released)
        if numbers is not None
        else (totals.deleted_images, totals.dropped_events, totals.changed_streams, totals.released)
    )
    parts = [
        f"{done} {number} {what}"
        for number, what in ((images, "image object(s)"), (events, "image stream tag item(s)"))
        if number
    ]
    parts += [f"{updated} {streams} image stream(s)"] if streams else []
    parts += [f"{done} {links} manifest link(s)"] if links else []
    lines = ["Summary: " + (", ".join(parts) or f"{done} 0 objects")]
    if outcome is not None and outcome.kept:
        lines.append(f"{outcome.kept} thing(s) of the plan are needed by now and were kept")
    if outcome is not None and outcome.failed:
        lines.append(f"{outcome.failed} thing(s) could not be done; run again")
    lines.append(
        f"{totals.deleted_images} of {totals.images} image(s) in the plan; {totals.freed_blobs} blob(s) of "
        f"{size(totals.freed_bytes)} (of {size(totals.all_bytes)}) belong to no other image"
    )
    return "\n".join(lines)


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


def _streams(plan: Plan) -> Iterator[dict[str, Any]]:
    for change in plan.streams():
        items = [_item(event) for event in (*change.events, *change.following)]
        yield {"namespace": change.namespace, "name": change.name, "uid": change.uid, "items": items}


def _item(event: Dropped) -> dict[str, Any]:
    return {"tag": event.tag, "image": event.image, "created": _time(event.created)}


def _held(plan: Plan) -> Iterator[dict[str, Any]]:
    for release in plan.releases():
        name = f"{release.name}@{release.digest}"
        yield {"namespace": release.namespace, "name": name, "pushed": _time(release.pushed)}


def _images(plan: Plan) -> Iterator[dict[str, Any]]:
    for verdict in plan.verdicts():
        yield {
            "name": verdict.digest,
            "size": verdict.size,
            "created": _time(verdict.created),
            "action": "delete" if verdict.goes else "keep",
            "reason": verdict.reason.name.lower(),
            "why": verdict.why,
        }


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(short: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> Iterator[str]:
    yield json.dumps(short, indent=2).removesuffix("\n}")
    for name, rows in lists.items():
        yield f',\n  "{name}": ['
        separator = "\n    "
        for row in rows:
            yield separator + json.dumps(row)
            separator = ",\n    "
        yield "\n  ]"
    yield "\n}\n"


def _yaml(short: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> Iterator[str]:
    yield yaml.safe_dump(dict(short), sort_keys=False, allow_unicode=True)
    for name, rows in lists.items():
        found = False
        for row in rows:
            if not found:
                yield f"{name}:\n"
            found = True
            yield yaml.safe_dump([row], sort_keys=False, allow_unicode=True, width=1000)
        if not found:
            yield f"{name}: []\n"
