"""What a restore writes of a stream: tags of other registries as they were, and histories of any size."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from image_registry.backup.door import Door
from image_registry.backup.errors import Damaged
from image_registry.backup.folder import Folder
from image_registry.backup.restoring import Restoring, Wish
from image_registry.backup.stream_writing import PART, parts, steps
from image_registry.image_api import json_patch
from image_registry.image_api.answers import MAX_BODY
from image_registry.imagestreams.tag_events import HISTORY
from image_registry.importing.schedule import is_due
from image_registry.remote.errors import Unauthorized
from image_registry.remote.renewing import Renewing, Token
from tests.app.backup.conftest import Registry
from tests.app.backup.test_round_trip import restore, restorer, save
from tests.app.remote.faulting_proxy import Fault, FaultingProxy

INTERVAL = timedelta(minutes=15)


def due(one: Registry, later: timedelta = timedelta()) -> list[str]:
    """Tags that would be imported now, or a while later."""
    now = one.office.api.now + later
    found = one.office.api.streams.imports.candidates(now, 100)
    return sorted(candidate.spec.name for candidate in found if is_due(candidate, now, INTERVAL))


@pytest.mark.slow
def test_what_was_imported_stays_what_it_was_until_it_is_imported_in_its_time(
    old: Registry, new: Registry, folder: Folder
) -> None:
    away = {"kind": "DockerImage", "name": "registry.example.com/team/app:v1"}
    wanted: list[dict[str, Any]] = [{"name": name, "from": away} for name in ("v1", "never", "failed")]
    old.push("team/app", "was imported once", "failed")
    old.rewrite("team/app", tags=[*wanted, {"name": "latest", "from": away, "importPolicy": {"scheduled": True}}])
    document = old.stream("team/app")
    [failed] = [tag for tag in document["status"]["tags"] if tag["tag"] == "failed"]
    failed["conditions"] = [
        {"type": "ImportSuccess", "status": "False", "lastTransitionTime": "2030-01-01T00:00:00Z", "generation": 9}
    ]
    old.office.api.write("PUT", "namespaces/team/imagestreams/app/status", document)
    save(old, folder)

    restore(new, folder)
    assert new.told() == old.told()
    assert due(new) == ["failed", "never"]
    assert due(new, timedelta(minutes=20)) == ["failed", "latest", "never"]
    new.rewrite("team/app", tags=[{**wanted[0], "generation": 0}])
    assert due(new) == ["v1"], "who asks for an import gets one"
    assert not restorer(new, folder, overwrite=("ImageStream/team/app",)).plan().copies.images


@pytest.mark.slow
def test_a_history_larger_than_one_request_comes_back(old: Registry, new: Registry, folder: Folder) -> None:
    document, stream = old.stream("team/app"), "namespaces/team/imagestreams/app"
    [newest, *_] = next(tag for tag in document["status"]["tags"] if tag["tag"] == "v1")["items"]
    events = [{**newest, "created": f"2029-12-31T23:{59 - number:02}:00Z"} for number in range(HISTORY)]
    tags = [{"tag": f"build-{number:04}", "items": events} for number in range(MAX_BODY // len(json.dumps(events)) + 9)]
    document["status"]["tags"] += tags
    for part in parts(document | {"status": {"tags": []}}, document["status"]["tags"]):
        now = old.stream("team/app")
        change = steps(now, part)
        old.office.api.write("PATCH", f"{stream}/status", change, content_type="application/json-patch+json")
    assert len(json.dumps(old.stream("team/app"))) > MAX_BODY
    save(old, folder)
    restore(new, folder)
    assert new.told() == old.told()
    assert not restorer(new, folder).plan().changed


def test_parts_are_small_and_make_of_any_status_the_one_that_is_wanted() -> None:
    spec = {"tags": [{"name": "b", "generation": 7}]}

    def entry(tag: str, *images: str) -> dict[str, Any]:
        return {"tag": tag, "items": [{"image": image} for image in images]}

    wanted = [entry("a", "1"), entry("b", "2", "3"), entry("d", "4"), entry("e", "5")]
    now: Any = {
        "metadata": {"resourceVersion": "1"},
        "spec": spec,
        "status": {"tags": [entry("b"), entry("c"), entry("d", "9"), entry("f")]},
    }
    written = list(parts(now, wanted, most=60))
    assert len(written) > 2
    for part in written:
        now = json_patch.patched(now, steps(now, part))
        now["status"]["tags"].sort(key=lambda one: str(one["tag"]))  # as the registry shows them
    generations = {"b": 7}
    expected = [
        {**one, "items": [{**event, "generation": generations.get(one["tag"], 1)} for event in one["items"]]}
        for one in wanted
    ]
    assert now["status"]["tags"] == expected
    assert list(parts(now, wanted)) == []
    empty: Any = {"metadata": {"resourceVersion": "1"}, "spec": {}, "status": {}}
    [part] = parts(empty, wanted)
    assert len(json_patch.patched(empty, steps(empty, part))["status"]["tags"]) == len(wanted)
    assert PART < MAX_BODY


@pytest.mark.slow
def test_damaged_images_stay_away_if_each_is_accepted_by_name_and_only_while_the_registry_lacks_them(
    old: Registry, new: Registry, folder: Folder
) -> None:
    save(old, folder)
    v1, multi = old.pushed["team/app:v1"], old.pushed["team/app:multi"]
    part = json.loads(old.ask("GET", "/v2/team/app/manifests/multi")[1])["manifests"][0]["digest"]
    for digest in (v1, part):
        layer = json.loads(old.ask("GET", f"/v2/team/app/manifests/{digest}")[1])["layers"][1]["digest"]
        (folder.images / "v2/team/app/blobs" / layer).write_bytes(b"something else")
    with pytest.raises(Damaged, match=r"3 of \d+ images .*nothing was changed.*accept by name"):
        restorer(new, folder).plan()
    named = tuple(f"team/app@{digest}" for digest in (v1, part))
    with pytest.raises(Damaged, match=f"1 of .*team/app@{multi}: {part}, which it holds"):
        restorer(new, folder, accept=named).plan()
    accept = (*named, f"team/app@{multi}")
    assert not restorer(old, folder, accept=accept).plan().changed, "the registry has them"

    plan = restore(new, folder, accept=accept)
    assert plan.document()["missing"] == sorted(accept)
    told = json.dumps(new.told())
    assert not any(digest in told for digest in (v1, multi))
    assert new.pulled("team/app", "latest") == old.pulled("team/app", "latest")
    assert new.pulled("other/tool", "latest") == old.pulled("other/tool", "latest")
    assert not restorer(new, folder, accept=accept).plan().changed


class Doorkeeper(FaultingProxy):
    """Lets in who shows the token of the moment; the first one ends after some requests."""

    def __init__(self, target: str, requests: int) -> None:
        super().__init__(target)
        self.token, self.given, self._left = "token-1", 0, requests

    def take(self, method: str, path: str) -> Fault | None:
        asked = [one for one in self.seen if (one.method, one.path) == (method, path)][-1]
        with self.lock:
            self._left -= 1
            if self._left < 0 and method == "HEAD":  # no upload is under way
                self.token = "token-2"
            if asked.headers.get("authorization") == f"Bearer {self.token}":
                return None
        return Fault(status=401, headers={"WWW-Authenticate": 'Bearer realm="http://127.0.0.1/token"'})

    def obtain(self) -> Token:
        self.given += 1
        return Token(self.token)


@pytest.mark.slow
def test_a_restore_outlives_its_token(old: Registry, new: Registry, folder: Folder) -> None:
    save(old, folder)
    keeper = Doorkeeper(new.host, requests=60)
    with keeper.running():
        door = Door.of(f"http://{keeper.host}", token=keeper.obtain)
        engine = Restoring(new.office, door, folder, Wish())
        engine.apply(engine.plan())
    assert (keeper.token, keeper.given) == ("token-2", 2)
    assert new.told() == old.told()


def test_a_token_is_renewed_before_it_ends_and_not_at_every_question() -> None:
    now, refusing = 0.0, False
    given: list[str] = []

    def obtain() -> Token:
        given.append(f"token-{len(given)}")
        if refusing:
            raise Unauthorized("no more")
        return Token(given[-1], life=1000)

    def tried() -> list[str]:
        return [login.registry_token for login in renewing.logins()]

    renewing = Renewing(obtain, lambda: now)
    assert next(iter(renewing.logins())).registry_token == "token-0"
    now = 799
    assert next(iter(renewing.logins())).registry_token == "token-0"
    now = 800
    assert tried() == ["token-1", "token-2"]
    assert tried() == ["token-2"], "one that is refused, too, is not followed by others at once"
    now = 860
    assert tried() == ["token-2", "token-3"]
    refusing, now = True, 1661
    assert next(iter(renewing.logins())).registry_token == "token-3", "the old one is good for a while"
    assert len(given) == 5
    with pytest.raises(Unauthorized, match="no more"):
        list(Renewing(obtain).logins())
