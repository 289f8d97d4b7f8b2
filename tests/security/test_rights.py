"""Who may see, change and delete what: at every door, for every object, in every namespace."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from image_registry.auth.access import Access, Decision
from image_registry.auth.identity import Identity
from image_registry.imagestreams.errors import StreamUnknown
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.server.maintenance import Maintenance
from tests.app.distribution_api.conftest import (
    CREATE,
    LIST,
    PULL,
    PUSH,
    Registry,
    RightsTable,
    basic,
    code,
    manifest_of,
)
from tests.app.image_api.conftest import FakeCluster, ImageAPI
from tests.security.conftest import application, routes


def granted(registry: Registry, user: str, namespace: str, *rights: str) -> None:
    table = registry.parts.authorizer
    assert isinstance(table, RightsTable)
    table.rights[user, namespace] = set(rights)


def test_a_blob_that_was_deleted_stays_deleted_whoever_else_reads_it(registry: Registry) -> None:
    """Row 6 (distribution CVE-2026-35172): a deleted blob is readable again from a cache."""
    digest = registry.upload("demo/a", b"shared")
    assert registry.upload("demo/b", b"shared") == digest
    assert registry.client.delete(f"/v2/demo/a/blobs/{digest}").status_code == 202
    assert registry.client.get(f"/v2/demo/b/blobs/{digest}").status_code == 200
    for method in ("GET", "HEAD"):
        assert registry.client.open(f"/v2/demo/a/blobs/{digest}", method=method).status_code == 404


def test_every_writing_request_heeds_the_read_only_switch(build: Callable[..., Registry]) -> None:
    """Row 7 (distribution CVE-2026-41888): deleting a tag ignores the switch that forbids deleting."""
    frozen = build(read_only=lambda: True)
    for method, path in routes(application(frozen)):
        if "/secret/app/" in path and (method not in {"GET", "HEAD"} or "uploads" in path):
            assert frozen.client.open(path, method=method).status_code == 405, (method, path)


def test_deleting_a_repository_takes_no_other_one_along(registry: Registry) -> None:
    """Row 8 (distribution, fixed 2025): deleting one repository deletes those whose names begin alike or lie below."""
    for name in ("app", "app2", "app-x", "app.x"):
        registry.push(f"demo/{name}", "v1")
    registry.push("demo-x/app", "v1")
    registry.streams.delete_stream(Repository.parse("demo/app"))
    Maintenance(registry.store, registry.streams).once()
    with pytest.raises(StreamUnknown):
        registry.streams.stream(Repository.parse("demo/app"))
    for repository in ("demo/app2", "demo/app-x", "demo/app.x", "demo-x/app"):
        manifest = json.loads(registry.client.get(f"/v2/{repository}/manifests/v1").data)
        for blob in (manifest["config"], *manifest["layers"]):
            assert registry.client.get(f"/v2/{repository}/blobs/{blob['digest']}").status_code == 200
    assert registry.client.get("/v2/demo/app/below/manifests/v1").status_code == 400, "there is no below"


def test_a_digest_that_is_known_elsewhere_opens_nothing(guarded: Registry) -> None:
    """Row 9 (zot CVE-2024-39897): a store that keeps bytes once serves them to whoever knows the digest."""
    pushed = guarded.push("team/app", "v1", layer=b"hidden", headers=basic("ann"))
    manifest, layer = pushed.headers["Docker-Content-Digest"], Digest.of(b"hidden")
    granted(guarded, "eve", "other", PULL, PUSH, CREATE)
    for method in ("GET", "HEAD"):
        for path in (f"blobs/{layer}", f"manifests/{manifest}"):
            answer = guarded.client.open(f"/v2/other/app/{path}", method=method, headers=basic("eve"))
            assert answer.status_code == 404, (method, path)
    for source in ("", "&from=team/app", "&from=team/none", "&from=../team/app"):
        start = f"/v2/other/app/blobs/uploads/?mount={layer}{source}"
        assert guarded.client.post(start, headers=basic("eve")).status_code == 202, source
    body = manifest_of(b"{}", b"hidden")
    named = guarded.client.put(
        "/v2/other/app/manifests/v1", data=body, content_type=media_types.OCI_MANIFEST, headers=basic("eve")
    )
    assert (named.status_code, code(named)) == (404, "MANIFEST_BLOB_UNKNOWN"), "naming a blob does not take it over"
    entry = {"mediaType": media_types.OCI_MANIFEST, "digest": manifest, "size": 1}
    index = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry]}).encode()
    guarded.client.put(
        "/v2/other/app/manifests/i", data=index, content_type=media_types.OCI_INDEX, headers=basic("eve")
    )
    listed = guarded.client.get(f"/v2/other/app/manifests/{manifest}", headers=basic("eve"))
    assert listed.status_code == 404, "listing a manifest in an index does not take it over"


@pytest.mark.parametrize("tag", ["v1", "latest", "new"])
def test_who_may_only_create_moves_no_tag(guarded: Registry, tag: str) -> None:
    """Row 10 (zot CVE-2026-31801): pushing ``latest`` again counts as creating, so a create-only role may do it."""
    for existing in ("v1", "latest"):
        guarded.push("team/app", existing, headers=basic("ann"))
    body = guarded.client.get("/v2/team/app/manifests/v1", headers=basic("ann")).data
    granted(guarded, "eve", "team", PULL, CREATE, LIST)
    refused = guarded.client.put(
        f"/v2/team/app/manifests/{tag}", data=body, content_type=media_types.OCI_MANIFEST, headers=basic("eve")
    )
    assert (refused.status_code, code(refused)) == (403, "DENIED")


def test_an_upload_is_its_owners_in_its_repository(guarded: Registry) -> None:
    """Row 14 (Quay CVE-2026-32589): an upload session can be read, changed and cancelled by whoever knows its name."""
    granted(guarded, "ben", "team", PULL, PUSH, CREATE)
    session = guarded.client.post("/v2/team/app/blobs/uploads/", headers=basic("ann")).headers["Location"]
    guarded.client.patch(session, data=b"half", headers=basic("ann"))
    for user, path in (("ben", session), ("ann", session.replace("team/app", "team/web"))):
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            refused = guarded.client.open(
                f"{path}?digest={Digest.of(b'half')}", method=method, data=b"", headers=basic(user)
            )
            assert (refused.status_code, code(refused)) == (404, "BLOB_UPLOAD_UNKNOWN"), (user, method)
    assert guarded.client.put(f"{session}?digest={Digest.of(b'half')}", headers=basic("ann")).status_code == 201


def test_deleting_by_digest_is_no_way_around_the_right_to_delete(guarded: Registry) -> None:
    """Row 20 (Quay PROJQUAY-10504): what may not be deleted by its tag is deleted by its digest."""
    pushed = guarded.push("team/app", "v1", headers=basic("ann"))
    digest = pushed.headers["Docker-Content-Digest"]
    granted(guarded, "eve", "team", PULL, PUSH, CREATE)
    for path in ("manifests/v1", f"manifests/{digest}", f"blobs/{Digest.of(b'layer')}"):
        refused = guarded.client.delete(f"/v2/team/app/{path}", headers=basic("eve"))
        assert (refused.status_code, code(refused)) == (403, "DENIED"), path
    assert guarded.client.get("/v2/team/app/manifests/v1", headers=basic("ann")).status_code == 200


def test_an_image_that_a_stream_holds_cannot_be_deleted_under_it(filled: ImageAPI) -> None:
    """Row 20 (Quay PROJQUAY-10504): deleting the object by its digest takes the bytes from under a tag."""
    name = filled.names("images")[0]
    filled.refuse(f"images/{filled.segment(name)}", 409, "Conflict", method="DELETE")


def test_the_sweep_takes_nothing_that_a_tag_or_an_index_holds(registry: Registry) -> None:
    """Row 21 (Quay PROJQUAY-10499): cleaning by age deletes what another rule keeps."""
    child = registry.push("demo/app", "v1").headers["Docker-Content-Digest"]
    entry = {"mediaType": media_types.OCI_MANIFEST, "digest": child, "size": 1}
    index = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry]}).encode()
    registry.client.put("/v2/demo/app/manifests/all", data=index, content_type=media_types.OCI_INDEX)
    registry.client.delete("/v2/demo/app/manifests/v1")
    old = datetime.now(UTC) - timedelta(days=3650)
    registry.streams._clock = lambda: old
    registry.push("demo/app", "old")
    Maintenance(registry.store, registry.streams).once()
    for reference in ("all", child, "old"):
        assert registry.client.get(f"/v2/demo/app/manifests/{reference}").status_code == 200, reference
    assert registry.client.get(f"/v2/demo/app/blobs/{Digest.of(b'layer')}").status_code == 200


def test_reading_makes_nothing(guarded: Registry) -> None:
    """Row 19 (Quay CVE-2025-4374): a pull through a proxy cache makes a repository, and rights in it."""
    granted(guarded, "ben", "team", PULL, LIST)
    for method, path in routes(application(guarded), namespace="team", name="none"):
        if method in {"GET", "HEAD"}:
            guarded.client.open(path, method=method, headers=basic("ben"))
    assert guarded.streams.repositories(namespaces=None).items == ()
    assert list(guarded.store.repositories()) == []


def test_no_name_of_an_object_opens_it_from_another_namespace(guarded: Registry) -> None:
    """Row 29 (Harbor CVE-2022-31666 to 31671): an object of another project is changed by its id."""
    guarded.push("team/app", "v1", headers=basic("ann"))
    digest = guarded.push("team/app", "v1", headers=basic("ann")).headers["Docker-Content-Digest"]
    session = guarded.client.post("/v2/team/app/blobs/uploads/", headers=basic("ann")).headers["Location"]
    granted(guarded, "eve", "other", PULL, PUSH, CREATE, "delete imagestreamtags", "create imagesignatures")
    objects = {"upload_id": session.rpartition("/")[2], "digest": digest, "reference": digest}
    for method, path in routes(application(guarded), namespace="other", **objects):
        if "/other/app/" in path and "tags/list" not in path and not path.endswith(("/uploads/", "/uploads")):
            answer = guarded.client.open(path, method=method, headers=basic("eve"))
            assert answer.status_code in {400, 404} or (answer.status_code == 200 and "referrers" in path), (
                method,
                path,
            )
    assert guarded.client.get("/v2/team/app/manifests/v1", headers=basic("ann")).status_code == 200
    assert guarded.client.get(session, headers=basic("ann")).status_code == 204


class Recorded:
    """Allows everything and keeps the questions."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def decide(self, identity: Identity, access: Access) -> Decision:  # noqa: ARG002
        self.asked.add(f"{access.verb} {access.resource}/{access.subresource}".rstrip("/"))
        return Decision(allowed=True)


def test_every_writing_route_asks_for_the_right_to_write(build: Callable[..., Registry]) -> None:
    """Row 30 (Harbor CVE-2024-22278): a field or an object is changed with the right to something lesser."""
    recorded = Recorded()
    registry = build(authorizer=recorded)
    needed = {
        "manifests": {"PUT": "update imagestreams/layers", "DELETE": "delete imagestreamtags"},
        "uploads": dict.fromkeys(("POST", "PATCH", "PUT", "DELETE", "GET"), "update imagestreams/layers"),
        "blobs": {"DELETE": "delete imagestreamtags"},
        "signatures": {"PUT": "create imagesignatures"},
    }
    seen = 0
    for method, path in routes(application(registry)):
        if "/secret/app/" not in path or (method in {"GET", "HEAD"} and "uploads" not in path):
            continue
        kind = next(kind for kind in ("uploads", "manifests", "blobs", "signatures") if f"/{kind}" in path)
        recorded.asked.clear()
        registry.client.open(path, method=method)
        assert needed[kind]["GET" if method == "HEAD" else method] in recorded.asked, (method, path, recorded.asked)
        seen += 1
    assert seen >= 10


def test_lists_of_strangers_are_closed(guarded: Registry) -> None:
    """Row 33 (Harbor CVE-2020-29662): the catalog is shown without login."""
    guarded.push("team/app", "v1", headers=basic("ann"))
    refused = guarded.client.get("/v2/_catalog")
    assert (refused.status_code, code(refused)) == (401, "UNAUTHORIZED")
    assert b"team" not in refused.data
    granted(guarded, "system:anonymous", "public", LIST)
    guarded.streams.push(
        Repository.parse("public/app"),
        ImageAPI.image("public"),
        tag="v1",
        config=None,
        pushed_by="ann",
        authorize_create=lambda: None,
        before_commit=lambda: None,
    )
    assert json.loads(guarded.client.get("/v2/_catalog").data) == {"repositories": ["public/app"]}


@pytest.mark.parametrize("path", ["tags/list", "referrers/{digest}", "manifests/v1", "blobs/{digest}"])
def test_what_a_repository_holds_is_listed_to_nobody_without_rights(guarded: Registry, path: str) -> None:
    """Row 34 (Harbor CVE-2022-46463): private images are listed and searched without login."""
    digest = guarded.push("team/app", "v1", headers=basic("ann")).headers["Docker-Content-Digest"]
    for headers, status in (({}, 401), (basic("eve"), 403)):
        refused = guarded.client.get(f"/v2/team/app/{path.format(digest=digest)}", headers=headers)
        assert refused.status_code == status
        assert digest not in refused.text.replace(f"/{digest}", "")


def test_what_the_image_api_holds_is_listed_to_nobody_without_rights(filled: ImageAPI, cluster: FakeCluster) -> None:
    """Row 34 (Harbor CVE-2022-46463): the second door lists what the first one hides."""
    cluster.allowed = set()
    for path in ("images", "imagestreams", "imagestreamtags", "namespaces/team/imagestreams"):
        refused = filled.refuse(path, 403, "Forbidden")
        assert "app" not in json.dumps(refused).replace("apps", "")


def test_no_route_of_either_door_answers_before_it_asks(build: Callable[..., Registry], filled: ImageAPI) -> None:
    """Row 38 (Gitea CVE-2026-27771): the check is in one door alone, and the other is open."""
    recorded = Recorded()
    registry = build(authorizer=recorded)
    for method, path in routes(application(registry)):
        if "/secret/app/" in path:
            recorded.asked.clear()
            registry.client.open(path, method=method)
            assert recorded.asked, f"{method} {path} asks nobody"
    for method, path in routes(filled.client.application):
        if "/apis/image.alauda.io/v1/" in path and method != "HEAD":
            filled.cluster.asked.clear()
            filled.ask(path, method=method)
            assert filled.cluster.asked, f"{method} {path} asks nobody"


def test_what_is_refused_and_what_is_missing_look_alike(guarded: Registry) -> None:
    """Row 54 (generic): 401, 403 and 404 tell a stranger what exists."""
    guarded.push("team/app", "v1", headers=basic("ann"))
    for user in ("", "eve"):
        headers: dict[str, str] = basic(user) if user else {}
        for method, path in routes(application(guarded), namespace="team"):
            if "/team/app/" not in path:
                continue
            there, not_there, nowhere = (
                guarded.client.open(path.replace("team/app", other), method=method, headers=headers)
                for other in ("team/app", "team/none", "gone/none")
            )
            assert there.status_code == not_there.status_code == nowhere.status_code == (403 if user else 401)
            plain = there.data.replace(b"team", b"-").replace(b"app", b"-")
            assert plain == not_there.data.replace(b"team", b"-").replace(b"none", b"-"), (method, path)
            assert plain == nowhere.data.replace(b"gone", b"-").replace(b"none", b"-"), (method, path)


def test_only_known_fields_can_be_filtered(filled: ImageAPI) -> None:
    """Row 31 (Harbor CVE-2025-30086): a filter on any column reads what is never shown, character by character."""
    for field in ("spec.secret", "uid", "metadata.annotations.x", "status", "pushed_by", "id", "metadata.uid"):
        filled.refuse(f"imagestreams?fieldSelector={field}%3Dx", 400, "BadRequest")
    for query in ("sort=uid", "order_by=uid", "filter=uid", "q=uid~x", "fields=uid"):
        assert filled.get(f"imagestreams?{query}") == filled.get("imagestreams")


def test_referrers_are_filtered_by_their_type_alone(registry: Registry) -> None:
    """Row 31 (Harbor CVE-2025-30086): the filter of a list reaches more than it is meant for."""
    subject = registry.push("demo/app", "v1").headers["Docker-Content-Digest"]
    plain = registry.client.get(f"/v2/demo/app/referrers/{subject}")
    for query in ({"pushed_by": "ann"}, {"digest": "x"}, {"artifactType.__class__": "x"}):
        assert registry.client.get(f"/v2/demo/app/referrers/{subject}", query_string=query).data == plain.data


@pytest.mark.parametrize("extra", [{"admin": True}, {"created_by": "root"}, {"stream_id": 1}, {"__proto__": {}}])
def test_members_that_nobody_knows_are_refused(registry: Registry, extra: dict[str, Any]) -> None:
    """Row 28 (Harbor CVE-2019-16097): a member that nobody asked for becomes a property of the object."""
    digest = registry.push("demo/app", "v1").headers["Docker-Content-Digest"]
    body = {"schemaVersion": 2, "name": f"{digest}@a", "type": "atomic", "content": "eA==", **extra}
    refused = registry.client.put(f"/extensions/v2/demo/app/signatures/{digest}", json=body)
    assert (refused.status_code, code(refused)) == (400, "SIGNATURE_INVALID")


def test_nobody_can_register(guarded: Registry) -> None:
    """Row 28 (Harbor CVE-2019-16097): whoever registers makes themselves administrator."""
    for method, path in routes(application(guarded)):
        assert not any(word in path.lower() for word in ("user", "register", "signup", "account", "role")), path
        assert method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
