"""Tags, images, mappings and what is read of a stream in other forms."""

from __future__ import annotations

import json
from typing import Any

import pytest

TEAM = "namespaces/team"
TAGS = f"{TEAM}/imagestreamtags"
ITAGS = f"{TEAM}/imagetags"
MERGE_PATCH = "application/merge-patch+json"


def wanted(name: str, source: str = "v1", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "tag": {"from": {"kind": "ImageStreamTag", "name": source}, **more}}


def test_a_tag_is_made_together_with_its_stream(either: Any) -> None:
    digest = either.push("team/base", "one", "v1")
    made = either.write("POST", TAGS, wanted("app:prod", "base:v1"), 201)
    assert made == either.get(f"{TAGS}/app:prod")
    assert (made["image"]["metadata"]["name"], made["tag"]["name"]) == (digest, "prod")
    stream = either.get(f"{TEAM}/imagestreams/app")
    assert made["metadata"]["uid"] == stream["metadata"]["uid"]
    assert made["metadata"]["resourceVersion"] == stream["metadata"]["resourceVersion"]
    assert (
        either.reject("POST", TAGS, wanted("app:prod", "base:v1"), 409, "AlreadyExists")["details"]["name"]
        == "app:prod"
    )
    assert either.reject("POST", TAGS, wanted("app"), 400, "BadRequest")
    assert either.reject("POST", TAGS, {"metadata": {"name": "app:x"}}, 400, "BadRequest")
    assert either.reject("POST", TAGS, wanted("app:-x"), 422, "Invalid")


def test_a_tag_is_not_made_where_nothing_new_may_be(api: Any) -> None:
    api.phases = {"team": "Terminating"}
    api.reject("POST", TAGS, wanted("app:prod"), 403, "Forbidden")


def test_replacing_a_tag_needs_no_version_and_makes_what_is_missing(either: Any) -> None:
    first, second = either.push("team/app", "one", "v1"), either.push("team/app", "two", "v2")
    made = either.write("PUT", f"{TAGS}/app:prod", wanted("app:prod"), 201)
    assert made["image"]["metadata"]["name"] == first
    changed = either.write("PUT", f"{TAGS}/app:prod", wanted("app:prod", "v2"))
    assert changed["image"]["metadata"]["name"] == second
    changed["tag"]["from"]["name"] = "v1"
    either.push("team/app", "three", "v3")
    assert "modified" in either.reject("PUT", f"{TAGS}/app:prod", changed, 409, "Conflict")["message"]


def test_annotations_of_a_tag_are_its_own(either: Any) -> None:
    either.push("team/app", "one", "v1")
    either.write("POST", TAGS, wanted("app:prod"), 201)
    note = {"metadata": {"annotations": {"who": "me"}}}
    assert either.write("PATCH", f"{TAGS}/app:prod", note, 200, MERGE_PATCH)["metadata"]["annotations"] == {"who": "me"}
    stream = either.get(f"{TEAM}/imagestreams/app")
    assert "annotations" not in stream["metadata"]
    assert stream["spec"]["tags"][0]["annotations"] == {"who": "me"}


def test_a_pushed_tag_is_replaced_by_itself_without_wanting_anything(api: Any) -> None:
    api.push("team/app", "one", "v1")
    shown = api.get(f"{TAGS}/app:v1")
    assert api.write("PUT", f"{TAGS}/app:v1", shown) == shown
    assert "tags" not in api.get(f"{TEAM}/imagestreams/app")["spec"]
    api.reject(
        "PATCH", f"{TAGS}/app:v1?fieldManager=x", {}, 415, "UnsupportedMediaType", "application/apply-patch+yaml"
    )


def test_where_consumers_pull_from_is_the_tags_policy(api: Any) -> None:
    api.push("team/app", "one", "v1")
    manifest = api.image("outside")
    for tag, policy in (("near", "Local"), ("far", "Source")):
        spec = {"from": {"kind": "DockerImage", "name": "quay.io/a/b:1"}, "referencePolicy": {"type": policy}}
        api.write("POST", TAGS, {"metadata": {"name": f"app:{tag}"}, "tag": spec}, 201)
        mapping = {"metadata": {"name": "app"}, "tag": tag, "image": image(manifest)}
        if tag == "far":
            api.delete(f"{TAGS}/app:near")
            api.delete(f"images/{manifest.digest}")
        api.write("POST", f"{TEAM}/imagestreammappings", mapping, 201)
        shown = api.get(f"{TAGS}/app:{tag}")["image"]["dockerImageReference"]
        assert shown == (f"{api.host}/team/app@{manifest.digest}" if policy == "Local" else "quay.io/a/b:1")


def test_what_lies_in_another_stream_is_pulled_from_there_whatever_the_policy(api: Any) -> None:
    """Only that stream holds it: a pull from this one would find nothing."""
    digest = api.push("team/base", "one", "v1")
    for policy in ("Local", "Source"):
        made = api.write("POST", TAGS, wanted(f"app:{policy}", "base:v1", referencePolicy={"type": policy}), 201)
        assert made["image"]["dockerImageReference"] == f"{api.host}/team/base@{digest}"


def test_a_tag_of_which_something_is_only_wanted_is_deleted_too(either: Any) -> None:
    outside = {"metadata": {"name": "app:x"}, "tag": {"from": {"kind": "DockerImage", "name": "quay.io/a/b:1"}}}
    made = either.write("POST", TAGS, outside, 201)
    assert made["image"]["metadata"]["name"] == ""
    either.refuse(f"{TAGS}/app:x", 404, "NotFound")
    assert either.get(f"{ITAGS}/app:x")["spec"]["from"]["name"] == "quay.io/a/b:1"
    either.delete(f"{TAGS}/app:x")
    either.refuse(f"{ITAGS}/app:x", 404, "NotFound")


def test_image_tags_are_those_that_are_wanted_and_those_that_are_there(either: Any) -> None:
    digest = either.push("team/app", "one", "v1")
    either.write(
        "POST",
        ITAGS,
        {
            "metadata": {"name": "app:later"},
            "spec": {"name": "later", "from": {"kind": "DockerImage", "name": "quay.io/a/b"}},
        },
        201,
    )
    either.write(
        "POST",
        ITAGS,
        {"metadata": {"name": "web:s"}, "spec": {"from": {"kind": "ImageStreamTag", "name": "app:v1"}}},
        201,
    )
    either.push("team/zoo", "two", "z")
    assert either.names(ITAGS) == ["app:later", "app:v1", "web:s", "zoo:z"]
    assert either.names("imagetags") == either.names(ITAGS)
    page, names = either.get(f"{ITAGS}?limit=1"), []
    while True:
        names += [item["metadata"]["name"] for item in page["items"]]
        if "continue" not in page["metadata"]:
            break
        page = either.get(f"{ITAGS}?limit=1&continue={page['metadata']['continue']}")
    assert names == either.names(ITAGS)
    rows = {row["cells"][0]: row["cells"][1:4] for row in either.get(ITAGS, either.table)["rows"]}
    assert rows["app:later"] == ["Tag", "Importing", "0"]
    assert rows["app:v1"] == ["Push", f"image/{digest}", "1"]
    shown = either.get(f"{ITAGS}/app:v1")
    assert (shown["status"]["items"][0]["image"], shown["image"]["metadata"]["name"]) == (digest, digest)


def test_an_image_tag_without_a_spec_wants_nothing_any_more(api: Any) -> None:
    api.push("team/app", "one", "v1")
    made = api.write(
        "POST", ITAGS, {"metadata": {"name": "app:s"}, "spec": {"from": {"kind": "ImageStreamTag", "name": "v1"}}}, 201
    )
    del made["spec"]
    left = api.write("PUT", f"{ITAGS}/app:s", made)
    assert ("spec" in left, len(left["status"]["items"])) == (False, 1)
    wrong = {"metadata": {"name": "app:t"}, "spec": {"name": "u"}}
    assert api.reject("POST", ITAGS, wrong, 422, "Invalid")["details"]["causes"][0]["field"] == "spec.name"


# images


def test_an_image_is_found_by_the_beginning_of_its_digest(either: Any) -> None:
    digests = sorted(either.push("team/app", f"image {number}", "v1") for number in range(20))
    path = f"{TEAM}/imagestreamimages/app@"
    found = either.get(f"{path}{digests[0]}")
    assert (found["kind"], found["metadata"]["name"]) == ("ImageStreamImage", f"app@{digests[0]}")
    assert either.get(f"{path}{digests[0][:30]}") == found
    assert "more than one" in either.refuse(f"{path}sha256:", 409, "Conflict")["message"]
    either.refuse(f"{path}sha256:zz", 404, "NotFound")
    either.refuse(f"{TEAM}/imagestreamimages/app", 400, "BadRequest")
    assert either.get(f"{path}{digests[0]}", either.table)["rows"][0]["cells"][0] == f"app@{digests[0]}"


def test_layers_are_everything_that_a_repository_has(either: Any) -> None:
    child = either.image("amd64")
    either.push("team/app", child, None)
    index = either.push("team/app", either.index(child), "v1")
    layers = either.get(f"{TEAM}/imagestreams/app/layers")
    assert layers["kind"] == "ImageStreamLayers"
    assert layers["images"][index]["manifests"] == [str(child.digest)]
    one = layers["images"][str(child.digest)]
    assert one["layers"] == [str(layer.digest) for layer in child.layers]
    assert set(layers["blobs"]) >= {index, str(child.digest), one["config"], *one["layers"]}
    either.cluster.allowed = set()
    assert (
        'resource "imagestreams/layers"'
        in either.refuse(f"{TEAM}/imagestreams/app/layers", 403, "Forbidden")["message"]
    )


def image(manifest: Any, **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": str(manifest.digest)},
        "dockerImageReference": "quay.io/a/b:1",
        "dockerImageManifest": manifest.raw.decode(),
        "dockerImageManifestMediaType": manifest.media_type,
        **more,
    }


def test_an_image_says_what_its_manifest_says(either: Any) -> None:
    manifest = either.image("outside")
    made = either.write("POST", "images", image(manifest, dockerImageLayers=[]), 201)
    assert made == either.get(f"images/{manifest.digest}")
    assert [layer["name"] for layer in made["dockerImageLayers"]] == [str(layer.digest) for layer in manifest.layers]
    assert "dockerImageManifest" not in made
    either.reject("POST", "images", image(manifest), 409, "AlreadyExists")
    other = image(manifest, metadata={"name": "sha256:" + "0" * 64})
    assert (
        either.reject("POST", "images", other, 422, "Invalid")["details"]["causes"][0]["field"] == "dockerImageManifest"
    )
    bare = {"metadata": {"name": "sha256:" + "1" * 64}, "dockerImageReference": "a/b"}
    assert (
        either.reject("POST", "images", bare, 422, "Invalid")["details"]["causes"][0]["reason"] == "FieldValueRequired"
    )


def test_people_write_on_an_image_and_change_nothing_of_what_it_is(either: Any) -> None:
    digest = either.push("team/app", "one", "v1")
    path = f"images/{digest}"
    before = either.get(path)
    change = {"metadata": {"labels": {"approved": "yes"}, "annotations": {"by": "me"}}, "dockerImageLayers": None}
    after = either.write("PATCH", f"{path}?fieldManager=auditor", change, 200, MERGE_PATCH)
    assert after["metadata"]["labels"] == {"approved": "yes"}
    assert after["metadata"]["annotations"]["by"] == "me"
    assert after["metadata"]["managedFields"][0]["manager"] == "auditor"
    assert after["dockerImageLayers"] == before["dockerImageLayers"]
    assert either.write("PUT", path, after) == after
    either.push("team/app", "one", "v2")
    assert either.get(path)["metadata"]["labels"] == {"approved": "yes"}


def test_an_image_that_a_tag_means_is_not_deleted(either: Any) -> None:
    base = either.push("team/base", "one", "v1")
    either.write("POST", TAGS, wanted("app:prod", "base:v1"), 201)
    either.delete(f"{TEAM}/imagestreams/base")
    status = either.refuse(f"images/{base}", 409, "Conflict", method="DELETE")
    assert "tag prod of ImageStream team/app" in status["message"]
    either.delete(f"{TAGS}/app:prod")
    either.delete(f"images/{base}")


def test_a_mapping_is_an_event_of_a_tag(either: Any) -> None:
    digest = either.push("team/app", "one", "v1")
    mapping: dict[str, Any] = {"metadata": {"name": "app"}, "tag": "mapped", "image": {"metadata": {"name": digest}}}
    status = either.write("POST", f"{TEAM}/imagestreammappings", mapping, 201)
    assert (status["kind"], status["status"]) == ("Status", "Success")
    shown = either.get(f"{TAGS}/app:mapped")
    assert (shown["image"]["metadata"]["name"], "tag" in shown) == (digest, False)
    mapping["metadata"]["name"] = "nowhere"
    either.reject("POST", f"{TEAM}/imagestreammappings", mapping, 404, "NotFound")


def test_a_known_digest_opens_nothing(either: Any) -> None:
    secret = either.push("other/secret", "hidden", "v1")
    either.push("team/app", "one", "v1")
    create = "create imagestreammappings.image.alauda.io in namespace "
    either.cluster.allowed = {f'{create}"team"'}
    mapping = {"metadata": {"name": "app"}, "tag": "stolen", "image": {"metadata": {"name": secret}}}
    status = either.reject("POST", f"{TEAM}/imagestreammappings", mapping, 422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "image.metadata.name"
    either.cluster.allowed.add('get imagestreams/layers.image.alauda.io "secret" in namespace "other"')
    either.write("POST", f"{TEAM}/imagestreammappings", mapping, 201)


@pytest.mark.parametrize("hidden", ["a", "z"])
def test_a_mapping_names_no_stream_that_the_caller_may_not_pull_from(either: Any, hidden: str) -> None:
    streams = sorted([f"{hidden}/secret", "m/known"])
    for order, content in ((streams, "one"), (streams[::-1], "two")):
        digests = {either.push(stream, content, content) for stream in order}
        either.push("team/app", "base", "v1")
        create = 'create imagestreammappings.image.alauda.io in namespace "team"'
        either.cluster.allowed = {
            create,
            'get imagestreams/layers.image.alauda.io "known" in namespace "m"',
            f'get imagestreamtags.image.alauda.io "app:{content}" in namespace "team"',
        }
        (digest,) = digests
        mapping = {"metadata": {"name": "app"}, "tag": content, "image": {"metadata": {"name": digest}}}
        either.write("POST", f"{TEAM}/imagestreammappings", mapping, 201)
        shown = either.get(f"{TAGS}/app:{content}")
        assert shown["image"]["dockerImageReference"].endswith(f"/m/known@{digest}")


def test_a_mapping_of_an_image_that_nobody_knows_brings_its_manifest(api: Any) -> None:
    api.push("team/app", "one", "v1")
    manifest = api.image("outside")
    mapping: dict[str, Any] = {"metadata": {"name": "app"}, "image": {"metadata": {"name": str(manifest.digest)}}}
    api.reject("POST", f"{TEAM}/imagestreammappings", mapping, 422, "Invalid")
    mapping["image"] = image(manifest)
    api.write("POST", f"{TEAM}/imagestreammappings", mapping, 201)
    assert api.get(f"{TAGS}/app:latest")["image"]["dockerImageReference"] == "quay.io/a/b:1"


@pytest.mark.parametrize("kind", ["images", "imagestreams", "imagestreamtags", "imagetags"])
def test_every_object_can_be_sent_back_as_it_is(filled: Any, kind: str) -> None:
    for item in filled.get(kind)["items"]:
        metadata = item["metadata"]
        inside = f"namespaces/{metadata['namespace']}/" if "namespace" in metadata else ""
        path = f"{inside}{kind}/{filled.segment(metadata['name'])}"
        shown = filled.get(path)
        strict = filled.write("PUT", f"{path}?fieldValidation=Strict", json.loads(json.dumps(shown)))
        assert strict == shown
