"""What commands print: rows for people, documents and names for programs, all in one place and one way.

Rows go to the standard output, and so do documents; whatever is said besides goes to that of errors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from image_registry.measures import age

F = TypeVar("F", bound=Callable[..., Any])

FORMS = ("json", "yaml", "wide", "name")
GAP = "   "


def output_option(*forms: str) -> Callable[[F], F]:
    """``-o``; ``None`` is the plain form."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(forms or FORMS), default=None, help="Form of what is printed."
    )


def rows(header: Sequence[str], lines: Iterable[Sequence[str]], *, headers: bool = True) -> None:
    """Columns as kubectl has them; the last one is not filled up."""
    table = [*([header] if headers else []), *lines]
    widths = [max(len(line[column]) for line in table) for column in range(len(header))] if table else []
    for line in table:
        filled = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo(GAP.join(filled).rstrip())


def document(form: str, found: Any) -> None:
    """One document: ``json`` or ``yaml``."""
    if form == "json":
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        import yaml  # most commands never print any

        click.echo(yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=1000), nl=False)


def written(form: str | None, found: Mapping[str, Any], name: str, said: str, *, dry_run: bool = False) -> None:
    """An object that was made or changed: itself, its name, or what happened to it."""
    if form in ("json", "yaml"):
        document(form, found)
    elif form == "name":
        click.echo(name)
    else:
        click.echo(f"{name} {said}{' (dry run)' if dry_run else ''}")


def note(text: str) -> None:
    """For people; no part of the result."""
    click.echo(text, err=True)


def warn(text: str) -> None:
    """Something that may not be meant."""
    note(f"Warning: {text}")


def problem(text: str) -> None:
    """What went wrong with one of several things; the command goes on. click says it so of what ends a command."""
    note(f"Error: {text}")


def moment(text: str) -> datetime | None:
    """A time of Kubernetes or of an image; ``None`` if it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def since(text: str, now: datetime | None = None) -> str:
    """How long ago, as kubectl has it; ``<unknown>`` for what is no time."""
    found = moment(text)
    if found is None or found.year <= 1:
        return "<unknown>"
    return age(((now or datetime.now(UTC)) - found).total_seconds())


def on_a_terminal() -> bool:
    """Whether somebody watches."""
    return sys.stderr.isatty()
