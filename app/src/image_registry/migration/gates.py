"""Gates: what must be true of the whole list before anything is moved. Each is a pure comparison with one reading.

An item has an identity by which it is accepted that it is not so. Nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_registry.kube.quantity import whole
from image_registry.migration.content import UNREADABLE, RepositoryContent
from image_registry.migration.exceptions import Wrong, troubled_by, troubles_of

ABSENT = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of one thing: ``value`` is empty for what is not there; ``error`` says why it could not be read."""

    value: str = ABSENT
    error: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """``cause`` is empty for what is as it must be."""

    id: str
    about: str
    cause: str = ""
    target: str = ""
    repository: str = ""
    subjects: tuple[str, ...] = ()
    """Tags and digests of the repository by which a finding of the plan may have accepted it."""
    wrong: Wrong = Wrong.OTHER
    """For what such a finding accepts."""


NOT_READ = Seen(error="it was not looked at")


def tags(repository: RepositoryContent, target: str, found: Mapping[str, Seen]) -> Iterator[Item]:
    """Every tag exists and means the same digest. ``found`` is by tag."""
    if not target:
        yield _left_behind(repository)
        return
    for tag, digest in sorted(repository.tags.items()):
        seen = found.get(tag, NOT_READ)
        cause = seen.error or (
            ""
            if seen.value == digest
            else f"it means {seen.value or 'nothing'} here and {digest} in the registry before"
        )
        about = f"{repository.name}:{tag}"
        here = _here(repository, target, f":{tag}")
        subjects: tuple[str, ...] = (tag, digest, *troubles_of(repository, tag))
        yield Item(f"tag:{about}", about, cause, here, repository.name, subjects, _wrong(seen))
    for problem in repository.problems:
        if problem.kind == UNREADABLE and problem.subject == repository.name:
            cause = f"the registry before cannot give its tags: {problem.detail}"
            name = repository.name
            yield Item(f"repository:{name}", name, cause, "", name, (name,), Wrong.BROKEN)
            continue
        name = problem.subject.partition(" ")[0]
        if ":" not in name and name not in repository.tags and name != repository.name:
            about = f"{repository.name}:{name}"
            cause = f"the registry before cannot give it ({problem.kind}): {problem.detail}"
            subjects = (problem.subject, name)
            yield Item(f"tag:{about}", about, cause, "", repository.name, subjects, Wrong.BROKEN)


def manifests(repository: RepositoryContent, target: str, found: Mapping[str, Seen]) -> Iterator[Item]:
    """Every manifest can be read under its repository, those that an index lists too. ``found`` is by digest."""
    if not target:
        yield _left_behind(repository)
        return
    for digest in sorted(repository.manifests):
        seen = found.get(digest, NOT_READ)
        cause = seen.error or ("" if seen.value == digest else "it is not here")
        about = f"{repository.name}@{digest}"
        meant = tuple(tag for tag, other in repository.tags.items() if other == digest)
        listing = (subject for tag in meant for subject in troubles_of(repository, tag))
        subjects = (digest, *meant, *listing, *troubled_by(repository, digest))
        here = _here(repository, target, f"@{digest}")
        yield Item(f"manifest:{about}", about, cause, here, repository.name, subjects, _wrong(seen))


def blobs(repository: RepositoryContent, target: str, found: Mapping[str, Seen]) -> Iterator[Item]:
    """Every blob is there with the right number of bytes. ``found`` is by digest; a value is that number."""
    if not target:
        yield _left_behind(repository)
        return
    for digest, size in sorted(repository.blobs.items()):
        seen = found.get(digest, NOT_READ)
        cause, wrong = seen.error, _wrong(seen)
        if not cause and not seen.value:
            cause = "its bytes are not here"
        elif not cause and size and seen.value != str(size):
            cause, wrong = f"it has {seen.value} bytes here and {size} in its manifest", Wrong.SIZE
        about = f"{repository.name}@{digest}"
        subjects = (digest, *troubled_by(repository, digest))
        here = _here(repository, target, f"@{digest}")
        yield Item(f"blob:{about}", about, cause, here, repository.name, subjects, wrong)


def hosts(wanted: Iterable[str], images: Iterable[str], found: Mapping[str, Seen]) -> Iterator[Item]:
    """Each host answers, and each image that workloads will name is here. ``found`` is by host and by image."""
    for host in sorted(wanted):
        seen = found.get(host, NOT_READ)
        yield Item(f"host:{host}", host, seen.error or ("" if seen.value else "no registry answers there"))
    for image in sorted(images):
        seen = found.get(image, NOT_READ)
        cause = seen.error or ("" if seen.value else "there is no such image here")
        yield Item(f"image:{image}", image, cause, wrong=_wrong(seen))


@dataclass(frozen=True, slots=True)
class Question:
    """May this subject do this? As bindings of the registry before promise it."""

    binding: str
    namespace: str
    subject: str
    action: str
    """``pull``, ``push`` or ``delete``."""

    @property
    def name(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.subject} {self.action}{where}"


def questions(bindings: Iterable[Mapping[str, Any]]) -> Iterator[Question]:
    """Of every binding, each subject and each of its actions."""
    for binding in bindings:
        for subject in binding["subjects"]:
            for action in binding["actions"]:
                yield Question(binding["object"], binding["namespace"], subject, action)


def access(asked: Iterable[Question], found: Mapping[Question, Seen]) -> Iterator[Item]:
    """Who could pull, push and delete can."""
    for question in asked:
        seen = found.get(question, NOT_READ)
        about = f"{question.binding}: {question.name}"
        cause = seen.error or ("" if seen.value else "could before, and may not here")
        yield Item(f"access:{question.binding}/{question.subject}/{question.action}", about, cause)


def pull_secrets(wanted: Mapping[str, Iterable[str]], found: Mapping[tuple[str, str], Seen]) -> Iterator[Item]:
    """Every namespace with workloads has a login for each host that they name, and this registry takes it."""
    for namespace, names in sorted(wanted.items()):
        for host in sorted(names):
            seen = found.get((namespace, host), Seen())
            cause = seen.error or ("" if seen.value else f"no pull Secret of {namespace} has a login for {host}")
            yield Item(f"pull-secret:{namespace}/{host}", f"{namespace}: {host}", cause)


def account_secrets(
    wanted: Iterable[tuple[str, str, str]], found: Mapping[tuple[str, str, str], Seen]
) -> Iterator[Item]:
    """Every ServiceAccount whose Pods pull has that login among its own pull Secrets. ``found`` is by both and host."""
    for key in sorted(wanted):
        namespace, account, host = key
        seen = found.get(key, NOT_READ)
        cause = seen.error or (
            ""
            if seen.value
            else f"none of its pull Secrets has a login for {host}, and Pods that run as it name no other"
        )
        about = f"ServiceAccount {namespace}/{account}: {host}"
        yield Item(f"pull-secret:{namespace}/{account}/{host}", about, cause)


def limits(
    wanted: Mapping[str, Mapping[str, Any]], unconverted: Iterable[str], found: Mapping[str, Seen | Mapping[str, Any]]
) -> Iterator[Item]:
    """Every LimitRange says what the plan says; what could not be said in one is accepted by name or open."""
    for namespace, document in sorted(wanted.items()):
        there = found.get(namespace, Seen())
        name = f"{namespace}/{document['metadata']['name']}"
        if isinstance(there, Seen):
            cause = there.error or "there is no such LimitRange"
        else:
            entries = (there.get("spec") or {}).get("limits") or []
            missing = [entry for entry in document["spec"]["limits"] if not any(_says(live, entry) for live in entries)]
            cause = f"it does not say {missing[0]}" if missing else ""
        yield Item(f"limit:{name}", f"LimitRange {name}", cause)
    for text in unconverted:
        subject = text.partition(":")[0][:80]
        yield Item(f"limits:{subject}", subject, text)


def _says(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    most = live.get("max") or {}
    same = all(_size(most.get(key)) == _size(value) for key, value in wanted["max"].items())
    return live.get("type") == wanted["type"] and same


def _size(quantity: Any) -> Any:
    """The number: the API server writes ``1k`` for ``1000``."""
    try:
        return whole(quantity)
    except ValueError:
        return quantity


def _left_behind(repository: RepositoryContent) -> Item:
    cause = "it has no name that this registry can have, and is left behind"
    name = repository.name
    return Item(f"repository:{name}", name, cause, "", name, (name,), Wrong.NAMELESS)


def _wrong(seen: Seen) -> Wrong:
    if seen.error:
        return Wrong.UNREAD
    return Wrong.OTHER if seen.value else Wrong.ABSENT


def _here(repository: RepositoryContent, target: str, rest: str) -> str:
    return "" if target == repository.name else f"{target}{rest}"


@dataclass(slots=True)
class Tally:
    """How a gate came out."""

    items: int = 0
    open: list[str] = field(default_factory=list)
    accepted: int = 0
