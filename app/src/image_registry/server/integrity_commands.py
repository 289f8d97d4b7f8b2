"""``image-registry verify`` and ``scrub``: whether the bytes are there and right, with somebody watching."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from image_registry.server.settings import Settings
from image_registry.server.terminal import Progress
from image_registry.server.tools import fetching_tools, integrity_tools
from image_registry.server.upkeep_options import scope
from image_registry.upkeep import scrubbing, verifying, wording
from image_registry.upkeep.asking import InvalidOption
from image_registry.upkeep.hashing import Hashing
from image_registry.upkeep.verifying import Verifier

MIB = 1 << 20


def verify(settings: Settings, name: str, *, deep: bool, rate: float, output: str) -> int:
    """Returns the exit status: 0 if everything is there, 1 if not."""
    namespace, _, repository = name.partition("/")
    try:
        wanted = scope({"namespace": namespace, "repository": repository, "deep": deep, "rate": rate})
    except InvalidOption as error:
        raise click.BadParameter(str(error)) from None
    started, progress = time.monotonic(), Progress()
    with integrity_tools(settings) as (store, inventory):
        hashing = Hashing(store, wanted.rate) if deep else None
        verifier = Verifier(store, inventory, deep=hashing, progress=progress)
        report = verifier.run(wanted.namespace, wanted.repository)
    progress.end()
    read = hashing.read if hashing is not None else None
    found = verifying.document(report, str(wanted), time.monotonic() - started, read)
    _say(found, output, list(wording.verified(found, wide=output == "wide")))
    return 0 if report.clean else 1


def scrub(settings: Settings, *, confirm: bool, rate: float, after: str, output: str) -> int:
    """Returns the exit status: 0 if every blob is right, 1 if not."""
    started, progress = time.monotonic(), Progress()
    with fetching_tools(settings) as (store, fetch):
        hashing = Hashing(store, rate * MIB)
        report = scrubbing.scrub(store, hashing, confirm=confirm, fetch=fetch, after=after, progress=progress)
        aside = sum(1 for _ in store.quarantined())
    progress.end()
    found = scrubbing.document(report, time.monotonic() - started, confirm=confirm, quarantined=aside)
    _say(found, output, list(wording.scrubbed(found)))
    return 0 if report.clean else 1


def _say(found: dict[str, Any], output: str, lines: list[str]) -> None:
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return
    for line in lines:
        click.echo(line)
