"""What may stand in the metadata of any object: labels, annotations, owners, finalizers (Kubernetes' rules)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from image_registry.imagestreams.problems import Problems

ANNOTATIONS = 256 * 1024
"""Bytes of all annotations of an object."""

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", re.ASCII)

STANDARD_FINALIZERS = ("orphan", "foregroundDeletion")

NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character, at most 63 of them, after an optional DNS subdomain and '/'"
)
VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character, at most 63 of them"
)


def is_qualified(name: str) -> bool:
    """True for ``[<DNS subdomain>/]<name>``."""
    prefix, slash, rest = name.rpartition("/")
    if slash and not (prefix and len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix)):
        return False
    return bool(_NAME.fullmatch(rest))


def check_metadata(metadata: Mapping[str, Any], problems: Problems) -> None:
    """Everything but names, which each kind knows."""
    check_labels(metadata.get("labels") or {}, problems)
    check_annotations(metadata.get("annotations") or {}, problems)
    _check_owners(metadata.get("ownerReferences") or (), problems)
    for name in metadata.get("finalizers") or ():
        path = "metadata.finalizers"
        if not is_qualified(name):
            problems.invalid(path, name, NAME_RULE)
        elif "/" not in name and name not in STANDARD_FINALIZERS:
            problems.invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified")


def check_labels(labels: Mapping[str, str], problems: Problems, path: str = "metadata.labels") -> None:
    """Keys and values."""
    for key, value in labels.items():
        if not is_qualified(key):
            problems.invalid(path, key, NAME_RULE)
        if not _VALUE.fullmatch(value):
            problems.invalid(path, value, VALUE_RULE)


def check_annotations(annotations: Mapping[str, str], problems: Problems, path: str = "metadata.annotations") -> None:
    """Keys, and the size of all."""
    for key in annotations:
        if not is_qualified(key.lower()):
            problems.invalid(path, key, NAME_RULE)
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > ANNOTATIONS:
        problems.too_long(path, ANNOTATIONS)


def _check_owners(owners: Sequence[Mapping[str, Any]], problems: Problems) -> None:
    controllers = 0
    for place, owner in enumerate(owners):
        path = f"metadata.ownerReferences[{place}]"
        for member in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(member):
                problems.required(f"{path}.{member}", "must not be empty")
        controllers += bool(owner.get("controller"))
    if controllers > 1:
        problems.invalid("metadata.ownerReferences", list(owners), "Only one reference can have Controller set to true")
