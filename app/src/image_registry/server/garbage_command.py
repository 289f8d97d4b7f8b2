"""``image-registry garbage-collect``: a run of the collector with somebody watching."""

from __future__ import annotations

import json
import time

import click

from image_registry.garbage import report as reports
from image_registry.garbage import rules as ruling
from image_registry.garbage.rules import InvalidRules, Rules
from image_registry.server.settings import Settings
from image_registry.server.terminal import Progress
from image_registry.server.tools import garbage_tools

_OPTIONS = {"atMost": "--at-most"}


def rules(settings: Settings, *, grace: str, trash: str, at_most: int | None, rate: float) -> Rules:
    """What the options say. Raises :class:`click.BadParameter`."""
    options = {"grace": grace, "trash": trash, "atMost": at_most, "rate": rate}
    try:
        return ruling.read(options, settings.blob_promise)
    except InvalidRules as error:
        hint = _OPTIONS.get(error.option, f"--{error.option}")
        raise click.BadParameter(str(error), param_hint=hint) from None


def run(settings: Settings, rules: Rules, *, dry_run: bool, output: str) -> int:
    """Returns the exit status: 0 if all was well, 1 if some repositories could not be understood."""
    started, progress = time.monotonic(), Progress()
    with garbage_tools(settings, rules, progress) as collector:
        report = collector.run(dry_run=dry_run)
    progress.end()
    found = reports.document(report, rules, time.monotonic() - started)
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        for line in reports.lines(found, wide=output == "wide"):
            click.echo(line)
    return 0 if reports.clean(found) else 1
