"""The page that Prometheus reads, for whoever may ``get registry/metrics``: as at the data plane."""

from __future__ import annotations

from flask import Blueprint, Response, request

from image_registry.auth import trail
from image_registry.auth.access import read_metrics
from image_registry.image_api import gate, status
from image_registry.image_api.identity import identify
from image_registry.image_api.parts import Parts


def blueprint(parts: Parts) -> Blueprint:
    routes = Blueprint("metrics", __name__)

    @routes.route("/metrics", methods=["GET"], provide_automatic_options=False)
    def get() -> Response:
        identity = identify(request.environ, parts)
        left = trail.of(request.environ)
        left.caller, left.uid = identity.username, identity.uid
        if identity.is_anonymous:
            raise status.Unauthorized("Unauthorized: metrics are for those who may get registry/metrics")
        gate.require(parts, identity, read_metrics())
        left.allow()
        if parts.metrics is None:
            raise status.unknown_path()
        body, content_type = parts.metrics(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type, headers={"Cache-Control": "no-store"})

    return routes
