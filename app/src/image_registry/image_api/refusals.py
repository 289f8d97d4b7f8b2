"""Refusals of a write, in the words of the kube-apiserver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from image_registry.image_api import status
from image_registry.image_api.kinds import Kind
from image_registry.image_api.status import BadRequest, Cause, Conflict, Invalid
from image_registry.imagestreams.problems import InvalidObject


def other_name(given: str, name: str) -> BadRequest:
    """The body is about another object than the address."""
    return BadRequest(f"the name of the object ({given[:300]}) does not match the name on the URL ({name[:300]})")


def invalid(kind: Kind, name: str, causes: list[Cause]) -> Invalid:
    """The object may not be so, for each of the causes."""
    told = [f"{cause.field}: {cause.message}" for cause in causes]
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    resource = kind.resource
    return Invalid(
        f'{resource.kind}.{resource.group} "{name}" is invalid: {text}',
        resource=resource.kind,
        name=name,
        causes=causes,
    )


def conflict(kind: Kind, name: str, why: str) -> Conflict:
    """The object is not the one that was meant."""
    return status.conflict(kind.resource.plural, name, why)


@contextmanager
def translated(kind: Kind, name: str) -> Iterator[None]:
    """Say of an ``InvalidObject`` of the rules that the object may not be so."""
    try:
        yield
    except InvalidObject as error:
        causes = [Cause(problem.reason, problem.message, problem.path) for problem in error.problems]
        raise invalid(kind, name, causes) from None
