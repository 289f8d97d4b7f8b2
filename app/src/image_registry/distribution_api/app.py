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
    uploads,
)
from image_registry.distribution_api.parts import Parts


def create_app(parts: Parts) -> Flask:
    """Build the application; two applications share nothing."""
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # "//" must not become a path that somebody else may read
    app.url_map.redirect_defaults = False
    app.url_map.strict_slashes = True
    answers.install(app)
    for room in (health, metrics, tokens, uploads, blobs, manifests, referrers, signatures):
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
        left = trail.of(request.environ)
        left.route = request.endpoint or ""
        named = request.view_args or {}
        if "namespace" in named:
            left.repository = f"{named['namespace']}/{named['name']}"
            left.reference = str(named.get("reference") or named.get("digest") or named.get("upload_id") or "")

    @app.after_request
    def version(response: Response) -> Response:
        left = trail.of(request.environ)
        left.digest = response.headers.get("Docker-Content-Digest") or _digest(left.reference)
        if request.path.startswith("/v2"):
            response.headers["Docker-Distribution-API-Version"] = "registry/2.0"
        if request.path.startswith(("/v2", "/extensions")):
            response.headers[signatures.SUPPORTED] = "1"
        if response.mimetype == "text/html":  # what Flask says of an answer without a body
            del response.headers["Content-Type"]
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"  # whatever it is, it is no page
        return response

    return app


def _digest(reference: str) -> str:
    """What the client named, if that is a digest: what a refused or a deleting request was about."""
    return reference if ":" in reference else ""
