"""Pushes without the framework: their few routes are found by one pattern, and their answers have no body.

An image of ten layers is pushed in more than thirty requests that each do next to nothing; finding the route, making
contexts and building a response object took longer than what they do. The views are the same that Flask serves, and
whatever is unusual goes to Flask: other paths and methods, and every failure, so refusals are worded in one place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, NamedTuple

from flask import Flask

from image_registry.auth import trail
from image_registry.distribution_api import asked
from image_registry.distribution_api.answer import Answer, View

WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_NAME = "([!-.0-~]+)"
START = re.compile(f"/v2/{_NAME}/{_NAME}/blobs/uploads/?")
SESSION = re.compile(f"/v2/{_NAME}/{_NAME}/blobs/uploads/{_NAME}")
MANIFEST = re.compile(f"/v2/{_NAME}/{_NAME}/manifests/{_NAME}")

_STATUS = {status: f"{status.value} {status.phrase.upper()}" for status in HTTPStatus}


class Route(NamedTuple):
    """``name`` is that of Flask's endpoint, for logs and metrics."""

    method: str
    path: re.Pattern[str]
    name: str
    view: View
    last: str = ""
    """What the last part of the path is to the view."""


class Direct:
    """In front of Flask's own ``wsgi_app``; ``common`` are the headers of every answer below ``/v2/``."""

    def __init__(self, app: Flask, routes: Iterable[Route], common: Iterable[tuple[str, str]]) -> None:
        self._app = app
        self.flask: WSGI = app.wsgi_app
        self._common = list(common)
        self._routes: dict[str, list[Route]] = {}
        for route in routes:
            self._routes.setdefault(route.method, []).append(route)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with asked.being(environ):
            found = self._find(environ)
            if found is None:
                return self.flask(environ, start_response)
            try:
                answer = found()
            except Exception as error:  # noqa: BLE001 - Flask's handlers know all of them
                return self._failed(error, environ, start_response)
        start_response(_STATUS[answer.status], self._headers(answer, trail.of(environ)))
        return ()

    def _find(self, environ: dict[str, Any]) -> Callable[[], Answer] | None:
        if environ.get("SCRIPT_NAME"):
            return None
        for route in self._routes.get(environ.get("REQUEST_METHOD", ""), ()):
            match = route.path.fullmatch(environ.get("PATH_INFO", ""))
            if match is not None:
                named = {"namespace": match[1], "name": match[2]}
                if route.last:
                    named[route.last] = match[3]
                enter(trail.of(environ), route.name, named)
                return lambda route=route: route.view(**named)  # type: ignore[misc]
        return None

    def _headers(self, answer: Answer, left: trail.Trail) -> list[tuple[str, str]]:
        left.digest = answer.header("Docker-Content-Digest") or digest_of(left.reference)
        length = [] if answer.status == HTTPStatus.NO_CONTENT else [("Content-Length", "0")]
        return [*answer.headers, *self._common, *length]

    def _failed(self, error: Exception, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._app.request_context(environ):
            response = self._app.finalize_request(self._app.handle_user_exception(error), from_error_handler=True)
            return response(environ, start_response)


def enter(left: trail.Trail, route: str, named: dict[str, Any]) -> None:
    """Note what the path says."""
    left.route = route
    if "namespace" in named:
        left.repository = f"{named['namespace']}/{named['name']}"
        left.reference = str(named.get("reference") or named.get("digest") or named.get("upload_id") or "")


def digest_of(reference: str) -> str:
    """What the client named, if that is a digest: what a refused or a deleting request was about."""
    return reference if ":" in reference else ""
