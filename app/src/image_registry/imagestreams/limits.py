"""Limits of a namespace: what they are, and when a write would go beyond one.

A limit stops growth and nothing else: what is there already is served, replaced and deleted whatever the limits say.
Where they come from (LimitRange, ResourceQuota) is not known here, but a refusal is told in the words in which the
kube-apiserver tells its own, because that is what people and programs know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from image_registry.imagestreams.errors import ImageStreamsError

STREAMS = "alauda.io/imagestreams"
IMAGES = "alauda.io/images"
TAGS = "alauda.io/image-tags"
STORAGE = "alauda.io/image-storage"
SIZE = "storage"

NAMESPACED = frozenset({STREAMS, IMAGES, TAGS, STORAGE})
"""What is limited for a namespace."""


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
    name: str = ""
    """What ``source`` calls the resource, where that is another name."""

    @property
    def called(self) -> str:
        """The name of the resource for whoever wrote the limit."""
        return self.name or self.resource


Limits: TypeAlias = tuple[Limit, ...]
NO_LIMITS: Limits = ()

_KINDS = {Scope.STREAM: "alauda.io/ImageStream", Scope.IMAGE: "alauda.io/Image"}
_UNITS = (("Pi", 1 << 50), ("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))


class LimitsUnknown(ImageStreamsError):
    """Nobody can say right now what the limits of the namespace are."""


@dataclass(frozen=True, slots=True)
class Excess:
    """A limit, what there is of its resource, and what was asked for in addition."""

    limit: Limit
    current: int
    asked: int


class LimitExceeded(ImageStreamsError):
    """The write would go beyond limits of one source.

    ``sentence`` is what the kube-apiserver would say; the text adds where that is and what to do about it.
    """

    def __init__(self, found: Sequence[Excess], namespace: str, *, subject: str = "") -> None:
        first = found[0]
        self.limit, self.current, self.asked = first.limit, first.current, first.asked
        kind, _, name = first.limit.source.partition(" ")
        if first.limit.scope is Scope.NAMESPACE:
            ordered = sorted(found, key=lambda excess: excess.limit.called)
            requested = ",".join(f"{one.limit.called}={_amount(one.limit, one.asked)}" for one in ordered)
            used = ",".join(f"{one.limit.called}={_amount(one.limit, one.current)}" for one in ordered)
            limited = ",".join(f"{one.limit.called}={_amount(one.limit, one.limit.maximum)}" for one in ordered)
            self.sentence = f"exceeded quota: {name}, requested: {requested}, used: {used}, limited: {limited}"
            cure = f"delete what is not needed in namespace {namespace}"
        else:
            wanted = _amount(first.limit, first.current + first.asked)
            self.sentence = (
                f"maximum {first.limit.called} usage per {_KINDS[first.limit.scope]} is "
                f"{_amount(first.limit, first.limit.maximum)}, but request is {wanted} ({first.limit.source})"
            )
            whole = first.limit.scope is Scope.IMAGE
            cure = "make the image smaller" if whole else f"delete what {subject or 'the stream'} does not need"
        super().__init__(f"{self.sentence}; {cure}, or have the {kind} of namespace {namespace} raised")

    @property
    def detail(self) -> Mapping[str, object]:
        """The same for programs."""
        return {
            "limit": {"source": self.limit.source, "resource": self.limit.called, "maximum": self.limit.maximum},
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
            raise LimitExceeded([Excess(limit, 0, size)], namespace)


def beyond(limits: Iterable[Limit], *, before: int, after: int) -> list[Excess]:
    """Those that a step from ``before`` to ``after`` things or bytes would go beyond."""
    return [Excess(limit, before, after - before) for limit in limits if after > before and after > limit.maximum]


def refuse(found: Sequence[Excess], namespace: str, subject: str = "") -> None:
    """Raises :class:`LimitExceeded` if there is anything, for the first of all sources, with all that it limits."""
    if found:
        first = found[0].limit
        one = [excess for excess in found if (excess.limit.source, excess.limit.scope) == (first.source, first.scope)]
        raise LimitExceeded(one, namespace, subject=subject)


def _amount(limit: Limit, number: int) -> str:
    """A quantity as Kubernetes writes it: bytes in the largest unit of which they are whole."""
    if limit.resource in (SIZE, STORAGE):
        for unit, size in _UNITS:
            if number and number % size == 0:
                return f"{number // size}{unit}"
    return str(number)
