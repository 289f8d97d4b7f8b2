"""``image-registry rebuild``: the same rebuild as behind the requests, with somebody watching."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict

import click

from image_registry.imagestreams.adoption import Finding
from image_registry.oci.reference import Repository
from image_registry.rebuilding.rebuild import Counts, Outcome, Rebuild
from image_registry.server import starting, wiring
from image_registry.server.settings import Settings

PATIENCE = 2.0
"""Seconds between two looks at a rebuild that another process makes."""

SHOWN = 50
"""Findings that are written as text; JSON has them all."""


def run(settings: Settings, *, dry_run: bool, resume: bool, as_json: bool) -> int:
    """Returns the exit status: 0 if the metadata is complete, or would be."""
    started = time.monotonic()
    with wiring.rebuild_tools(settings) as (rebuild, ledger):
        if dry_run:
            counts, found = rebuild.rehearse(_progress)
            _say_if_nothing(counts, settings)
            return _say(counts, found, complete=True, seconds=time.monotonic() - started, as_json=as_json)
        starting.upgrade_database(settings, wait=0)
        if not resume:
            ledger.begin_again()
        outcome = _until_done(rebuild)
        state = ledger.state()
        counts = outcome.counts if outcome else Counts(**{key: int(value) for key, value in state.counts.items()})
        if outcome is not None:
            for text in outcome.unreadable:
                click.echo(f"image-registry: cannot read {text}", err=True)
        _say_if_nothing(counts, settings)
        seconds = time.monotonic() - started
        complete = state.finished is not None
        return _say(counts, ledger.findings(), complete=complete, seconds=seconds, as_json=as_json)


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
    seconds: float,
    as_json: bool,
) -> int:
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    if as_json:
        findings = [{"repository": str(at) if at.name else "", **asdict(what)} for at, what in found]
        document = {"complete": complete, "seconds": round(seconds, 3), **asdict(counts), "found": findings}
        click.echo(json.dumps(document, indent=2))
        return 0 if complete else 1
    for number, (at, what) in enumerate(found):
        if number == SHOWN:
            click.echo(f"... and {counts.findings - SHOWN} more; -o json shows all")
            break
        click.echo(f"{what.kind}: {at if at.name else ''} {what.subject}: {what.detail}".replace("  ", " "))
    click.echo(
        f"{'complete' if complete else 'NOT complete'} after {seconds:.1f} s: {counts.repositories} repositories, "
        f"{counts.manifests} manifests, {counts.tags} tags; {counts.images} Images are new, {counts.tags_changed} tags "
        f"and {counts.removed} removals were written; {counts.findings} findings"
    )
    return 0 if complete else 1
