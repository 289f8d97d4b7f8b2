"""Pushes are answered the same whether Flask dispatches them or not, and whatever is unusual is Flask's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

import pytest
from werkzeug.test import Client, TestResponse

from image_registry.auth import trail
from image_registry.distribution_api.app import create_app
from image_registry.distribution_api.direct import Direct
from image_registry.oci import media_types
from image_registry.oci.digest import Digest

from .conftest import Registry, manifest_of

BLOB = b"layer"
SESSION = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
STEPS: list[tuple[str, str, bytes]] = [
    ("POST", "/v2/demo/app/blobs/uploads/", b""),
    ("POST", "/v2/demo/app/blobs/uploads", b""),
    ("PATCH", "{location}", BLOB),
    ("PUT", "{location}?digest=" + str(Digest.of(BLOB)), b""),
    ("POST", f"/v2/demo/app/blobs/uploads/?digest={Digest.of(b'{}')}", b"{}"),
    ("PUT", "/v2/demo/app/manifests/v1", manifest_of(b"{}", BLOB)),
    ("PUT", f"/v2/demo/app/manifests/{Digest.of(manifest_of(b'{}'))}?tag=a&tag=b", manifest_of(b"{}")),
    ("PUT", "/v2/demo/app/manifests/-", manifest_of(b"{}", BLOB)),
    ("PUT", "/v2/demo/app/manifests/v2", b"{"),
    ("PUT", "/v2/demo/App/manifests/v2", b"{"),
    ("PUT", "/v2/demo/app/manifests/v3", manifest_of(b"{}", b"missing")),
    ("PATCH", "/v2/demo/app/blobs/uploads/nothing", BLOB),
    ("PUT", "/v2/demo/app/blobs/uploads/nothing", BLOB),
    ("POST", "/v2/demo/app/blobs/uploads/?digest=sha256:1", b""),
]


class Seen:
    """An application whose trails are looked at afterwards."""

    def __init__(self, application: Callable[..., Any]) -> None:
        self._application = application
        self.left = trail.Trail()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.left = environ[trail.TRAIL] = trail.Trail("r1")
        return self._application(environ, start_response)


def push(application: Callable[..., Any]) -> list[tuple[Any, ...]]:
    """What each step was answered, and what it left behind."""
    seen = Seen(application)
    client, told, location = Client(seen), [], ""
    for method, path, data in STEPS:
        headers = {"Content-Type": media_types.OCI_MANIFEST}
        answer = client.open(path.format(location=location), method=method, data=data, headers=headers)
        location = answer.headers.get("Location", location)
        told.append((*shown(answer), *left(seen.left)))
    return told


def shown(answer: TestResponse) -> tuple[Any, ...]:
    return answer.status, sorted((name, SESSION.sub("", value)) for name, value in answer.headers), answer.data


def left(found: trail.Trail) -> tuple[Any, ...]:
    names = ["route", "caller", "uid", "repository", "digest", "decision", "error", "limit"]
    return *(getattr(found, name) for name in names), SESSION.sub("", found.reference)


def direct(registry: Registry) -> Direct:
    return cast("Direct", create_app(registry.parts).wsgi_app)


def test_every_step_of_a_push_is_told_the_same(build: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch) -> None:
    registry = build()
    shortly = push(direct(registry))
    roundabout = direct(registry)
    monkeypatch.setattr(roundabout, "_routes", {})
    assert push(roundabout) == shortly
    assert [step[0][:3] for step in shortly[:7]] == ["202", "202", "202", "201", "201", "201", "201"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/demo/app/manifests/v1"),
        ("PUT", "/v2/demo/a%2Fb/manifests/v1"),
        ("PUT", "/v2/demo/caf%C3%A9/manifests/v1"),
        ("PUT", "/v2/demo/a/b/manifests/v1"),
        ("PUT", "/v2/demo/app/manifests/"),
        ("PUT", "/v2//demo/app/manifests/v1"),
        ("DELETE", "/v2/demo/app/blobs/uploads/1"),
        ("POST", "/v2/demo/app/blobs/uploads//"),
    ],
)
def test_anything_else_goes_to_flask(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    application = direct(registry)
    asked: list[str] = []
    flask = application.flask

    def watched(environ: dict[str, Any], start_response: Any) -> Any:
        asked.append(environ["PATH_INFO"])
        return flask(environ, start_response)

    monkeypatch.setattr(application, "flask", watched)
    Client(application).open(path, method=method)
    assert len(asked) == 1


def test_a_failure_that_nobody_expected_is_told_as_everywhere(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = Seen(direct(registry))
    monkeypatch.setattr(registry.streams, "push", lambda *_, **__: 1 / 0)
    answer = Client(application).put(
        "/v2/demo/app/manifests/v1", data=manifest_of(registry_config(registry)), content_type=media_types.OCI_MANIFEST
    )
    assert answer.status_code == 500
    assert answer.json is not None
    assert answer.json["errors"][0]["detail"]["request_id"]
    assert "division" not in answer.text


def registry_config(registry: Registry) -> bytes:
    registry.upload("demo/app", b"{}")
    return b"{}"
