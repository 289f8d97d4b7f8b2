"""What may be wanted of a stream, and what a change of it means: pure functions (parity reference 1.2 and 1.5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from image_registry.imagestreams import object_rules
from image_registry.imagestreams.model import ImageStream, TagSource, TagSpec
from image_registry.imagestreams.problems import Problems
from image_registry.oci.digest import Digest, InvalidDigest
from image_registry.oci.reference import InvalidName, InvalidTag, Repository, is_namespace, parse_tag

DOCKER_IMAGE, STREAM_TAG, STREAM_IMAGE = "DockerImage", "ImageStreamTag", "ImageStreamImage"
SOURCES = (DOCKER_IMAGE, STREAM_IMAGE, STREAM_TAG)
POLICIES = ("Local", "Source")
MODES = ("Legacy", "PreserveOriginal")

MOST_TAGS = 10_000
"""Tags that one stream may want something of."""

_HOST = re.compile(
    r"(?:localhost|[A-Za-z0-9.-]*[.][A-Za-z0-9.-]*|[A-Za-z0-9.-]+(?=:)|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
)
_PATH = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")


@dataclass(frozen=True, slots=True)
class StreamDraft:
    """An ImageStream as somebody wants it to be."""

    repository: Repository
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owner_references: tuple[Mapping[str, Any], ...] = ()
    finalizers: tuple[str, ...] = ()
    managed_fields: tuple[Mapping[str, Any], ...] = ()
    generate_name: str = ""
    lookup_local: bool = False
    source_repository: str = ""
    tags: tuple[TagSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """What a draft makes of a stream: its generation, its tags with theirs, and those that now mean something else."""

    generation: int
    tags: tuple[TagSpec, ...]
    changed: frozenset[str]


def check(draft: StreamDraft, problems: Problems) -> None:
    """Everything that is wrong with a draft, whatever there is already."""
    if draft.source_repository and not is_repository(draft.source_repository):
        problems.invalid(
            "spec.dockerImageRepository",
            draft.source_repository,
            "must be a repository such as registry.example.com/team/app, with neither tag nor digest",
        )
    if len(draft.tags) > MOST_TAGS:
        problems.too_many("spec.tags", len(draft.tags), MOST_TAGS)
    seen: set[str] = set()
    for place, spec in enumerate(draft.tags):
        if not spec.name:
            problems.required(f"spec.tags[{place}].name")
            continue
        if spec.name in seen:
            problems.duplicate(f"spec.tags[{place}].name", spec.name)
        seen.add(spec.name)
        check_tag(spec, problems, f"spec.tags[{spec.name[:140]}]")


def check_tag(spec: TagSpec, problems: Problems, path: str) -> None:
    """Everything that is wrong with one wanted tag."""
    try:
        parse_tag(spec.name)
    except InvalidTag as error:
        problems.invalid(f"{path}.name", spec.name, str(error))
    object_rules.check_annotations(spec.annotations, problems, f"{path}.annotations")
    if spec.reference_policy not in POLICIES:
        problems.unsupported(f"{path}.referencePolicy.type", spec.reference_policy, POLICIES)
    if spec.import_mode not in MODES:
        problems.unsupported(f"{path}.importPolicy.importMode", spec.import_mode, MODES)
    if spec.source is not None:
        _check_source(spec.source, problems, f"{path}.from")
        if spec.scheduled and spec.source.kind != DOCKER_IMAGE:
            problems.invalid(
                f"{path}.importPolicy.scheduled",
                spec.scheduled,
                "only tags pointing to Docker repositories may be scheduled for background import",
            )


def _check_source(source: TagSource, problems: Problems, path: str) -> None:
    if not source.kind:
        problems.required(f"{path}.kind", "one of " + ", ".join(SOURCES))
        return
    if source.kind not in SOURCES:
        problems.unsupported(f"{path}.kind", source.kind, SOURCES)
        return
    if not source.name:
        problems.required(f"{path}.name")
        return
    right, form = True, ""
    match source.kind:
        case "DockerImage":
            right, form = (
                is_pull_spec(source.name),
                "must be a pull specification, [host[:port]/]repository[:tag][@digest]",
            )
        case "ImageStreamTag":
            right, form = tag_source(source) is not None, "must be of the form [<stream>:]<tag>"
        case "ImageStreamImage":
            right, form = image_source(source) is not None, "must be of the form <stream>@<digest>"
    if not right:
        problems.invalid(f"{path}.name", source.name, form)
    if source.namespace and not is_namespace(source.namespace):
        problems.invalid(f"{path}.namespace", source.namespace, "must be the name of a namespace")


def tag_source(source: TagSource) -> tuple[str, str] | None:
    """Stream and tag of an ``ImageStreamTag``; the stream is empty for the same one."""
    stream, colon, tag = source.name.rpartition(":")
    try:
        parse_tag(tag)
        if colon:
            Repository.of("x", stream)
    except (InvalidTag, InvalidName):
        return None
    return stream, tag


def image_source(source: TagSource) -> tuple[str, str] | None:
    """Stream and digest of an ``ImageStreamImage``."""
    stream, _, digest = source.name.partition("@")
    try:
        Repository.of("x", stream)
        return stream, str(Digest.parse(digest))
    except (InvalidName, InvalidDigest):
        return None


def source_repository(repository: Repository, source: TagSource) -> Repository | None:
    """The stream that a tag of ``repository`` takes its image from; ``None`` for another registry."""
    if source.kind == DOCKER_IMAGE:
        return None
    found = tag_source(source) if source.kind == STREAM_TAG else image_source(source)
    if found is None:
        return None
    return Repository(source.namespace or repository.namespace, found[0] or repository.name)


def follows(repository: Repository, spec: TagSpec) -> str | None:
    """The tag of the same stream that a tag goes with, whatever becomes of it."""
    if spec.source is None or spec.source.kind != STREAM_TAG:
        return None
    found = tag_source(spec.source)
    if found is None or source_repository(repository, spec.source) != repository:
        return None
    return found[1] if found[1] != spec.name else None


def plan(draft: StreamDraft, old: ImageStream | None) -> Planned:
    """Generations (parity reference 1.5): a client cannot choose one, but 0 asks for a new import."""
    if old is None:
        tags = tuple(replace(spec, generation=1) for spec in ordered(draft.tags))
        return Planned(1, tags, frozenset(spec.name for spec in tags))
    known = {spec.name: spec for spec in old.specs}
    changed = frozenset(spec.name for spec in draft.tags if _means_something_else(spec, known.get(spec.name)))
    kept = tuple(
        spec if spec.name in changed else replace(spec, generation=known[spec.name].generation)
        for spec in ordered(draft.tags)
    )
    same = (draft.lookup_local, draft.source_repository, kept) == (old.lookup_local, old.source_repository, old.specs)
    generation = old.meta.generation + (0 if same and not changed else 1)
    tags = tuple(replace(spec, generation=generation) if spec.name in changed else spec for spec in kept)
    return Planned(generation, tags, changed)


def ordered(tags: Iterable[TagSpec]) -> list[TagSpec]:
    """By name, as they are kept."""
    return sorted(tags, key=lambda spec: spec.name)


def _means_something_else(spec: TagSpec, old: TagSpec | None) -> bool:
    if old is None or spec.generation == 0:
        return True
    return (spec.source, spec.reference, spec.import_mode) != (old.source, old.reference, old.import_mode)


def is_pull_spec(text: str) -> bool:
    """True for ``[host[:port]/]path[:tag][@digest]``."""
    if len(text) > 2048:
        return False
    rest, at, digest = text.partition("@")
    if at:
        try:
            Digest.parse(digest)
        except InvalidDigest:
            return False
    head, slash, last = rest.rpartition("/")
    name, colon, tag = last.partition(":")
    if colon:
        try:
            parse_tag(tag)
        except InvalidTag:
            return False
    return is_repository(f"{head}{slash}{name}")


def is_repository(text: str) -> bool:
    """True for ``[host[:port]/]path``."""
    host, slash, path = text.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return bool(_HOST.fullmatch(host)) and bool(_PATH.fullmatch(path))
    return bool(_PATH.fullmatch(text))
