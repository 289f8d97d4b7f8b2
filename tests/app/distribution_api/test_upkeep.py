"""The door for administrators: who may ask for what, and what they are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from image_registry.auth.access import Access, Decision
from image_registry.auth.htpasswd import HtpasswdAuthenticator
from image_registry.auth.identity import Identity
from image_registry.auth.tokens import RegistryTokens, generate_key
from image_registry.server import upkeep_options
from image_registry.upkeep.asking import Upkeep
from image_registry.upkeep.ledger import Ledger
from tests.app.distribution_api.conftest import Registry, basic, code

PATH = "/extensions/v2/upkeep"
RIGHTS = {"ann": {"create", "get"}, "ben": {"get"}, "cat": {"create"}, "eve": set()}


class Cluster:
    """A named fake of the cluster's decisions about upkeep."""

    def decide(self, identity: Identity, access: Access) -> Decision:
        allowed = str(access).endswith("registry/upkeep.image.alauda.io at the cluster scope")
        return Decision(allowed and access.verb in RIGHTS.get(identity.username, set()))


@pytest.fixture
def registry(build: Callable[..., Registry], tmp_path: Path) -> Registry:
    """With four users, of whom ann may do everything, and nobody who makes runs."""
    users, hashed = tmp_path / "users", bcrypt.hashpw(b"word", bcrypt.gensalt(4)).decode()
    users.write_text("".join(f"{name}:{hashed}\n" for name in RIGHTS), encoding="utf-8")
    plain = build()
    return build(
        upkeep=Upkeep(Ledger(plain.database), partial(upkeep_options.check, promise=3600)),
        authorizer=Cluster(),
        authenticator=HtpasswdAuthenticator(users),
        tokens=RegistryTokens([generate_key()]),
    )


def start(registry: Registry, user: str = "ann", kind: str = "gc", **options: object) -> tuple[int, Any]:
    answer = registry.client.post(PATH, json={"kind": kind, "options": options}, headers=basic(user))
    return answer.status_code, json.loads(answer.data)


def test_a_run_is_started_found_listed_and_stopped(registry: Registry) -> None:
    answer = registry.client.post(PATH, json={"kind": "gc", "options": {"confirm": True}}, headers=basic("ann"))
    run = json.loads(answer.data)
    assert (answer.status_code, run["state"], run["dryRun"], run["askedBy"]) == (202, "waiting", False, "ann")
    assert answer.headers["Location"] == f"{PATH}/{run['id']}"
    found = registry.client.get(answer.headers["Location"], headers=basic("ben"))
    assert json.loads(found.data) == run
    listed = json.loads(registry.client.get(PATH, headers=basic("ben")).data)["runs"]
    assert [entry["id"] for entry in listed] == [run["id"]]
    assert registry.client.delete(f"{PATH}/{run['id']}", headers=basic("cat")).status_code == 202
    assert json.loads(registry.client.get(f"{PATH}/{run['id']}", headers=basic("ben")).data)["stopping"]


def test_a_second_run_is_refused_and_the_first_is_named(registry: Registry) -> None:
    _, run = start(registry)
    status, refusal = start(registry)
    [error] = refusal["errors"]
    assert (status, error["code"], error["detail"]["run"]["id"]) == (409, "UPKEEP_AT_WORK", run["id"])


@pytest.mark.parametrize(
    ("user", "missing"),
    [("eve", ["create", "get"]), ("ben", ["create"]), ("cat", ["get"])],
)
def test_each_missing_right_is_named(registry: Registry, user: str, missing: list[str]) -> None:
    status, refusal = start(registry, user)
    [error] = refusal["errors"]
    assert status == 403
    rights = [f"{verb} registry/upkeep.image.alauda.io at the cluster scope" for verb in missing]
    assert error["detail"]["missing"] == rights
    assert "system:image-pruner" in error["message"]


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("GET", f"{PATH}/x"), ("DELETE", f"{PATH}/x")])
def test_who_has_no_right_sees_nothing_and_stops_nothing(registry: Registry, method: str, path: str) -> None:
    assert registry.client.open(path, method=method, headers=basic("eve")).status_code == 403
    assert registry.client.open(path, method=method).status_code == 401


def test_a_registry_token_is_no_key_to_this_door(registry: Registry) -> None:
    token = json.loads(registry.client.get("/v2/token", headers=basic("ann")).data)["token"]
    answer = registry.client.post(PATH, json={"kind": "gc"}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert "platform token" in answer.text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "send an object of JSON"),
        (b"[1]", "send an object of JSON"),
        (b'{"kind": "prune"}', "write one of gc, verify, scrub"),
        (b'{"kind": "gc", "confirm": true}', "no member 'confirm'"),
        (b'{"kind": "gc", "options": {"confirm": "yes"}}', "confirm is true or false"),
        (b'{"kind": "gc", "options": {"grace": "1m"}}', "grace: 1m is less than 7200 s"),
        (b'{"kind": "gc", "options": {"trash": "soon"}}', "trash: 'soon' is no duration"),
        (b'{"kind": "gc", "options": {"atMost": 101}}', "atMost: 101 is no number from 0 to 100"),
        (b'{"kind": "gc", "options": {"rate": true}}', "rate: True is no number"),
        (b'{"kind": "gc", "options": {"colour": "red"}}', "colour: there is no such option"),
        (b'{"kind": "verify", "options": {"repository": "app"}}', "needs its namespace"),
        (b'{"kind": "verify", "options": {"namespace": "A b"}}', "name"),
        (b'{"kind": "verify", "options": {"deep": 1}}', "deep is true or false"),
        (b'{"kind": "scrub", "options": {"rate": -1}}', "rate: -1 is no number of MiB"),
        (b'{"kind": "scrub", "options": {"deep": true}}', "deep: there is no such option"),
        (b" " * (65 << 10), "longer than"),
    ],
)
def test_what_cannot_be_asked_for_is_named(registry: Registry, body: bytes, said: str) -> None:
    answer = registry.client.post(PATH, data=body, headers=basic("ann"))
    assert (answer.status_code, code(answer)) == (400, "UPKEEP_INVALID")
    assert said in json.loads(answer.data)["errors"][0]["message"]
    assert json.loads(registry.client.get(PATH, headers=basic("ann")).data) == {"runs": []}


def test_an_unknown_run_is_told_so(registry: Registry) -> None:
    for method in ("GET", "DELETE"):
        answer = registry.client.open(f"{PATH}/nothing", method=method, headers=basic("ann"))
        assert (answer.status_code, code(answer)) == (404, "UPKEEP_UNKNOWN")


def test_a_registry_that_is_read_only_shows_and_does_not_collect(build: Callable[..., Registry]) -> None:
    plain = build()
    upkeep = Upkeep(Ledger(plain.database), partial(upkeep_options.check, promise=3600))
    registry = build(upkeep=upkeep, read_only=lambda: "it is being moved")
    refused = registry.client.post(PATH, json={"kind": "gc", "options": {"confirm": True}})
    assert (refused.status_code, code(refused)) == (405, "UNSUPPORTED")
    assert "it is being moved" in refused.text
    assert registry.client.post(PATH, json={"kind": "gc"}).status_code == 202


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("rename", {}, "names is an object"),
        ("rename", {"names": {"../../x": "team/app"}}, "can be the name of no repository"),
        ("rename", {"names": {"team/_layers/x": "team/app"}}, "can be the name of no repository"),
        ("rename", {"names": {"team/a/b": "team/a/b"}}, "exactly two"),
        ("rename", {"names": {"team/a/b": "team/x", "team/a/c": "team/x"}}, "given twice"),
        ("rename", {"names": {"team/a/b": "team/x"}, "undo": 1}, "undo is true or false"),
        ("rebuild", {"rate": 1}, "there is no such option"),
        ("forget", {"streams": "team/app"}, "streams is a list"),
        ("forget", {"streams": ["team"]}, "exactly two"),
    ],
)
def test_runs_of_a_migration_take_names_that_can_be(
    registry: Registry, kind: str, options: dict[str, Any], said: str
) -> None:
    status, refusal = start(registry, kind=kind, **options)
    assert (status, refusal["errors"][0]["code"]) == (400, "UPKEEP_INVALID")
    assert said in refusal["errors"][0]["message"]


def test_a_read_only_registry_makes_the_runs_of_a_migration_and_no_collection(
    build: Callable[..., Registry],
) -> None:
    plain = build()
    upkeep = Upkeep(Ledger(plain.database), partial(upkeep_options.check, promise=3600))
    registry = build(upkeep=upkeep, read_only=lambda: "its storage is moved")
    names = {"team/a/b": "team/a-b"}
    assert (
        registry.client.post(PATH, json={"kind": "rename", "options": {"confirm": True, "names": names}}).status_code
        == 202
    )
    assert registry.client.post(PATH, json={"kind": "gc", "options": {"confirm": True}}).status_code == 405
    taken = upkeep.ledger.take("me", datetime.now(UTC), changing=False)
    assert taken is not None
    assert taken.kind == "rename"
