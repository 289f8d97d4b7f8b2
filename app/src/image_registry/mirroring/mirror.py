"""The engine's door: mappings in, a plan out; a plan in, a report out."""

from __future__ import annotations

import threading
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from image_registry.mirroring.applying import Applying, Watching
from image_registry.mirroring.in_files import FileRepository
from image_registry.mirroring.in_layout import LayoutRepository
from image_registry.mirroring.in_registry import Client, RegistryRepository
from image_registry.mirroring.journal import Journal
from image_registry.mirroring.limits import Limits
from image_registry.mirroring.looking import Looked, Looking, View
from image_registry.mirroring.places import DOCKER, FILE, Mapping, Place
from image_registry.mirroring.planner import Plan, make_plan
from image_registry.mirroring.repositories import Repository
from image_registry.mirroring.results import Report, Result
from image_registry.mirroring.wishes import Wishes
from image_registry.oci.digest import Digest
from image_registry.remote.errors import RemoteError

Clients = typing.Mapping[str, Client]
"""For registries that are reached in another way, by ``host[:port]``."""

EndsAll = Callable[[RemoteError], bool]


def _never(_error: RemoteError) -> bool:
    """Every image is on its own."""
    return False


def _quiet(_what: str, _number: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run would do, and what an earlier run has done."""

    plan: Plan
    before: tuple[Result, ...] = ()


class Mirror:
    """Thread-safe but for :meth:`prepare` and :meth:`apply`, which come one after the other."""

    def __init__(
        self,
        client: Client,
        wishes: Wishes | None = None,
        limits: Limits | None = None,
        journal: Journal | None = None,
        others: Clients | None = None,
    ) -> None:
        self._client, self._wishes, self._others = client, wishes or Wishes(), others or {}
        self._limits, self._journal = limits or Limits(), journal or Journal()
        self._lock = threading.Lock()
        self._opened: dict[Place, Repository] = {}

    def open(self, place: Place) -> Repository:
        """A repository; the same one each time."""
        place = place.repository
        with self._lock:
            found = self._opened.get(place)
            if found is None:
                found = self._opened[place] = self._make(place)
            return found

    def prepare(self, mappings: Sequence[Mapping], told: Callable[[str, int], None] = _quiet) -> Prepared:
        """Look at everything and plan. Nothing is changed."""
        looking = Looking(self.open, self._wishes, self._limits, told)
        wanted, failed = looking.expand(mappings)
        before, rest = [], []
        for mapping in wanted:
            found = self._journal.image(mapping)
            if found is None:
                rest.append(mapping)
            else:
                before.append(_before(mapping, found))
        view = looking.look(rest, self._journal.has_blob)
        everything = View([*_stable(failed), *view.images], view.sizes)
        return Prepared(make_plan(everything, mounts=self._client.mounts, holder=self._journal.holder), tuple(before))

    def apply(
        self,
        prepared: Prepared,
        watching: Watching | None = None,
        *,
        continue_on_error: bool = False,
        ends_all: EndsAll = _never,
    ) -> Report:
        """Do what was planned. After an error that ``ends_all`` nothing more is begun, also if others would go on."""
        applying = Applying(
            prepared.plan,
            self.open,
            self._limits,
            self._journal,
            watching or Watching(),
            continue_on_error=continue_on_error,
            ends_all=ends_all,
        )
        report = applying.run()
        report.results[:0] = prepared.before
        return report

    def _make(self, place: Place) -> Repository:
        if place.kind == DOCKER:
            return RegistryRepository(place, self._others.get(place.root, self._client))
        return FileRepository(place) if place.kind == FILE else LayoutRepository(place)


def _stable(failed: list[Looked]) -> list[Looked]:
    return sorted(failed, key=lambda looked: str(looked.mapping))


def _before(mapping: Mapping, found: dict[str, object]) -> Result:
    digest = found.get("digest")
    return Result(mapping, str(found["status"]), Digest.parse(str(digest)) if digest else None, before=True)
