"""What a legacy registry enforces and cleans up: push limits, patches, jobs that delete, how restores map."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from image_registry.migration.command_words import shown_words
from image_registry.migration.facts import CleanupFact, LimitFact, LimitRule, ObjectName, RestoreMap
from image_registry.migration.generations import (
    CLEANUP_IMAGE,
    CLEANUP_LABEL,
    LIMIT_MAPS,
    VELERO_MAP,
)
from image_registry.migration.reading import Reader, at, name_of, objects, text, texts, words

PATCH_API = "operator.alauda.io/v1alpha1"
_PRUNES = re.compile(r"\badm\b.*\bprune\b.*\bimages\b", re.DOTALL)
_OTHER = re.compile(
    r"^(?:\S*/)?(?:ac )?(?:adm )?(?:get|top|import-image|tag|whoami|login|version|registry|set|create|policy)\b"
)
"""Commands of that program that delete no image, where no shell runs them."""
_PROGRAM = re.compile(rf"(?:^|/){re.escape(CLEANUP_IMAGE)}(?:[:@]|$)")


def read_limits(reader: Reader, namespace: str, named: str) -> tuple[LimitFact, ...]:
    """The ConfigMaps of the names that are read, and the one that the installation names."""
    found = []
    for name in dict.fromkeys((*((named,) if named else ()), *LIMIT_MAPS)):
        place = ObjectName("ConfigMap", name, namespace)
        document = reader.get("limits", place, "configmaps")
        if document is not None:
            found.append(limit_in(words(document.get("data")), place))
    return tuple(found)


def limit_in(data: Mapping[str, str], place: ObjectName) -> LimitFact:
    """What the ConfigMap says; what cannot be understood is told and limits nothing here."""
    size, count = data.get("max_image_size", "").strip(), data.get("tag_count_limit", "").strip()
    try:
        rules = yaml.safe_load(data.get("rules", "") or "[]")
    except yaml.YAMLError:
        return LimitFact(place, size, count, problem="its rules are no YAML")
    if not isinstance(rules, list):
        return LimitFact(place, size, count, problem="its rules are no list")
    read = tuple(
        LimitRule(
            text(rule.get("path")),
            text(at(rule, "limit", "max_image_size")),
            text(at(rule, "limit", "tag_count_limit")),
        )
        for rule in objects(rules)
    )
    return LimitFact(place, size, count, read)


def read_patches(reader: Reader) -> tuple[ObjectName, ...]:
    """ResourcePatches about the registry or its gateway: the platform applies them again after every change."""
    found = []
    for document in reader.list("resource patches", PATCH_API, "resourcepatches"):
        name = name_of(document, "ResourcePatch", PATCH_API)
        target, release = (text(at(document, "spec", *way)) for way in (("target", "name"), ("release",)))
        said = f"{name.name} {target} {release}"
        if any(word in said for word in ("image-registry", "docker-registry", "registry-gateway")):
            found.append(name)
    return tuple(found)


def read_cleanups(reader: Reader) -> tuple[CleanupFact, ...]:
    """CronJobs, and Jobs that nobody made from one, which prune images, say that they do, or run the program for it.
    (Facts, 12.12)"""
    found = []
    for kind, resource, template in (
        ("CronJob", "cronjobs", ("spec", "jobTemplate", "spec", "template", "spec")),
        ("Job", "jobs", ("spec", "template", "spec")),
    ):
        for document in reader.list("cleanup jobs", "batch/v1", resource):
            if kind == "Job" and at(document, "metadata", "ownerReferences"):
                continue
            pod = at(document, *template)
            arguments = tuple(_arguments(pod))
            labels = words(at(document, "metadata", "labels"))
            said = " ".join(arguments)
            read = _PRUNES.search(said) is not None
            may = any(_PROGRAM.search(text(each.get("image"))) for each in _containers(pod)) and not _OTHER.match(said)
            if read or may or labels.get(CLEANUP_LABEL[0]) == CLEANUP_LABEL[1]:
                spec = document.get("spec")
                found.append(
                    CleanupFact(
                        name_of(document, kind, "batch/v1"),
                        text(at(spec, "schedule")),
                        at(spec, "suspend") is True,
                        arguments,
                        unread=not read,
                    )
                )
    return tuple(found)


def read_velero(reader: Reader, namespace: str) -> RestoreMap | None:
    """The mapping by which restores rewrite hosts of images."""
    name = ObjectName("ConfigMap", VELERO_MAP, namespace)
    document = reader.get("restore mapping", name, "configmaps")
    if document is None:
        return None
    data = words(document.get("data"))
    return RestoreMap(name, data.get("old", ""), data.get("new", ""))


def _containers(spec: Any) -> Iterator[Mapping[str, Any]]:
    yield from objects(at(spec, "initContainers"))
    yield from objects(at(spec, "containers"))


def _arguments(spec: Any) -> Iterator[str]:
    """Words of the commands, those of a shell's script apart; what a credential could be is left out."""
    for container in _containers(spec):
        yield from shown_words((*texts(container.get("command")), *texts(container.get("args"))))
