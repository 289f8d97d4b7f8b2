"""Is the process alive, and can it serve?"""

from __future__ import annotations

import threading
import time

from flask import Blueprint, Response, jsonify

from image_registry.distribution_api.parts import Parts
from image_registry.storage.blob_store import OutOfSpace, StorageFault

REMEMBERED = 5.0
"""Seconds for which the answer of the storage is good: probes must not wear it out."""


def blueprint(parts: Parts) -> Blueprint:
    """``/livez`` asks nothing, ``/healthz`` asks the storage.

    Ready means that pulls work: the database does not count, for pulls go on without it (design, D2), and neither does
    a full disk, which says so to those who push.
    """
    routes = Blueprint("health", __name__)
    lock = threading.Lock()
    last = (-REMEMBERED, "", True)

    @routes.get("/livez")
    @routes.get("/")
    def livez() -> Response:
        return Response("ok\n", content_type="text/plain")

    @routes.get("/healthz")
    def healthz() -> Response:
        nonlocal last
        with lock:
            if time.monotonic() - last[0] >= REMEMBERED:
                last = (time.monotonic(), *_storage())
            _, said, ready = last
        answer = jsonify(storage=said)
        answer.status_code = 200 if ready else 503
        return answer

    def _storage() -> tuple[str, bool]:
        try:
            if parts.read_only() is not None:
                next(parts.store.repositories(), None)
                return "ok, read-only", True
            parts.store.probe()
        except OutOfSpace as error:
            return f"full, pulls go on: {error}", True
        except StorageFault as error:
            return str(error), False
        return "ok", True

    return routes
