"""An answer without a body, as values: what most requests of a push get."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from flask import Response


class Answer(NamedTuple):
    """``headers`` are those that belong to this answer; those of all answers are added by whoever sends it."""

    status: HTTPStatus
    headers: list[tuple[str, str]]

    def header(self, name: str) -> str:
        """The value of a header, by the name that it was given; empty if there is none."""
        return next((value for given, value in self.headers if given == name), "")


View = Callable[..., Answer]


def flaskly(view: View) -> Callable[..., Response]:
    """The view for a route of Flask."""

    def served(**named: str) -> Response:
        answer = view(**named)
        return Response(status=answer.status, headers=answer.headers)

    return served
