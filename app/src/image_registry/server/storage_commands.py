"""``image-registry storage``: a registry is carried from one medium to another, with somebody watching."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from image_registry.server import proxy_settings
from image_registry.server.refusals import InvalidSettings
from image_registry.server.storage_settings import PREFIX, read_storage
from image_registry.server.terminal import Progress
from image_registry.storage.choice import Filesystem, Storage

MIB = 1 << 20
ENVIRONMENT = "environment"

_HELP = "environment: as REGISTRY_STORAGE… say; a folder; or a file with such variables, one NAME=value in each line."


@click.group("storage")
def storage() -> None:
    """Look after the medium that keeps the bytes."""


@storage.command("copy")
@click.option("--from", "source", default=ENVIRONMENT, show_default=True, metavar="PLACE", help=f"The source. {_HELP}")
@click.option("--to", "target", required=True, metavar="PLACE", help="The target, likewise; it is never read for more.")
@click.option("--confirm", is_flag=True, help="Do it; without this it is only said what would be copied.")
@click.option(
    "--complete", is_flag=True, help="Nobody writes to the source any more: bring uploads too, and prove it complete."
)
@click.option(
    "--replace", is_flag=True, help="The target may hold a registry that is no copy: let it become one of the source."
)
@click.option(
    "--check",
    type=click.Choice(["none", "written", "all"]),
    default="written",
    show_default=True,
    help="Which blobs of the target are read again and hashed.",
)
@click.option("--accept", multiple=True, metavar="DIGEST", help="A blob that may stay behind; can be repeated.")
@click.option("--parallel", type=click.IntRange(1, 64), default=8, show_default=True, help="Blobs at once.")
@click.option("--rate", type=click.FloatRange(min=0), default=0, help="MiB per second at most; 0: no limit.")
@click.option("--name", default="", help="What the source is called in the note of the copy; else its whole address.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="File for a short report, 4 KiB.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def copy(
    *,
    source: str,
    target: str,
    confirm: bool,
    complete: bool,
    replace: bool,
    check: str,
    accept: tuple[str, ...],
    parallel: int,
    rate: float,
    name: str,
    report: Path | None,
    output: str,
) -> None:
    """Copy a whole registry from one storage to another: blobs, links, records; while the source serves.

    Every blob is hashed as it is read, and is to be seen at the target only if it is right; what is wrong or cannot be
    read is named, and the rest goes on. A copy that was broken off is gone on with by the same command, and one that is
    made again brings only what is new. Nothing is changed at the source, and no blob is removed anywhere; links that
    the source does not have any more are removed from the target.

    \b
    Exit codes:
      0  everything came along
      1  something did not, or the target cannot be used
      2  wrong options
    """
    from image_registry.relocating import copying, places, wording  # what other commands need not load

    source_of, target_of = _place(source, "--from"), _place(target, "--to")
    if places.called(source_of) == places.called(target_of):
        raise click.BadParameter("that is the source itself", param_hint="--to")
    wish = copying.Wish(
        name=name or places.called(source_of),
        dry_run=not confirm,
        complete=complete,
        replace=replace,
        check=check,
        parallel=parallel,
        rate=rate * MIB,
        accepted=frozenset(accept),
    )
    progress = Progress()
    try:
        found = copying.copy(copying.Place.of(source_of), copying.Place.of(target_of), wish, progress)
    except Exception as error:
        if report is not None:
            _leave(report, {"clean": False, "state": "failed", "why": str(error)[:1000]})
        raise
    progress.end()
    if report is not None:
        _leave(report, wording.short(found))
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        for line in wording.lines(found):
            click.echo(line)
    sys.exit(0 if found["clean"] else 1)


def _leave(file: Path, found: dict[str, Any]) -> None:
    file.write_text(json.dumps(found, separators=(",", ":")), encoding="utf-8")


def _place(text: str, option: str) -> Storage:
    if text == ENVIRONMENT:
        return read_storage(os.environ)
    path = Path(text)
    if not path.is_file():
        if not path.is_dir():  # a name that is spelled wrong is no new place
            raise click.BadParameter(f"there is no folder or file {text}: make it first", param_hint=option)
        return Filesystem(rootdirectory=path)
    try:
        proxies = {name: os.environ[name] for name in proxy_settings.VARIABLES if name in os.environ}
        found = read_storage({**proxies, **_variables(path.read_text(encoding="utf-8"))})
    except (InvalidSettings, OSError, ValueError) as error:
        raise click.BadParameter(f"{text}: {error}", param_hint=option) from None
    return found


def _variables(text: str) -> dict[str, str]:
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        variable, equals, value = line.partition("=")
        if not equals or not variable.startswith(PREFIX):
            raise ValueError(f"line {number} is not {PREFIX}…=value")
        found[variable.strip()] = value.strip()
    return found
