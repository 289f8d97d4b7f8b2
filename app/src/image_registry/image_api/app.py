"""The Flask application of the Image API: routes put together, nothing else."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from flask import Flask, request

from image_registry.auth import trail
from image_registry.image_api import answers, local_names, metrics, open_routes, routes
from image_registry.image_api.parts import Parts
from image_registry.image_api.status import BadRequest


def create_app(parts: Parts) -> Flask:
    """Build the application; two applications share nothing."""
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # "//" must not become a path that somebody else may read
    app.url_map.redirect_defaults = False
    answers.install(app)
    app.before_request(_enter)
    app.before_request(_readable)
    app.register_blueprint(open_routes.blueprint())
    app.register_blueprint(metrics.blueprint(parts))
    app.register_blueprint(local_names.blueprint(parts))
    app.register_blueprint(routes.blueprint(parts))
    return app


def _enter() -> None:
    trail.of(request.environ).route = request.endpoint or ""


def _readable() -> None:
    """Refuse what is not UTF-8: replacing characters would make one name out of many."""
    for part, text in (("path", request.environ.get("PATH_INFO", "")), ("query", _query())):
        try:
            text.encode("latin-1").decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            request.query_string = b""  # the answer must not depend on it any more
            raise BadRequest(f"the {part} of the request is not UTF-8") from None


def _query() -> str:
    raw: str = request.environ.get("QUERY_STRING", "")
    return unquote_to_bytes(raw.encode("latin-1", "replace")).decode("latin-1")
