"""ImageStreamImport as kubectl creates it, over a real registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from image_registry.image_api.app import create_app
from image_registry.image_api.parts import Parts
from image_registry.imagestreams.limits import STREAMS, Limit, LimitsUnknown, Scope
from image_registry.importing.importer import CredentialsUnknown
from tests.app.image_api.conftest import FakeCluster, ImageAPI
from tests.app.importing.conftest import Importing
from tests.app.remote.conftest import REPOSITORY, Remote
from tests.app.remote.faulting_proxy import Fault

PATH = "namespaces/team/imagestreamimports"


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """One kind of database is enough here."""
    path = tmp_path / "metadata.db"
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture
def api(importing: Importing) -> ImageAPI:
    """An API over the importer's streams."""
    found = ImageAPI(importing.streams._database, FakeCluster())
    found.streams = importing.streams
    found.parts = Parts(
        streams=importing.streams,
        importer=importing.importer,
        authorizer=found.cluster,
        authenticator=found.cluster,
        front_proxy=lambda: found.trust,
        internal_hostname="registry.test:5000",
        namespace_phase=lambda name: found.phases.get(name, "Active"),
    )
    found.client = create_app(found.parts).test_client()
    return found


def wanted(*images: dict[str, Any], **spec: Any) -> dict[str, Any]:
    metadata = spec.pop("metadata", {})
    return {
        "kind": "ImageStreamImport",
        "apiVersion": "image.alauda.io/v1",
        "metadata": {"name": "imported", **metadata},
        "spec": {"import": True, **({"images": list(images)} if images else {}), **spec},
    }


def one(importing: Importing, wanted_tag: str = "v1", **more: Any) -> dict[str, Any]:
    source = {"kind": "DockerImage", "name": f"{importing.proxy.host}/{REPOSITORY}:{wanted_tag}"}
    return {"from": source, **more}


def test_the_answer_holds_the_stream_and_a_status_for_each_image(
    api: ImageAPI, importing: Importing, open_distribution: Remote
) -> None:
    policy: dict[str, Any] = {"importPolicy": {"scheduled": True}, "referencePolicy": {"type": "Local"}}
    body = wanted(one(importing, to={"name": "prod"}, **policy), one(importing, "none"))
    made = api.write("POST", PATH, body, 201)
    assert (made["kind"], made["metadata"]["name"]) == ("ImageStreamImport", "imported")
    first, second = made["status"]["images"]
    assert first["status"] == {"metadata": {}, "status": "Success"}
    assert first["tag"] == "prod"
    assert first["image"]["metadata"]["name"] == str(open_distribution.content.image)
    assert first["image"]["metadata"]["uid"]
    assert first["image"]["dockerImageMetadata"]["Config"] == {"Cmd": ["run"]}
    assert "dockerImageManifest" not in first["image"]
    assert (second["status"]["reason"], second["status"]["code"]) == ("NotFound", 404)
    stream = made["status"]["import"]
    assert stream == api.get("namespaces/team/imagestreams/imported")
    [failed, prod] = stream["status"]["tags"]
    assert failed["tag"] == "none"
    assert failed["conditions"][0]["reason"] == "NotFound"
    assert prod["items"][0]["image"] == str(open_distribution.content.image)
    assert stream["spec"]["tags"][1]["referencePolicy"] == {"type": "Local"}
    assert stream["spec"]["tags"][1]["importPolicy"]["scheduled"] is True
    tag = api.get("namespaces/team/imagestreamtags/imported:prod")
    local = f"registry.test:5000/team/imported@{open_distribution.content.image}"
    assert tag["image"]["dockerImageReference"] == local


def test_a_look_shows_images_and_leaves_nothing(api: ImageAPI, importing: Importing) -> None:
    body = wanted(one(importing, includeManifest=True), **{"import": False})
    for path in (PATH, f"{PATH}?dryRun=All"):
        made = api.write("POST", path, body, 201)
        image = made["status"]["images"][0]["image"]
        assert image["dockerImageManifest"].startswith("{")
        assert "import" not in made["status"]
    dry = api.write("POST", f"{PATH}?dryRun=All", wanted(one(importing)), 201)
    assert dry["status"]["import"]["status"]["tags"][0]["tag"] == "v1"
    api.refuse("namespaces/team/imagestreams/imported", 404, "NotFound")


def test_a_repository_shows_what_was_left_out(api: ImageAPI, importing: Importing) -> None:
    importing.importer._most_tags = 3
    source = {"kind": "DockerImage", "name": f"{importing.proxy.host}/{REPOSITORY}"}
    made = api.write("POST", PATH, wanted(repository={"from": source}), 201)
    found = made["status"]["repository"]
    assert [item["tag"] for item in found["images"]] == ["latest", "1.1.0", "1.0.0"]
    assert sorted(found["additionalTags"]) == ["multi", "v1"]
    source["name"] = f"{importing.proxy.host}/no/such"
    failed = api.write("POST", PATH, wanted(repository={"from": source}), 201)
    assert failed["status"]["repository"]["status"]["reason"] == "NotFound"


def test_an_index_is_shown_with_its_images(api: ImageAPI, importing: Importing, open_distribution: Remote) -> None:
    content = open_distribution.content
    whole = one(importing, "multi", importPolicy={"importMode": "PreserveOriginal"})
    item = api.write("POST", PATH, wanted(whole), 201)["status"]["images"][0]
    assert item["image"]["metadata"]["name"] == str(content.index)
    assert {image["metadata"]["name"] for image in item["manifests"]} == {str(content.image), str(content.arm)}
    annotations = {"importer.image.alauda.io/prefer-arch": "arm64"}
    body = wanted(one(importing, "multi", to={"name": "arm"}), metadata={"annotations": annotations})
    chosen = api.write("POST", PATH, body, 201)
    assert chosen["status"]["images"][0]["image"]["metadata"]["name"] == str(content.arm)


def test_what_is_wrong_is_told_with_its_path(api: ImageAPI, importing: Importing) -> None:
    nothing = api.reject("POST", PATH, wanted(), 422, "Invalid")
    assert nothing["details"]["causes"][0]["field"] == "spec"
    entry = {
        "from": {"kind": "ImageStreamTag", "name": ""},
        "to": {"name": ""},
        "importPolicy": {"importMode": "Some"},
        "referencePolicy": {"type": "Any"},
    }
    tagged = {"from": {"kind": "DockerImage", "name": "quay.io/a:v1"}}
    refused = api.reject("POST", PATH, wanted(entry, repository=tagged), 422, "Invalid")
    assert {cause["field"] for cause in refused["details"]["causes"]} == {
        "spec.images[0].from.kind",
        "spec.images[0].from.name",
        "spec.images[0].to.name",
        "spec.images[0].importPolicy.importMode",
        "spec.images[0].referencePolicy.type",
        "spec.repository.from.name",
    }
    unnamed = wanted(one(importing), metadata={"name": "UPPER"})
    api.reject("POST", PATH, unnamed, 422, "Invalid")
    many = wanted(*[one(importing)] * 101)
    assert api.reject("POST", PATH, many, 422, "Invalid")["details"]["causes"][0]["reason"] == "FieldValueTooMany"
    assert importing.proxy.seen == []


def test_preconditions_are_those_of_the_stream(api: ImageAPI, importing: Importing) -> None:
    body = wanted(one(importing), metadata={"resourceVersion": "5"})
    api.reject("POST", PATH, body, 404, "NotFound")
    stream = api.write("POST", PATH, wanted(one(importing)), 201)["status"]["import"]
    current = {"uid": stream["metadata"]["uid"], "resourceVersion": stream["metadata"]["resourceVersion"]}
    api.write("POST", PATH, wanted(one(importing, "1.0.0"), metadata=current), 201)
    api.reject("POST", PATH, wanted(one(importing, "1.1.0"), metadata=current), 409, "Conflict")
    bad = wanted(one(importing), metadata={"resourceVersion": "x"})
    api.reject("POST", PATH, bad, 400, "BadRequest")


def test_nobody_imports_without_the_right_or_into_an_ending_namespace(api: ImageAPI, importing: Importing) -> None:
    api.phases["team"] = "Terminating"
    api.reject("POST", PATH, wanted(one(importing)), 403, "Forbidden")
    del api.phases["team"]
    api.cluster.allowed = set()
    api.reject("POST", PATH, wanted(one(importing)), 403, "Forbidden")
    assert importing.proxy.seen == []


def test_limits_and_what_cannot_be_known_are_a_status_too(
    api: ImageAPI, importing: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing.limits["team"] = (Limit("ResourceQuota none", Scope.NAMESPACE, STREAMS, 0),)
    refused = api.reject("POST", PATH, wanted(one(importing)), 403, "Forbidden")
    assert "exceeded quota: none, requested: alauda.io/imagestreams=1" in refused["message"]

    def unknown(_namespace: str) -> Any:
        raise LimitsUnknown("nobody tells")

    monkeypatch.setattr(importing.streams.imports, "_limits", unknown)
    api.reject("POST", PATH, wanted(one(importing)), 503, "ServiceUnavailable")

    def away(_namespace: str) -> Any:
        raise CredentialsUnknown("the Secrets cannot be read")

    monkeypatch.setattr(importing.importer, "_keyring", away)
    api.reject("POST", PATH, wanted(one(importing)), 503, "ServiceUnavailable")


def test_a_registry_that_asks_to_wait_is_told_with_its_seconds(api: ImageAPI, importing: Importing) -> None:
    importing.proxy.faults.append(Fault("manifests", 429, {"Retry-After": "3600"}, always=True))
    item = api.write("POST", PATH, wanted(one(importing)), 201)["status"]["images"][0]
    assert (item["status"]["code"], item["status"]["reason"]) == (429, "TooManyRequests")
    assert item["status"]["details"]["retryAfterSeconds"] in range(3500, 3601)


def test_imports_are_commands_and_nothing_else(api: ImageAPI) -> None:
    for method, path in (("GET", PATH), ("GET", f"{PATH}/x"), ("DELETE", f"{PATH}/x"), ("PUT", f"{PATH}/x")):
        assert api.ask(path, method=method, json={}).status_code in {404, 405}
    api.reject("POST", PATH, {"metadata": {"name": "x"}, "spec": {"import": "yes"}}, 400, "BadRequest")


def test_kubectl_prints_an_import_by_its_name(api: ImageAPI, importing: Importing) -> None:
    answer = api.send("POST", PATH, wanted(one(importing)), headers={"Accept": api.table})
    assert answer.status_code == 201
    assert answer.get_json()["rows"][0]["cells"] == ["imported"]
