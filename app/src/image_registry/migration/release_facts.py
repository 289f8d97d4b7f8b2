"""What the platform applies, and whether it does so again by itself: AppReleases with the annotation ``interval-sync``.

That such a release is rendered again periodically is documented, how the annotation is spelled in full and which values
it has is not. So it is known by the last part of its name, and taken for one that works unless it says no. Who writes
it is asked of the API server, which keeps that of every field.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from image_registry.migration.facts import ReleaseFact, SyncFact
from image_registry.migration.generations import GATEWAY_PLUGIN, GENERATIONS
from image_registry.migration.install_records import RELEASE_API, RELEASES
from image_registry.migration.reading import Reader, at, name_of, objects, text, words

AGAIN = "interval-sync"
"""The last part of the annotation's name. (Facts, section 3)"""
_MAKERS = ("create-by", "manage-update-by")


def read_releases(reader: Reader, namespace: str, owners: Collection[str]) -> tuple[ReleaseFact, ...]:
    """Those of the registry and its gateway, and those that are one of the ``owners`` (``<namespace>/<name>``)."""
    known = {known.name for known in GENERATIONS}
    found = []
    for document in reader.list(RELEASES, RELEASE_API, "appreleases", namespace):
        names = set(releases_in(document))
        ours = {name for name in names if name in known or name.startswith(GATEWAY_PLUGIN)}
        if ours or {f"{namespace}/{name}" for name in names} & set(owners):
            name = name_of(document, "AppRelease", RELEASE_API)
            found.append(ReleaseFact(name, tuple(sorted(names)), tuple(syncs_of(document)), _maker(document)))
    return tuple(sorted(found, key=lambda fact: fact.object))


def releases_in(document: Mapping[str, Any]) -> Iterator[str]:
    """What an AppRelease installs: names of charts and of their releases."""
    for chart in objects(at(document, "spec", "source", "charts")):
        yield from filter(None, (text(chart.get("name")).rpartition("/")[2], text(chart.get("releaseName"))))


def syncs_of(document: Mapping[str, Any]) -> Iterator[SyncFact]:
    """Annotations by which an object is applied again, with who wrote each."""
    for key, value in sorted(words(at(document, "metadata", "annotations")).items()):
        if key.rpartition("/")[2] == AGAIN:
            yield SyncFact(key, value, tuple(_writers(document, key)))


def _writers(document: Mapping[str, Any], annotation: str) -> Iterator[str]:
    seen = set()
    for entry in objects(at(document, "metadata", "managedFields")):
        manager = text(entry.get("manager"))
        fields = at(entry, "fieldsV1", "f:metadata", "f:annotations")
        if isinstance(fields, dict) and f"f:{annotation}" in fields and manager not in seen:
            seen.add(manager)
            yield manager


def _maker(document: Mapping[str, Any]) -> str:
    for owner in objects(at(document, "metadata", "ownerReferences")):
        return f"{text(owner.get('kind'))} {text(owner.get('name'))}"
    labels = words(at(document, "metadata", "labels"))
    return next((labels[key] for key in _MAKERS if labels.get(key)), "")
