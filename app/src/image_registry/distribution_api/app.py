"""The Flask application of the data plane: routes put together, nothing else."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request

from image_registry.auth import trail
from image_registry.distribution_api import (
    answers,
    blobs,
    callers,
    health,
    manifests,
    metrics,
    referrers,
    signatures,
    tokens,
    upkeep,
    uploads,
)
from image_registry.distribution_api.direct import Direct, digest_of
from image_registry.distribution_api.direct import enter as enter_trail
from image_registry.distribution_api.manifests import Manifests
from image_registry.distribution_api.parts import Parts
from image_registry.distribution_api.uploads import Uploads

BELOW_V2 = [("Docker-Distribution-API-Version", "registry/2.0")]
SIGNED = [(signatures.SUPPORTED, "1")]
ALWAYS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; sandbox"),  # whatever it is, it is no page
]
"""Headers of answers below ``/v2``, below ``/v2`` and ``/extensions``, and of all."""


def create_app(parts: Parts) -> Flask:
    """Build the application; two applications share nothing."""
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # "//" must not become a path that somebody else may read
    app.url_map.redirect_defaults = False
    app.url_map.strict_slashes = True
    answers.install(app)
    pushed, described = Uploads(parts), Manifests(parts)
    app.register_blueprint(uploads.blueprint(pushed))
    app.register_blueprint(manifests.blueprint(described))
    for room in (health, metrics, tokens, blobs, referrers, signatures, upkeep):
        app.register_blueprint(room.blueprint(parts))

    @app.get("/v2")
    @app.get("/v2/")
    def base() -> Response:
        caller = callers.current(parts)
        if caller.identity.is_anonymous and caller.claims is None and parts.tokens is not None:
            callers.refuse_anonymous(parts, "")
        trail.of(request.environ).keep = trail.Keep("known")
        return jsonify({})

    @app.before_request
    def enter() -> None:
        enter_trail(trail.of(request.environ), request.endpoint or "", request.view_args or {})

    @app.after_request
    def version(response: Response) -> Response:
        left = trail.of(request.environ)
        left.digest = response.headers.get("Docker-Content-Digest") or digest_of(left.reference)
        for name, value in ALWAYS:
            response.headers[name] = value
        if request.path.startswith("/v2"):
            response.headers.update(BELOW_V2)
        if request.path.startswith(("/v2", "/extensions")):
            response.headers.update(SIGNED)
        if response.mimetype == "text/html":  # what Flask says of an answer without a body
            del response.headers["Content-Type"]
        return response

    routes = [*uploads.direct(pushed), *manifests.direct(described)]
    app.wsgi_app = Direct(app, routes, [*BELOW_V2, *SIGNED, *ALWAYS])  # type: ignore[method-assign]
    return app
