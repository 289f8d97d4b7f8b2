"""Who may read the metrics of the Image API."""

from __future__ import annotations

from typing import Any


def test_metrics_are_for_those_who_may_get_them(api: Any) -> None:
    answer = api.client.get("/metrics")
    assert (answer.status_code, answer.json["reason"]) == (401, "Unauthorized")
    api.cluster.allowed = set()
    refused = api.client.get("/metrics", environ_overrides=api.as_user(("X-REMOTE-USER", "nobody")))
    assert (refused.status_code, refused.json["reason"]) == (403, "Forbidden")
    assert 'cannot get resource "registry/metrics" in API group "image.alauda.io"' in refused.json["message"]
