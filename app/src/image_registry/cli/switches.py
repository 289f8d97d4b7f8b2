"""Options that kubectl has and click has not: switches with a value, ``--confirm``, ``--confirm=true``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def switch(*names: str, default: bool, help_: str) -> Callable[[F], F]:
    """An option as kubectl has them: ``--confirm``, ``--confirm=true``, ``--confirm=false``."""
    return click.option(
        *names, type=bool, is_flag=False, flag_value="true", default=default, show_default=True, help=help_
    )


def confirm_option(what: str) -> Callable[[F], F]:
    """``--confirm`` of whatever deletes: without it nothing is changed and what would go is shown."""
    return switch(
        "--confirm", default=False, help_=f"{what} Without it nothing is changed, and what would go is shown."
    )
