"""``image-registry metadata``: the same rebuild and the same records as behind the requests, with somebody watching."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import click

from image_registry.imagestreams.adoption import Finding
from image_registry.oci.reference import Repository
from image_registry.rebuilding.rebuild import Counts, Outcome, Rebuild
from image_registry.rebuilding.recording import Followed
from image_registry.server import starting
from image_registry.server.settings import Settings
from image_registry.server.tools import rebuild_tools

PATIENCE = 2.0
"""Seconds between two looks at a rebuild that another process makes."""

SHOWN = 50
"""Findings that are written as text; JSON has them all."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; without ``dry_run`` and ``apply`` it is written if nothing is overwritten by it."""

    dry_run: bool = False
    apply: bool = False
    resume: bool = False
    as_json: bool = False


def run(settings: Settings, wish: Wish) -> int:
    """Returns the exit status: 0 if the metadata is complete, or would be."""
    started = time.monotonic()
    with rebuild_tools(settings) as tools:
        tables = tools.database.is_current()
        held = tables and bool(tools.streams.repositories(namespaces=None, limit=1).items)
        if wish.dry_run or (held and not wish.apply and not wish.resume):
            counts, found = tools.rebuild.rehearse(_progress, tables=tables)
            _say_if_nothing(counts, settings)
            seconds = time.monotonic() - started
            status = _say(counts, found, complete=True, applied=False, seconds=seconds, as_json=wish.as_json)
            if not wish.dry_run:
                click.echo("image-registry: nothing was written, because there are streams already; --apply", err=True)
            return status
        starting.upgrade_database(settings, wait=0)
        if not wish.resume:
            tools.recorder.catch_up()  # what the tables know is remembered before they are compared
            tools.ledger.begin_again()
        outcome = _until_done(tools.rebuild)
        state = tools.ledger.state()
        counts = outcome.counts if outcome else Counts(**{key: int(value) for key, value in state.counts.items()})
        if outcome is not None:
            for text in outcome.unreadable:
                click.echo(f"image-registry: cannot read {text}", err=True)
        _say_if_nothing(counts, settings)
        seconds = time.monotonic() - started
        complete = state.finished is not None
        findings = tools.ledger.findings()
        return _say(counts, findings, complete=complete, applied=True, seconds=seconds, as_json=wish.as_json)


def record(settings: Settings, *, discard: bool) -> int:
    """Let the records say what the tables do, now; ``discard`` whatever they said. Returns the exit status."""
    with rebuild_tools(settings) as tools:
        if discard:
            tools.recorder.everything()
            return 0
        followed = tools.recorder.catch_up()
        if followed is Followed.NOTHING:
            return 0
        click.echo(
            f"image-registry: {followed.value}: nothing was recorded; `image-registry metadata rebuild` shows what the "
            "records know, --discard keeps what the tables know",
            err=True,
        )
        return 1


def _until_done(rebuild: Rebuild) -> Outcome | None:
    """A serving process may be faster in taking the work; then this one waits for it, and goes on if that one dies."""
    never = threading.Event()
    while (outcome := rebuild.run(never, _progress)) is None and not rebuild.complete():
        time.sleep(PATIENCE)
    return outcome


def _progress(counts: Counts, repository: Repository) -> None:
    if sys.stderr.isatty():
        seen = f"{counts.repositories} repositories, {counts.manifests} manifests"
        click.echo(f"\r{seen}: {repository}\033[K", err=True, nl=False)


def _say_if_nothing(counts: Counts, settings: Settings) -> None:
    """A folder above or below the right one looks like a registry without images."""
    if not counts.repositories:
        click.echo(
            f"image-registry: there is no repository in {settings.storage}; if you expected some, name the folder or "
            "the prefix that holds docker/registry/v2 (--root, REGISTRY_STORAGE_…_ROOTDIRECTORY)",
            err=True,
        )


def _say(
    counts: Counts,
    found: Iterable[tuple[Repository, Finding]],
    *,
    complete: bool,
    applied: bool,
    seconds: float,
    as_json: bool,
) -> int:
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    if as_json:
        findings = [{"repository": str(at) if at.name else "", **asdict(what)} for at, what in found]
        document = {
            "complete": complete,
            "applied": applied,
            "seconds": round(seconds, 3),
            **asdict(counts),
            "found": findings,
        }
        click.echo(json.dumps(document, indent=2))
        return 0 if complete else 1
    for number, (at, what) in enumerate(found):
        if number == SHOWN:
            click.echo(f"... and {counts.findings - SHOWN} more; -o json shows all")
            break
        click.echo(f"{what.kind}: {at if at.name else ''} {what.subject}: {what.detail}".replace("  ", " "))
    written = "were" if applied else "would be"
    click.echo(
        f"{'complete' if complete else 'NOT complete'} after {seconds:.1f} s: {counts.repositories} repositories, "
        f"{counts.manifests} manifests, {counts.tags} tags, {counts.remembered} records; {counts.images} Images, "
        f"{counts.tags_changed} tags and {counts.removed} removals {written} written; {counts.findings} findings"
    )
    return 0 if complete else 1
