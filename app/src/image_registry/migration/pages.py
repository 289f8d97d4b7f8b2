"""Pages for people: each needs nothing else, neither a network nor scripts.

Everything on them is text of a cluster that others can write to, so everything is escaped; a policy in the page forbids
what it does not need anyway.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from image_registry import measures


def render(template: str, **words: Any) -> str:
    """A whole page of the template ``<template>.html.j2``."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # of use to nobody who starts a command

    environment = Environment(
        loader=FunctionLoader(_text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"size": measures.size, "duration": measures.duration, "count": measures.count}
    return environment.get_template(f"{template}.html.j2").render(**words)


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
