"""What the objects say."""

from __future__ import annotations

import json
from typing import Any

CONFIG = json.dumps(
    {"architecture": "arm64", "os": "linux", "created": "2029-05-05T05:05:05Z", "config": {"Cmd": ["serve"]}}
).encode()


def test_an_image_shows_type_configuration_and_layers_with_sizes(api: Any) -> None:
    digest = api.push("team/app", "content", config=CONFIG)
    image = api.get(f"images/{digest}")
    assert (image["kind"], image["apiVersion"]) == ("Image", "image.alauda.io/v1")
    assert image["metadata"]["name"] == digest
    assert "namespace" not in image["metadata"]
    assert image["metadata"]["annotations"]["image.alauda.io/dockerLayersOrder"] == "ascending"
    assert image["dockerImageReference"] == f"{api.host}/team/app@{digest}"
    assert image["dockerImageManifestMediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert [layer["size"] for layer in image["dockerImageLayers"]] == [10]
    assert image["dockerImageMetadata"]["Architecture"] == "arm64"
    assert image["dockerImageMetadata"]["Config"] == {"Cmd": ["serve"]}
    assert image["dockerImageMetadata"]["Size"] == 17
    assert image["dockerImageMetadataVersion"] == "1.0"
    assert "dockerImageManifests" not in image


def test_an_index_shows_its_entries_and_no_layers(api: Any) -> None:
    children = [api.image("amd64"), api.image("arm")]
    for child in children:
        api.push("team/multi", child, None)
    image = api.get(f"images/{api.push('team/multi', api.index(*children))}")
    assert [(entry["architecture"], entry.get("variant")) for entry in image["dockerImageManifests"]] == [
        ("amd64", None),
        ("arm", "v7"),
    ]
    assert [entry["digest"] for entry in image["dockerImageManifests"]] == [str(child.digest) for child in children]
    assert image["dockerImageManifests"][0]["manifestSize"] == len(children[0].raw)
    assert "dockerImageLayers" not in image
    assert "dockerImageMetadata" not in image


def test_an_artifact_says_what_it_is_and_what_it_is_about(api: Any) -> None:
    about = api.image("subject")
    subject = {"mediaType": about.media_type, "digest": str(about.digest), "size": len(about.raw)}
    digest = api.push("team/app", api.image("signature", artifactType="application/vnd.example", subject=subject), None)
    image = api.get(f"images/{digest}")
    assert image["artifactType"] == "application/vnd.example"
    assert image["subject"] == str(about.digest)


def test_a_stream_tells_the_history_of_each_tag_with_the_newest_first(api: Any) -> None:
    first = api.push("team/app", "one", "v1")
    second = api.push("team/app", "two", "v1")
    api.push("team/app", "other", "v2")
    stream = api.get("namespaces/team/imagestreams/app")
    assert stream["kind"] == "ImageStream"
    assert stream["spec"] == {"lookupPolicy": {"local": False}}
    assert stream["status"]["dockerImageRepository"] == f"{api.host}/team/app"
    assert stream["status"]["publicDockerImageRepository"] == "registry.example.com/team/app"
    tags = {tag["tag"]: tag["items"] for tag in stream["status"]["tags"]}
    assert [event["image"] for event in tags["v1"]] == [second, first]
    assert tags["v1"][0]["dockerImageReference"] == f"{api.host}/team/app@{second}"
    assert tags["v1"][0]["created"].endswith("Z")
    assert list(tags) == ["v1", "v2"]


def test_a_stream_tag_carries_identity_of_its_stream_and_the_whole_image(api: Any) -> None:
    digest = api.push("team/app", "one", "v1", CONFIG)
    stream = api.get("namespaces/team/imagestreams/app")
    tag = api.get("namespaces/team/imagestreamtags/app:v1")
    assert tag["metadata"]["name"] == "app:v1"
    for member in ("uid", "resourceVersion", "namespace"):
        assert tag["metadata"][member] == stream["metadata"][member]
    assert tag["image"]["metadata"]["name"] == digest
    assert tag["image"]["dockerImageMetadata"]["Architecture"] == "arm64"
    assert tag["image"]["dockerImageReference"] == f"{api.host}/team/app@{digest}"
    assert tag["lookupPolicy"] == {"local": False}


def test_the_time_of_a_stream_tag_is_that_of_its_newest_event(api: Any) -> None:
    api.push("team/app", "one", "v1")
    before = api.get("namespaces/team/imagestreamtags/app:v1")["metadata"]["creationTimestamp"]
    api.push("team/app", "two", "v1")
    after = api.get("namespaces/team/imagestreamtags/app:v1")["metadata"]["creationTimestamp"]
    assert before < after


def test_the_reference_of_a_copied_image_names_the_repository_of_the_tag(api: Any) -> None:
    digest = api.push("team/app", "shared", "v1")
    api.push("other/app", "shared", "v1")
    assert api.get("namespaces/other/imagestreamtags/app:v1")["image"]["dockerImageReference"] == (
        f"{api.host}/other/app@{digest}"
    )
    assert api.get(f"images/{digest}")["dockerImageReference"] == f"{api.host}/team/app@{digest}"


def test_a_list_of_stream_tags_names_images_without_their_content(api: Any) -> None:
    digest = api.push("team/app", "one", "v1", CONFIG)
    (tag,) = api.get("namespaces/team/imagestreamtags")["items"]
    assert tag["image"] == {
        "metadata": {"name": digest},
        "dockerImageReference": f"{api.host}/team/app@{digest}",
    }


def test_text_of_any_language_survives_in_json_and_yaml(api: Any) -> None:
    config = json.dumps({"os": "linux", "author": "Зоя 会 🦊", "config": {"Labels": {"a: b": "- x\n# y"}}}).encode()
    digest = api.push("team/app", "one", config=config)
    assert api.get(f"images/{digest}")["dockerImageMetadata"]["Author"] == "Зоя 会 🦊"
    text = api.ask(f"images/{digest}", "application/yaml").get_data(as_text=True)
    import yaml

    assert yaml.safe_load(text) == api.get(f"images/{digest}")
