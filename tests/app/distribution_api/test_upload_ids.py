"""An upload session is good for whoever began it, and for nobody who has only heard of it."""

from __future__ import annotations

import time
import uuid
from urllib.parse import quote, unquote

import pytest

from image_registry.distribution_api import upload_ids
from image_registry.oci.reference import Repository

from .conftest import CREATE, PULL, PUSH, Registry, RightsTable, basic, code

APP = Repository("team", "app")


def test_a_name_is_a_uuid_by_form_and_never_the_same() -> None:
    names = {upload_ids.new("ann", APP, "sha256") for _ in range(1000)}
    assert len(names) == 1000
    assert all(str(uuid.UUID(name)) == name for name in names)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_name_is_good_for_its_owner_and_its_repository_alone(algorithm: str) -> None:
    name = upload_ids.new("ann", APP, algorithm)
    assert upload_ids.algorithm(name, "ann", APP) == algorithm
    assert upload_ids.algorithm(name, "ben", APP) is None
    assert upload_ids.algorithm(name, "ann", Repository("team", "other")) is None
    for other in ("", "x", str(uuid.uuid4()), name[:-1] + "\u00e9", name + "0"):
        assert upload_ids.algorithm(other, "ann", APP) is None, other


@pytest.mark.parametrize(
    "chance", ["%00" + "a" * 14, "%0A" + "a" * 14, "\u00e9" * 15, ".." + "a" * 13, "A" * 15, "a" * 15 + "-"]
)
def test_a_right_mark_behind_another_form_opens_nothing(registry: Registry, chance: str) -> None:
    """Anybody can reckon the mark; what stands before it must not become a path or a header."""
    said = upload_ids.new("system:anonymous", APP, "sha256")[:5] + unquote(chance)
    mark = upload_ids._mark(said.replace("-", "")[:20], "system:anonymous", APP, "sha256")
    session = f"/v2/team/app/blobs/uploads/{quote(said, safe='')}-{mark}"
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        refused = registry.client.open(f"{session}?digest=sha256:{'0' * 64}", method=method, data=b"data")
        assert (refused.status_code, code(refused)) == (404, "BLOB_UPLOAD_UNKNOWN"), method


def test_a_session_that_never_began_can_be_too_old_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    name = upload_ids.new("ann", APP, "sha256")
    assert upload_ids.may_begin(name)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + upload_ids.LIFETIME + 10_000)
    assert not upload_ids.may_begin(name)


def test_who_may_push_to_the_same_repository_cannot_touch_the_session(guarded: Registry) -> None:
    rights = guarded.parts.authorizer
    assert isinstance(rights, RightsTable)
    rights.rights["ben", "team"] = {PULL, PUSH, CREATE}
    session = guarded.client.post("/v2/team/app/blobs/uploads/", headers=basic("ann")).headers["Location"]
    guarded.client.patch(session, data=b"secret", headers=basic("ann"))
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        refused = guarded.client.open(f"{session}?digest=sha256:{'0' * 64}", method=method, headers=basic("ben"))
        assert (refused.status_code, code(refused)) == (404, "BLOB_UPLOAD_UNKNOWN"), method
    assert guarded.client.get(session, headers=basic("ann")).headers["Range"] == "0-5"
