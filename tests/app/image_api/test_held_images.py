"""What streams hold is seen image by image, and let go of only when nothing needs it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

ALL = "imagestreamimages"
TEAM = "namespaces/team"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


def one(repository: str, digest: str) -> str:
    namespace, name = repository.split("/")
    return f"namespaces/{namespace}/imagestreamimages/{quote(f'{name}@{digest}', safe='@')}"


def held(api: Any, namespace: str = "") -> list[str]:
    path = f"namespaces/{namespace}/{ALL}" if namespace else ALL
    return [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in api.get(path)["items"]]


def test_a_list_shows_what_streams_hold_tagged_or_not(either: Any) -> None:
    tagged = either.push("team/app", "one", "v1")
    loose = either.push("team/app", "two", None)
    either.push("other/app", "one", "v1")
    assert held(either) == [f"other/app@{tagged}", *sorted((f"team/app@{tagged}", f"team/app@{loose}"))]
    assert len(held(either, "team")) == 2
    first = either.get(f"{TEAM}/{ALL}")["items"][0]
    assert first == either.get(one("team/app", first["image"]["metadata"]["name"]))
    assert first["image"]["dockerImageLayers"]


def test_pages_join_to_the_whole_list_also_inside_of_a_stream(either: Any) -> None:
    for number in range(7):
        either.push("team/app", number, None)
        either.push(f"team-{number % 3}/web", number, None)
    whole = held(either)
    for accept in ("", METADATA):
        seen, token = [], ""
        while True:
            page = either.get(f"{ALL}?limit=3&continue={quote(token)}", accept)
            assert len(page["items"]) <= 3
            seen += [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in page["items"]]
            token = page["metadata"].get("continue", "")
            if not token:
                break
        assert seen == whole
    assert len(whole) == 14


def test_its_age_is_how_long_the_stream_has_it(either: Any) -> None:
    digest = either.push("team/app", "one", "v1")
    either.push("other/app", "one", "v1")
    mine, theirs = (either.get(one(name, digest)) for name in ("team/app", "other/app"))
    assert mine["metadata"]["creationTimestamp"] < theirs["metadata"]["creationTimestamp"]
    made = {found["image"]["metadata"]["creationTimestamp"] for found in (mine, theirs)}
    assert len(made) == 1


def test_what_nothing_needs_leaves_the_stream_and_stays_an_image(either: Any) -> None:
    digest = either.push("team/app", "one", None)
    either.delete(one("team/app", digest), options={"dryRun": ["All"]})
    assert held(either) == [f"team/app@{digest}"]
    before = either.get(f"{TEAM}/imagestreams/app")["metadata"]
    either.delete(one("team/app", digest))
    assert held(either) == []
    after = either.get(f"{TEAM}/imagestreams/app")["metadata"]
    assert int(after["resourceVersion"]) > int(before["resourceVersion"])
    assert either.get(f"images/{digest}")["metadata"]["name"] == digest
    either.delete(f"images/{digest}")


def test_what_a_tag_means_or_meant_stays(either: Any) -> None:
    old = either.push("team/app", "old", "v1")
    new = either.push("team/app", "new", "v1")
    for digest in (old, new):
        refused = either.refuse(one("team/app", digest), 409, "Conflict", method="DELETE")
        assert "tag v1 of ImageStream team/app" in refused["message"]
    assert len(held(either)) == 2


def test_what_an_index_lists_stays_as_long_as_the_index(either: Any) -> None:
    child = either.image("amd64")
    either.push("team/app", child, None)
    index = either.push("team/app", either.index(child), None)
    refused = either.refuse(one("team/app", str(child.digest)), 409, "Conflict", method="DELETE")
    assert index in refused["message"]
    either.delete(one("team/app", index))
    either.delete(one("team/app", str(child.digest)))
    assert held(either) == []


def test_what_a_signature_refers_to_stays_as_long_as_the_signature(either: Any) -> None:
    signed = either.image("signed")
    either.push("team/app", signed, None)
    subject = {"mediaType": signed.media_type, "digest": str(signed.digest), "size": len(signed.raw)}
    signature = either.push("team/app", either.image("signature", subject=subject), None)
    refused = either.refuse(one("team/app", str(signed.digest)), 409, "Conflict", method="DELETE")
    assert signature in refused["message"]
    either.delete(one("team/app", signature))
    either.delete(one("team/app", str(signed.digest)))


def test_what_a_tag_of_another_stream_lives_on_stays(either: Any) -> None:
    digest = either.push("team/app", "one", "v1")
    source = {"kind": "ImageStreamTag", "name": "app:v1", "namespace": "team"}
    made = {"metadata": {"name": "copy:v1"}, "tag": {"from": source}}
    either.write("POST", "namespaces/other/imagestreamtags", made, 201)
    either.delete(f"{TEAM}/imagestreamtags/app:v1")
    refused = either.refuse(one("team/app", digest), 409, "Conflict", method="DELETE")
    assert "tag v1 of ImageStream other/copy" in refused["message"]
    either.delete("namespaces/other/imagestreamtags/copy:v1")
    either.delete(one("team/app", digest))


def test_a_stream_that_has_changed_since_it_was_seen_lets_nothing_go(either: Any) -> None:
    digest = either.push("team/app", "one", None)
    seen = either.get(one("team/app", digest))["metadata"]
    either.push("team/app", "two", "v1")
    preconditions = {"uid": seen["uid"], "resourceVersion": seen["resourceVersion"]}
    path = one("team/app", digest)
    either.refuse(path, 409, "Conflict", method="DELETE", json={"preconditions": preconditions})
    either.refuse(path, 409, "Conflict", method="DELETE", json={"preconditions": {"uid": "other"}})
    fresh = either.get(path)["metadata"]
    either.delete(path, options={"preconditions": {"resourceVersion": fresh["resourceVersion"]}})


def test_names_that_are_no_image_of_a_stream(api: Any) -> None:
    digest = api.push("team/app", "one", None)
    api.refuse(one("team/app", digest[:20]), 404, "NotFound", method="DELETE")
    api.refuse(one("team/web", digest), 404, "NotFound", method="DELETE")
    api.refuse(f"{TEAM}/imagestreamimages/app", 400, "BadRequest", method="DELETE")
    assert api.get(f"{ALL}?fieldSelector=metadata.name=app@{digest},metadata.namespace=team")["items"]
    assert api.get("namespaces/UPPER/imagestreamimages")["items"] == []
