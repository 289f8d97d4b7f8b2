"""Routes that are open to everybody: what exists, what it looks like, which version this is, and is it well."""

from __future__ import annotations

import platform
from collections.abc import Callable
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from image_registry import __version__
from image_registry.auth.access import IMAGE_GROUP
from image_registry.image_api import discovery, openapi
from image_registry.image_api.discovery import AGGREGATED, wants_aggregated
from image_registry.image_api.negotiation import JSON, clauses, not_acceptable
from image_registry.image_api.resources import GROUP_VERSION
from image_registry.image_api.static_documents import StaticDocument

A_YEAR = 365 * 86400

_VERSION_3 = f"/openapi/v3/apis/{GROUP_VERSION}"


def blueprint() -> Blueprint:
    """All of them; none needs anything that may be away."""
    routes = Blueprint("open", __name__)
    _add_discovery(routes)
    _add_openapi(routes)
    _add_health(routes)
    return routes


def version() -> dict[str, str]:
    """What ``kubectl version`` would read (``version.Info``)."""
    major, minor = [*__version__.split("."), "0"][:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{__version__}",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "goVersion": "",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{platform.system()}/{platform.machine()}".lower(),
    }


def _add_discovery(routes: Blueprint) -> None:
    groups = StaticDocument.of(discovery.group_list())
    aggregated = StaticDocument.of(discovery.aggregated(), AGGREGATED)

    def apis() -> Response:
        return aggregated.response() if wants_aggregated(request.headers.get("Accept")) else groups.negotiated()

    _get(routes, "/apis", apis)
    for path, document in (
        ("/", discovery.paths()),
        (f"/apis/{IMAGE_GROUP}", discovery.group()),
        (f"/apis/{GROUP_VERSION}", discovery.resource_list()),
        ("/version", version()),
    ):
        _get(routes, path, StaticDocument.of(document).negotiated)


def _add_openapi(routes: Blueprint) -> None:
    second = StaticDocument.of(openapi.version_2(__version__))
    third = StaticDocument.of(openapi.version_3(__version__))
    address = f"{_VERSION_3}?{urlencode({'hash': third.hash})}"
    root = StaticDocument.of({"paths": {f"apis/{GROUP_VERSION}": {"serverRelativeURL": address}}})

    def group_version() -> AnyResponse:
        _accepts_json()
        given = request.args.get("hash")
        if given and given != third.hash:
            return redirect(address, 301)
        answer = third.response()
        if given:
            answer.headers["Cache-Control"] = f"public, immutable, max-age={A_YEAR}"
        return answer

    def of(document: StaticDocument) -> Response:
        _accepts_json()
        return document.response()

    _get(routes, "/openapi/v2", lambda: of(second))
    _get(routes, "/openapi/v3", lambda: of(root))
    _get(routes, _VERSION_3, group_version)


def _add_health(routes: Blueprint) -> None:
    def probe(name: str) -> Response:
        return _plain(f"[+]serving ok\n{name} check passed\n" if "verbose" in request.args else "ok")

    _get(routes, "/livez", lambda: probe("livez"))
    _get(routes, "/readyz", lambda: probe("readyz"))
    _get(routes, "/healthz", lambda: probe("healthz"))


def _accepts_json() -> None:
    """OpenAPI is offered as JSON alone. Raises ``NotAcceptable``."""
    given = clauses(request.headers.get("Accept", ""))
    if given and not any(clause.covers(JSON) for clause in given):
        raise not_acceptable(JSON)


def _plain(text: str) -> Response:
    response = Response(text, content_type="text/plain; charset=utf-8")
    response.headers["Cache-Control"] = "no-cache, private"
    return response


def _get(routes: Blueprint, path: str, view: Callable[[], AnyResponse]) -> None:
    routes.add_url_rule(
        path,
        endpoint=path.strip("/").replace("/", "-").replace(".", "-") or "root",
        view_func=view,
        methods=["GET"],
        strict_slashes=False,
        provide_automatic_options=False,
    )
