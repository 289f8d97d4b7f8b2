"""Commands whose code is read when somebody asks for them.

Below the commands of ``ac`` lies most of the product, and each needs a part of it: to read everything took longer than
copying a small image does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module

import click


class OnDemand(MutableMapping[str, click.Command]):
    """Commands by name, from ``module:attribute`` below this package; names alone are known without reading any."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._read: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._read:
            module, _, attribute = self._places[name].partition(":")
            found = getattr(import_module(f"{__package__}.{module}"), attribute)
            if not isinstance(found, click.Command):
                raise TypeError(f"{module}:{attribute} is no command")
            self._read[name] = found
        return self._read[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._places[name] = ""
        self._read[name] = command

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._read.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
