"""The two registries of a migration as the data actions ask them: clients, names, and the runs of the new one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from image_registry.migration.actions import Context, RegistryDoor, StepFailed
from image_registry.migration.own_service import by_address, by_service
from image_registry.migration.survey_registry import LegacyRegistry, SurveyOptions
from image_registry.mirroring.in_registry import Client
from image_registry.mirroring.places import DOCKER, Place
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.remote.addresses import AddressRules
from image_registry.remote.asking import Access, Question
from image_registry.remote.budget import Budget
from image_registry.remote.errors import Forbidden, NotFound, RemoteError, Unauthorized
from image_registry.remote.reference import RemoteReference, parse_registry
from image_registry.remote.registry import ACCEPT, Registries
from image_registry.remote.sources import SourceRules
from image_registry.remote.tokens import PULL, PUSH
from image_registry.remote.wire import Wire
from image_registry.remote.writing import Writing

UPKEEP = "/extensions/v2/upkeep"
ANSWER = 300.0
"""Seconds that a registry may take to put a large blob in its place."""

NO_LIMIT = 1_000_000
LARGEST = 16 << 20
"""Bytes of a report."""

BODY = 48 << 10
"""Bytes of one request for a run; the registry reads a little more."""


@dataclass(frozen=True, slots=True)
class Registry:
    """One of the two, by its door."""

    door: RegistryDoor
    name: str
    """``host[:port]`` as references have it."""
    client: Client = field(repr=False)

    @staticmethod
    def of(door: RegistryDoor) -> Registry:
        """Raises :class:`StepFailed` for an address that is none."""
        parts = urlsplit(door.url if "://" in door.url else f"https://{door.url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StepFailed(f"{door.url!r} is no address of a registry: write http(s)://host[:port]")
        place = parts.netloc.rpartition("@")[2]
        name = parse_registry(f"{place}:80" if parts.scheme == "http" and parts.port is None else place)
        wire = Wire(AddressRules.of(["0.0.0.0/0", "::/0"]), authorities=door.authorities, known=door.known, read=ANSWER)
        registries = Registries(wire, SourceRules(), Budget(NO_LIMIT, NO_LIMIT))
        access = replace(door.access, insecure=True) if parts.scheme == "http" else door.access
        return Registry(door, name, Client(registries, Writing(registries.questions), access))

    @property
    def access(self) -> Access:
        return self.client.access

    def survey(self, options: SurveyOptions) -> LegacyRegistry:
        """For looking at what it holds."""
        return LegacyRegistry(self.door.url, self.access, options, self.door.authorities)

    def place(self, repository: str, wanted: Digest | str = "") -> Place:
        """For the engine that copies."""
        place = Place(DOCKER, self.name, repository)
        return place.at(wanted) if wanted else place

    def at(self, repository: str) -> RemoteReference:
        return RemoteReference(self.name, repository)

    def tags(self, repository: str) -> list[str] | None:
        """``None`` if there is no such repository."""
        try:
            return self.client.registries.tags(self.at(repository), self.access, most=NO_LIMIT)
        except NotFound:
            return None

    def digest(self, repository: str, wanted: Digest | str) -> Digest | None:
        """What a tag or digest means now; ``None`` if it means nothing."""
        try:
            return self.client.registries.digest(self.at(repository).at(wanted), self.access)
        except NotFound:
            return None

    def read_manifest(self, repository: str, digest: Digest) -> None:
        """Raises :class:`RemoteError` unless its bytes come and have this digest, whatever they are."""
        with self.client.registries.questions.ask(
            "GET", self.at(repository).at(digest), f"manifests/{digest}", self.access, accept=ACCEPT
        ) as answer:
            found = Digest.of(answer.read(LARGEST), digest.algorithm)
        if found != digest:
            raise RemoteError(f"{self.name} sends {found} when {digest} is asked for")

    def blob_size(self, repository: str, digest: Digest) -> int | None:
        """``None`` for one that the repository has not got."""
        try:
            with self.client.registries.questions.ask(
                "HEAD", self.at(repository).at(digest), f"blobs/{digest}", self.access
            ) as answer:
                return answer.length or 0
        except NotFound:
            return None

    def delete_tag(self, repository: str, tag: str) -> bool:
        """False if there was none."""
        question = Question("DELETE", self.at(repository), f"manifests/{tag}", scope=PUSH)
        try:
            with self.client.registries.questions.put(question, self.access):
                return True
        except NotFound:
            return False

    def lets_in(self) -> str:
        """Why the credentials are not accepted (any more); empty if they are, or if that cannot be said now."""
        try:
            with self._put("GET", "/v2/"):
                return ""
        except Unauthorized as error:
            return str(error)
        except RemoteError:
            return ""

    def see_to_login(self, named: str) -> None:
        """Refused for one image may be a right that is missing; refused for everything is a login that expired, of
        which no image is to blame. Raises :class:`StepFailed` for that; ``named`` is how people know this registry."""
        if why := self.lets_in():
            raise StepFailed(
                f"{named} does not accept the credentials (any more): {why}. Get new ones (`kubectl create token`) "
                "and run again; it goes on where it stopped"
            )

    def silent(self) -> str:
        """Why it answers nobody; empty if it does, and be it that somebody else may come in."""
        try:
            with self._put("GET", "/v2/"):
                return ""
        except (Unauthorized, Forbidden):
            return ""
        except RemoteError as error:
            return str(error)

    def run(self, kind: str, options: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Let the registry make a run and wait for its end; its report. Raises :class:`StepFailed`."""
        run = self._begin(kind, options, context)
        pause = 0.2
        while not run.get("ended"):
            progress = run.get("progress") or {}
            begun = f"{progress['stage']} {progress.get('count') or 0}" if progress.get("stage") else ""
            context.tell(f"{kind}: {begun or 'waiting for a process'}")
            context.sleep(pause)
            pause = min(pause * 1.5, 2.0)
            run = self._ask("GET", f"{UPKEEP}/{run['id']}")
        if run["state"] != "succeeded":
            why = run.get("error") or "somebody stopped it"
            raise StepFailed(f"run {run['id']} ({kind}) of {self.name} {run['state']}: {why}; see its log, then repeat")
        report: dict[str, Any] = run.get("report") or {}
        return report

    def _begin(self, kind: str, options: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Our own run that an interruption left behind is followed; another one is waited for."""
        while True:
            for run in self._ask("GET", UPKEEP).get("runs", ()):
                if run["kind"] == kind and not run["ended"]:
                    if run["options"] == dict(options):
                        found: dict[str, Any] = run
                        return found
                    context.tell(f"waiting for another run of {kind}, which {run['askedBy']} asked for")
                    context.sleep(1.0)
                    break
            else:
                return self._ask("POST", UPKEEP, {"kind": kind, "options": options})

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        with self._put(method, path, data) as answer:
            content = answer.read(LARGEST)
        try:
            found: dict[str, Any] = json.loads(content)
        except ValueError:
            raise StepFailed(
                f"{self.door.url}{path} answered something that is no JSON: is it this registry?"
            ) from None
        return found

    def _put(self, method: Any, path: str, body: bytes | None = None) -> Any:
        scheme = urlsplit(self.door.url).scheme or "https"
        headers = {"Content-Type": "application/json"} if body is not None else {}
        question = Question(
            method,
            RemoteReference(self.name, ""),
            headers=headers,
            scope=PULL,
            body=body,
            at=f"{scheme}://{self.name}{path}",
        )
        return self.client.registries.questions.put(question, self.access)


def source_of(context: Context) -> Registry:
    """The registry before. Raises :class:`StepFailed`."""
    if context.source is None:
        raise StepFailed("the address of the registry before is not known: name it and a login for it")
    return Registry.of(context.source)


def target_of(context: Context) -> Registry:
    """This registry. Raises :class:`StepFailed`."""
    if context.target is None:
        raise StepFailed("the address of this registry is not known: name it and a login for it")
    look = by_address if context.target.url else by_service
    return Registry.of(look(context.target, context))


def in_bodies(names: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """All of them, as many at a time as one request can have."""
    found: dict[str, str] = {}
    size = 0
    for old, new in sorted(names.items()):
        length = len(old) + len(new) + 8
        if found and size + length > BODY:
            yield found
            found, size = {}, 0
        found[old], size = new, size + length
    if found:
        yield found


def digest_of(text: str) -> Digest | None:
    """``None`` for a text that is none."""
    try:
        return Digest.parse(text)
    except InvalidDigest:
        return None


Told = Callable[[str], None]


def each_second(context: Context) -> Told:
    """Tells at most one line a second."""
    last = [-1.0]

    def tell(line: str) -> None:
        now = context.clock()
        if now - last[0] >= 1 or last[0] < 0:
            last[0] = now
            context.tell(line)

    return tell
