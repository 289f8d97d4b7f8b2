"""Limits of a namespace: what they are, and when a push would go beyond one.

A limit stops growth and nothing else: what is there already is served, replaced and deleted whatever the limits say.
Where they come from (LimitRange, ResourceQuota) is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from image_registry.imagestreams.errors import ImageStreamsError

STREAMS = "alauda.io/imagestreams"
IMAGES = "alauda.io/images"
TAGS = "alauda.io/image-tags"
STORAGE = "alauda.io/image-storage"
SIZE = "storage"


class Scope(StrEnum):
    """What a maximum is for."""

    NAMESPACE = "namespace"
    STREAM = "stream"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Limit:
    """``source`` names where it comes from, ``LimitRange sizes``; ``maximum`` is a number of things or of bytes."""

    source: str
    scope: Scope
    resource: str
    maximum: int


Limits: TypeAlias = tuple[Limit, ...]
NO_LIMITS: Limits = ()

_UNITS = (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))


class LimitsUnknown(ImageStreamsError):
    """Nobody can say right now what the limits of the namespace are."""


class LimitExceeded(ImageStreamsError):
    """The push would go beyond a limit; the text names it, what there is, and what was asked for."""

    def __init__(self, limit: Limit, namespace: str, *, current: int, asked: int, subject: str = "") -> None:
        self.limit = limit
        self.current = current
        self.asked = asked
        bytes_ = limit.resource in (SIZE, STORAGE)
        maximum, now, more = (_amount(number, bytes_=bytes_) for number in (limit.maximum, current, asked))
        if limit.scope is Scope.IMAGE:
            text = f"{limit.source} of namespace {namespace} allows images of at most {maximum}, this one has {more}"
        else:
            where = f"in {subject}" if limit.scope is Scope.STREAM else f"in namespace {namespace}"
            text = (
                f"{limit.source} of namespace {namespace} allows {maximum} of {limit.resource} {where}; "
                f"there are {now} and the push asks for {more} more"
            )
        super().__init__(f"{text}; make it smaller, delete what is not needed, or have the limit raised")

    @property
    def detail(self) -> Mapping[str, object]:
        """The same for programs."""
        return {
            "limit": {"source": self.limit.source, "resource": self.limit.resource, "maximum": self.limit.maximum},
            "current": self.current,
            "asked": self.asked,
        }


def of_scope(limits: Limits, scope: Scope, *resources: str) -> Limits:
    """Those of one scope, of some resources or of all."""
    return tuple(limit for limit in limits if limit.scope is scope and (not resources or limit.resource in resources))


def check_image(limits: Limits, namespace: str, size: int) -> None:
    """An image, or one blob of it, of so many bytes. Raises :class:`LimitExceeded`."""
    for limit in of_scope(limits, Scope.IMAGE, SIZE):
        if size > limit.maximum:
            raise LimitExceeded(limit, namespace, current=0, asked=size)


def check_growth(limits: Iterable[Limit], namespace: str, *, before: int, after: int, subject: str = "") -> None:
    """From ``before`` to ``after`` things or bytes. Raises :class:`LimitExceeded`."""
    for limit in limits:
        if after > before and after > limit.maximum:
            raise LimitExceeded(limit, namespace, current=before, asked=after - before, subject=subject)


def _amount(number: int, *, bytes_: bool) -> str:
    if not bytes_:
        return str(number)
    for unit, size in _UNITS:
        if number >= size:
            return f"{number} bytes ({number / size:.1f} {unit}B)"
    return f"{number} bytes"
