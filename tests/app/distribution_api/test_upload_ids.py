"""An upload session is good for whoever began it, and for nobody who has only heard of it."""

from __future__ import annotations

import uuid

from image_registry.distribution_api import upload_ids

from .conftest import CREATE, PULL, PUSH, Registry, RightsTable, basic, code


def test_a_name_is_a_uuid_by_form_and_never_the_same() -> None:
    names = {upload_ids.new("ann") for _ in range(1000)}
    assert len(names) == 1000
    assert all(str(uuid.UUID(name)) == name for name in names)


def test_a_name_belongs_to_its_owner_alone() -> None:
    name = upload_ids.new("ann")
    assert upload_ids.belongs_to(name, "ann")
    assert not upload_ids.belongs_to(name, "ben")
    for other in ("", "x", str(uuid.uuid4()), name[:-1] + "é", name + "0"):
        assert not upload_ids.belongs_to(other, "ann"), other


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
