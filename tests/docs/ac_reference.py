"""Writes ``docs/reference/ac.md`` from the commands themselves: ``python -m tests.docs.ac_reference``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from image_registry.cli import ac, failures

EXIT_CODES = "\n".join(f"| {code} | {meaning} |" for code, meaning in failures.EXIT_CODES)
PAGE = Path(__file__).resolve().parents[2] / "docs/reference/ac.md"

HEAD = f"""# The command ac

Generated (`make docs`) from the commands, as `--help` shows them. Switches are written as kubectl has them:
`--confirm`, `--confirm=true`, `--confirm=false`. How the commands are used: [images from the command
line](../how-to/images.md), [prune](../how-to/prune.md).

What is not listed here is kubectl's: `ac get pods` runs `kubectl get pods`, if kubectl is on the `PATH`. Whatever
deletes images or tags shows what would go, and changes nothing without `--confirm`. Rows and documents go to the
standard output, everything said besides to that of errors. In a Pod, `ac` speaks as its ServiceAccount.

## Exit codes

| Code | Meaning |
| --- | --- |
{EXIT_CODES}

The code of a command that kubectl runs is kubectl's.
"""


def commands(found: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its whole name."""
    if isinstance(found, click.Group):
        for part, command in sorted(found.commands.items()):
            if part != command.name:
                continue  # a second, short name
            yield from commands(command, f"{name} {part}")
    else:
        yield name, found


def section(name: str, command: click.Command) -> str:
    """What one command says of itself."""
    context = click.Context(command, info_name=name, **ac.cli.context_settings)
    usage = " ".join((name, *command.collect_usage_pieces(context)))
    lines = [f"\n## {name}\n", f"`{usage}`\n", *_described(inspect.cleandoc(command.help or ""))]
    rows = [record for option in command.get_params(context) if (record := option.get_help_record(context))]
    lines += ["| Option | Meaning |", "| --- | --- |"]
    lines += [f"| `{_escaped(option)}` | {_escaped(' '.join(text.split()))} |" for option, text in rows]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page."""
    return HEAD + "".join(section(name, command) for name, command in commands(ac.cli, "ac"))


def _described(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            yield "```text\n" + paragraph.removeprefix("\b").strip("\n") + "\n```\n"
        else:
            yield paragraph + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;") if "`" in text or "<" in text else text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(not PAGE.write_text(page(), encoding="utf-8"))
