"""Options that kubectl has and click has not: switches with a value, ``--confirm``, ``--confirm=true``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class Switch(click.Option):
    """Takes a value behind ``=`` alone: ``--confirm team/app:v1`` is a switch and an argument, as in kubectl."""

    def make_metavar(self, ctx: click.Context) -> str:  # noqa: ARG002 - click asks
        """Say that the value may be left out."""
        return "[=true|false]"

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Write the value that stands for none, before click looks at the words."""
        super().add_to_parser(parser, ctx)
        bare(parser, self.opts, "true")


def bare(parser: Any, names: Sequence[str], value: str) -> None:
    """Let an option without ``=`` mean this value, and leave the next word alone."""
    whole = next(name for name in names if name.startswith("--"))
    parse = parser.parse_args

    def parse_args(args: list[str]) -> Any:
        end = args.index("--") if "--" in args else len(args)
        return parse([f"{whole}={value}" if word in names else word for word in args[:end]] + args[end:])

    parser.parse_args = parse_args


def switch(*names: str, default: bool, help_: str) -> Callable[[F], F]:
    """An option as kubectl has them: ``--confirm``, ``--confirm=true``, ``--confirm=false``."""
    return click.option(
        *names, cls=Switch, type=bool, is_flag=False, flag_value="true", default=default, show_default=True, help=help_
    )


def confirm_option(what: str) -> Callable[[F], F]:
    """``--confirm`` of whatever deletes: without it nothing is changed and what would go is shown."""
    return switch(
        "--confirm", default=False, help_=f"{what} Without it nothing is changed, and what would go is shown."
    )
