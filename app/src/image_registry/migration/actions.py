"""What a step's action has to offer: to say what a rollback needs, to do, and to take back.

An action is done again when the process ended in its middle, and taken back when it may have been done only in part. So
``do`` and ``undo`` lead to an end from wherever they find things, and neither decides anything that the plan has not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from image_registry.kube.client import ClusterClient
from image_registry.migration.ahead import Ahead
from image_registry.migration.content import ContentFile
from image_registry.migration.facts import ObjectName
from image_registry.migration.plan import Plan, Step
from image_registry.migration.spelling import Spelling, command_line
from image_registry.remote.asking import Access

PER_REGISTRY, MOST_PER_REGISTRY = 16, 64
"""Requests at once of a copy for each of the two registries unless somebody says another number, and the largest that
may be said. A push waits for the disk of the target, not for its processor (ADR 95)."""

Saved = Mapping[str, Any]
"""Plain values for the way back, written into the journal before anything is done; never a Secret."""


class StepFailed(Exception):
    """A step cannot be done. The text says what happened, where, and what to do next."""


class Untouched(StepFailed):
    """It was refused, and by that alone it is certain that nothing of it was done."""


class NotYet(StepFailed):
    """It is under way and takes longer than anybody should wait here: the same command goes on later."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: ``detail`` is told to people. It raises :class:`StepFailed` for any other end."""

    detail: str = ""
    saved: Saved = field(default_factory=dict)
    """Besides what ``before`` gave; what was saved first stays."""
    skipped: bool = False
    """There was nothing to do."""
    open: tuple[str, ...] = ()
    """Of a gate: what is not as it must be, each as ``<kind>:<object>``, by which it is accepted."""


@dataclass(frozen=True, slots=True)
class RegistryDoor:
    """How a registry is asked; ``url`` as a person names it, empty for this registry where its Service is."""

    url: str
    access: Access = field(repr=False)
    authorities: str = ""
    """PEM."""
    known: Mapping[str, str] = field(default_factory=dict)
    """Addresses of hosts that no resolver here knows."""


class Settings(Protocol):
    """This registry's installation: its values are changed, and a change is there when the call returns."""

    @property
    def keeper(self) -> str:
        """Who keeps the values, ``helm`` or ``operator``: a migration ends by the one by whom it began."""

    def current(self) -> Mapping[str, Any] | None:
        """Values as they stand; ``None`` if it is not installed."""

    def write(self, values: Mapping[str, Any], tell: Callable[[str], None]) -> None:
        """Install or change. Raises :class:`StepFailed`."""

    def resting(self) -> Mapping[str, Any]:
        """Objects that speak of an installation where there is none, as they stand, by name."""

    def remove(self, tell: Callable[[str], None], resting: Mapping[str, Any]) -> None:
        """Uninstall; bytes and names of images are kept. What rested before is left as it was.

        Raises :class:`StepFailed`.
        """

    def unusable(self) -> str:
        """Why nothing can be installed by it; empty if it can. Nothing is written."""

    def below(self) -> Mapping[str, Any]:
        """Values that somebody gives below those of the plan, until a first installation came up."""

    def by_hand(self, values: Mapping[str, Any]) -> str:
        """What a person has to do before these can be written, as a sentence; empty for nothing."""

    def take_over(self, objects: Iterable[ObjectName]) -> None:
        """Let objects that somebody else made belong to the installation, those that are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What actions work with. ``folder`` lies beside the journal: what an action keeps there it finds again."""

    plan: Plan
    client: ClusterClient
    folder: Path
    settings: Settings
    undecided: str = ""
    """Why nobody knows by whom this registry is to be installed; empty where somebody does. With it one only looks."""
    source: RegistryDoor | None = None
    target: RegistryDoor | None = None
    content: ContentFile | None = None
    """The survey that the plan was made from."""
    accepted: tuple[str, ...] = ()
    """Exceptions and what was done by hand, by name; ``*`` stands for any text."""
    max_per_registry: int = PER_REGISTRY
    """Requests at once of a copy, for each of the two registries."""
    data: Any = None
    """Doors of the data actions (their own dataclass), if there are any."""
    tell: Callable[[str], None] = lambda _line: None
    """A line of progress, at most one a second."""
    global_client: ClusterClient | None = None
    """Of the global cluster, where records of the installation lie."""
    spelling: Spelling = command_line
    """How messages say what can be said."""
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    saved: Callable[[Step], Saved] = lambda _step: {}
    """What the journal has of a step for the way back; nothing for one that was not begun."""
    ahead: Ahead = field(default_factory=Ahead)
    """What earlier steps would have left, where one only looks; empty in a run."""

    def accepts(self, name: str) -> bool:
        """Whether somebody accepted it by name."""
        literal = (pattern.replace("[", "[[]") for pattern in self.accepted)
        return any(pattern == name for pattern in self.accepted) or any(fnmatchcase(name, each) for each in literal)

    def not_accepted(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of them that nobody has."""
        return tuple(name for name in names if not self.accepts(name))


class Doer(Protocol):
    """One action. Each method may be called again after it was interrupted at any point."""

    def foresee(self, step: Step, context: Context) -> str:
        """What ``do`` would change after the steps in ``context.ahead``, in one line; empty for nothing.

        Writes nothing but into ``context.ahead``, and files of its own into ``context.folder``. Raises what ``do``
        would raise, :class:`~image_registry.migration.ahead.Unforeseen` where that is not known yet, and
        :class:`~image_registry.migration.ahead.NotGreen`.
        """

    def before(self, step: Step, context: Context) -> Saved:
        """What ``undo`` will need, read before anything is done."""

    def do(self, step: Step, saved: Saved, context: Context) -> Outcome:
        """Do it and see that it is so. Raises :class:`StepFailed`, ``KubeError``, ``ClusterUnreachable``."""

    def undo(self, step: Step, saved: Saved, context: Context) -> Outcome:
        """Take it back, whether it was done or only begun. Raises as ``do`` does."""
