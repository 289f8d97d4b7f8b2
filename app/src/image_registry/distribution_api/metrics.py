"""The page that Prometheus reads, for whoever may ``get registry/metrics`` (parity reference 4.2, 4.4)."""

from __future__ import annotations

from flask import Blueprint, Response, request

from image_registry.auth import trail
from image_registry.auth.access import read_metrics
from image_registry.distribution_api import callers
from image_registry.distribution_api.parts import Parts
from image_registry.oci.errors import Denied, Unauthorized, Unsupported

PATHS = ("/extensions/v2/metrics", "/metrics")


def blueprint(parts: Parts) -> Blueprint:
    routes = Blueprint("metrics", __name__)

    def get() -> Response:
        caller = callers.current(parts)
        if caller.claims is not None:
            raise Unauthorized(
                "a registry token is good for repositories alone: send the platform token itself",
                headers=callers.challenge(parts),
            )
        decision = callers.decide(parts, caller.identity, read_metrics())
        if not decision.allowed:
            if caller.identity.is_anonymous:
                callers.refuse_anonymous(parts, "")
            raise Denied(decision.reason)
        trail.of(request.environ).allow()
        if parts.metrics is None:
            raise Unsupported("this process counts nothing")
        body, content_type = parts.metrics(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type, headers={"Cache-Control": "no-store"})

    for path in PATHS:
        routes.add_url_rule(path, endpoint="get", view_func=get, methods=["GET"])
    return routes
