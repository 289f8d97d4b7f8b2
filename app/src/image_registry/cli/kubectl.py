"""Everything that is not ours is kubectl's: the same arguments, its own output, its own exit code.

``ac`` becomes kubectl (exec), so that interrupts, terminals and pipes work as they do without us.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from image_registry.cli.failures import Wrong, told

PLACES = ("-n", "--namespace", "--kubeconfig", "--context")
"""Options that may stand before the command, as kubectl's may."""


def hand_over(arguments: Sequence[str]) -> NoReturn:
    """Become kubectl. Raises :class:`Wrong` where there is none."""
    program = shutil.which("kubectl")
    if program is None:
        raise Wrong(
            f"{' '.join(arguments[:2])!r} is no command of ac but one for kubectl, which is not on the PATH: install "
            "kubectl, or see `ac --help` for what ac does itself"
        )
    os.execv(program, ["kubectl", *arguments])  # noqa: S606 - the person's own kubectl, with their own arguments


class Shared(click.Group):
    """A group of which kubectl has one, too: what we do not know, we hand over."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options may come before the command, as kubectl takes them: ``ac get -A images``."""
        return super().parse_args(ctx, self._in_order(ctx, args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Ours, or kubectl's."""
        if args and not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            hand_over([*_words(ctx), *args])
        return super().resolve_command(ctx, args)

    def _in_order(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {name for option in self.get_params(ctx) for name in (*option.opts, *option.secondary_opts)}
        if (
            ctx.resilient_parsing
            or not args
            or not args[0].startswith("-")
            or args[0] in (known | set(ctx.help_option_names))
        ):
            return args
        place = self._place(ctx, args)
        if place is None:
            hand_over([*_words(ctx), *args])
        end = args.index("--", place) if "--" in args[place:] else len(args)
        return [*args[place:end], *args[:place], *args[end:]]

    def _place(self, ctx: click.Context, args: list[str]) -> int | None:
        """Where the command stands: the first word that is no option and no value of one."""
        skip = False
        for place, word in enumerate(args):
            if skip:
                skip = False
            elif word.startswith("-"):
                skip = word in PLACES
            else:
                return place if self.get_command(ctx, word) is not None else None
        return None


class Root(Shared):
    """``ac`` itself: errors of all commands are explained here."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with told():
            return super().invoke(ctx)


def _words(ctx: click.Context) -> list[str]:
    return ctx.command_path.split()[1:]
