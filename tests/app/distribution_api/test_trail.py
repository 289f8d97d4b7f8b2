"""What requests leave behind for the logs, through the real application."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from image_registry.oci.digest import Digest
from image_registry.server.observation import Audit, Observer
from image_registry.server.request_log import RequestLog

from .conftest import Registry, basic


class Reading(Client):
    """A client that takes every answer to its end, which is when a request ends."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return super().open(*args, **{**kwargs, "buffered": True})


class Watched:
    """A registry whose logs are read."""

    def __init__(self, guarded: Registry) -> None:
        self._stream = io.BytesIO()
        self.observer = Observer(stream=self._stream, audit=Audit.ALL)
        guarded.client = Reading(RequestLog(guarded.client.application, self.observer))
        self.registry = guarded
        self.client: Client = guarded.client

    def lines(self, event: str) -> list[dict[str, Any]]:
        self.observer.flush()
        found = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [line for line in found if line["event"] == event]


@pytest.fixture
def watched(guarded: Registry) -> Watched:
    return Watched(guarded)


def test_a_push_is_on_record_with_its_beginning_its_end_and_its_digest(watched: Watched) -> None:
    answer = watched.registry.push("team/app", "v1", headers=basic("ann"))
    assert answer.status_code == 201
    begin, end = [line for line in watched.lines("audit") if line["operation"] == "manifests.put"]
    assert (begin["outcome"], begin["user"], begin["reference"]) == ("begin", "ann", "v1")
    assert (end["outcome"], end["decision"], end["status"]) == ("success", "allowed", 201)
    assert (end["repository"], end["digest"]) == ("team/app", answer.headers["Docker-Content-Digest"])
    assert end["request_id"] == begin["request_id"] == answer.headers["X-Request-Id"]
    assert end["received"] > 100


def test_the_end_of_an_upload_names_its_digest_and_its_bytes(watched: Watched) -> None:
    watched.registry.upload("team/app", b"layer", headers=basic("ann"))
    [end] = [line for line in watched.lines("request") if line["route"] == "uploads.finish"]
    assert (end["digest"], end["received"]) == (str(Digest.of(b"layer")), 5)


@pytest.mark.parametrize(
    ("headers", "status", "decision"),
    [(basic("eve"), 403, "denied"), (basic("ann", "wrong"), 401, "unauthenticated"), ({}, 401, "challenged")],
)
def test_refusals_are_on_record_with_what_was_asked_for(
    watched: Watched, headers: dict[str, str], status: int, decision: str
) -> None:
    wanted = "sha256:" + "0" * 64
    assert watched.client.get(f"/v2/team/app/blobs/{wanted}", headers=headers).status_code == status
    [line] = watched.lines("audit")
    assert (line["outcome"], line["decision"], line["repository"]) == ("error", decision, "team/app")
    assert line["digest"] == wanted
    assert line["error"].startswith(("DENIED: ", "UNAUTHORIZED: "))


def test_a_refusal_tells_its_request_id_in_the_body(watched: Watched) -> None:
    for path in ("/v2/team/app/blobs/sha256:" + "0" * 64, "/v2/nothing/here"):
        answer = watched.client.get(path, headers={**basic("eve"), "X-Request-Id": "given"})
        [error] = json.loads(answer.data)["errors"]
        assert error["detail"]["request_id"] == "given"


def test_tokens_and_lists_name_their_caller(watched: Watched) -> None:
    watched.client.get("/v2/token?scope=repository:team/app:pull", headers=basic("ben"))
    watched.client.get("/v2/_catalog", headers=basic("ann"))
    assert [(line["operation"], line["user"]) for line in watched.lines("audit")] == [
        ("tokens.token", "ben"),
        ("manifests.catalog", "ann"),
    ]


def test_no_credential_reaches_the_logs(watched: Watched) -> None:
    answer = watched.client.get("/v2/token?scope=repository:team/app:pull,push", headers=basic("ann"))
    token = json.loads(answer.data)["token"]
    watched.registry.push("team/app", "v1", headers={"Authorization": f"Bearer {token}"})
    watched.client.get("/v2/", headers=basic("ann", "geheim-4711"))
    text = json.dumps(watched.lines("request") + watched.lines("audit"))
    assert token not in text
    assert "geheim-4711" not in text
    assert basic("ann")["Authorization"] not in text


def test_every_route_has_a_name_for_the_logs(build: Callable[..., Registry]) -> None:
    registry = build()
    routes = {rule.endpoint for rule in registry.client.application.url_map.iter_rules()}  # type: ignore[attr-defined]
    assert all(route.replace(".", "").replace("_", "").isalpha() for route in routes)


@pytest.mark.parametrize("length", ["9" * 18, "9" * 400, "9" * 5000, "٣", "x"])
def test_whatever_length_a_client_announces_the_request_is_on_record(watched: Watched, length: str) -> None:
    answer = watched.client.patch(
        "/v2/team/app/blobs/uploads/x", headers=basic("ann"), environ_overrides={"CONTENT_LENGTH": length}
    )
    assert answer.status_code < 500
    [line] = watched.lines("request")
    assert line["status"] == answer.status_code
