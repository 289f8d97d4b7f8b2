"""Is the process alive, and can it serve?"""

from __future__ import annotations

import threading
import time

from flask import Blueprint, Response, jsonify

from image_registry.distribution_api.parts import Parts
from image_registry.storage.blob_store import StorageFault

REMEMBERED = 5.0
"""Seconds for which the answer of the storage is good: probes must not wear it out."""


def blueprint(parts: Parts) -> Blueprint:
    """``/livez`` asks nothing, ``/healthz`` asks the storage.

    The database does not count: pulls go on without it (design, D2).
    """
    routes = Blueprint("health", __name__)
    lock = threading.Lock()
    last: tuple[float, str] = (-REMEMBERED, "")

    @routes.get("/livez")
    @routes.get("/")
    def livez() -> Response:
        return Response("ok\n", content_type="text/plain")

    @routes.get("/healthz")
    def healthz() -> Response:
        nonlocal last
        with lock:
            if time.monotonic() - last[0] >= REMEMBERED:
                last = (time.monotonic(), _storage())
            trouble = last[1]
        answer = jsonify(storage=trouble or "ok")
        answer.status_code = 503 if trouble else 200
        return answer

    def _storage() -> str:
        try:
            parts.store.probe()
        except StorageFault as error:
            return str(error)
        return ""

    return routes
