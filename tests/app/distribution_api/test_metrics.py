"""Who may read the metrics of the data plane."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest

from image_registry.auth.htpasswd import HtpasswdAuthenticator
from image_registry.auth.tokens import RegistryTokens, generate_key

from .conftest import PULL, Registry, RightsTable, basic, code

PATHS = ["/metrics", "/extensions/v2/metrics"]


def page(_accept: str) -> tuple[bytes, str]:
    return b"imageregistry_read_only 0.0\n", "text/plain; version=0.0.4"


@pytest.fixture
def counting(build: Callable[..., Registry], tmp_path: Path) -> Registry:
    """ann may get registry/metrics, eve may not."""
    users = tmp_path / "users"
    hashed = bcrypt.hashpw(b"word", bcrypt.gensalt(4)).decode()
    users.write_text(f"ann:{hashed}\neve:{hashed}\n", encoding="utf-8")
    return build(
        authorizer=RightsTable({("ann", ""): {"get registry"}, ("ann", "team"): {PULL}}),
        authenticator=HtpasswdAuthenticator(users),
        tokens=RegistryTokens([generate_key()]),
        metrics=page,
    )


@pytest.mark.parametrize("path", PATHS)
def test_anonymous_callers_are_asked_who_they_are(counting: Registry, path: str) -> None:
    answer = counting.client.get(path)
    assert (answer.status_code, code(answer)) == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("path", PATHS)
def test_who_may_not_get_registry_metrics_is_refused(counting: Registry, path: str) -> None:
    answer = counting.client.get(path, headers=basic("eve"))
    assert (answer.status_code, code(answer)) == (403, "DENIED")


@pytest.mark.parametrize("path", PATHS)
def test_who_may_reads_them(counting: Registry, path: str) -> None:
    answer = counting.client.get(path, headers=basic("ann"))
    assert answer.status_code == 200
    assert answer.data == page("")[0]
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_token_for_repositories_opens_no_metrics(counting: Registry) -> None:
    answer = counting.client.get("/v2/token?scope=repository:team/app:pull", headers=basic("ann"))
    token = json.loads(answer.data)["token"]
    assert counting.client.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_registry_without_authentication_shows_them_to_everybody(build: Callable[..., Registry]) -> None:
    assert build(metrics=page).client.get("/metrics").data == page("")[0]
