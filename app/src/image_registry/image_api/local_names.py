"""The door of the mutating webhook: a command below our own group, which only the kube-apiserver may give.

The kube-apiserver asks *itself* (Service ``default/kubernetes``) for a path of this group, with its own credentials,
and its aggregation layer brings the review here over the connection by which every request comes. So who asks is known
by the one certificate that is believed anyway, RBAC decides as everywhere (``create localnamereviews``, which nobody
has but who may do everything), and there is no second port, no second trust and no CA to renew.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from image_registry.auth import trail
from image_registry.auth.access import review_local_names
from image_registry.image_api import answers, bodies, gate, name_review
from image_registry.image_api.identity import identify
from image_registry.image_api.parts import Parts
from image_registry.image_api.resources import GROUP_VERSION
from image_registry.imagestreams.local_names import LocalNames, ShortName

PATH = f"/apis/{GROUP_VERSION}/localnamereviews"
"""Not in discovery: it is no resource of which there could be objects."""

LARGEST = 8 << 20
"""Bytes of a review, which has an object twice: as it was and as it is to be."""


def blueprint(parts: Parts) -> Blueprint:
    """The route, if names are to be resolved at all."""
    routes = Blueprint("local-names", __name__)
    if parts.local_names is LocalNames.OFF:
        return routes

    def resolve(name: ShortName, any_stream: bool) -> str | None:
        return parts.streams.resolve(name, any_stream=any_stream)

    @routes.route(PATH, methods=["POST"], provide_automatic_options=False)
    def review() -> Response:
        identity = identify(request.environ, parts)
        left = trail.of(request.environ)
        left.caller, left.uid = identity.username, identity.uid
        gate.require(parts, identity, review_local_names())
        left.allow()
        request.max_content_length = LARGEST
        asked = name_review.parse(bodies.read(request.get_data(cache=False), request.headers.get("Content-Type", "")))
        return answers.answer(name_review.answer(asked, resolve, refuse=parts.local_names is LocalNames.FAIL))

    return routes
