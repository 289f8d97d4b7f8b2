"""An import shows what another registry has, and says of each item why it does not."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest

from image_registry.imagestreams.errors import Conflict, StreamUnknown
from image_registry.imagestreams.limits import IMAGES, STORAGE, STREAMS, TAGS, Limit, LimitExceeded, Scope
from image_registry.imagestreams.model import TagSource, TagSpec
from image_registry.imagestreams.service import ImageStreams
from image_registry.imagestreams.tag_edits import TagEdit
from image_registry.importing.finding import choose
from image_registry.importing.requests import ImageWish, Policy
from image_registry.importing.tag_order import by_importance
from image_registry.metadata.database import Database
from image_registry.oci.reference import Repository
from image_registry.remote.errors import Unusable
from tests.app.content import image, index
from tests.app.importing.conftest import STREAM, Importing
from tests.app.remote.conftest import REPOSITORY, Remote
from tests.app.remote.faulting_proxy import Fault
from tests.at_once import at_once


def test_an_image_becomes_a_tag_an_event_and_an_image(importing: Importing, open_distribution: Remote) -> None:
    content = open_distribution.content
    result = importing.run(importing.image())
    assert [item.failure for item in result.images] == [None]
    stream = importing.streams.stream(STREAM)
    assert result.stream == stream
    [spec] = stream.specs
    source = TagSource("DockerImage", f"{importing.proxy.host}/{REPOSITORY}:v1")
    assert spec == TagSpec("v1", source, generation=1)
    [history] = stream.tags
    assert history.newest.image == content.image
    assert history.newest.reference == f"{importing.proxy.host}/{REPOSITORY}@{content.image}"
    assert history.newest.generation == spec.generation
    assert stream.conditions == {}
    found = importing.streams.image(content.image)
    assert found.docker_metadata["Config"] == {"Cmd": ["run"]}
    assert found.reference == history.newest.reference
    assert "image.alauda.io/managed" not in found.meta.annotations
    assert importing.streams.manifest(STREAM, content.image).media_type == found.media_type


def test_importing_again_changes_nothing_that_is_the_same(importing: Importing) -> None:
    first = importing.run(importing.image()).stream
    again = importing.run(importing.image()).stream
    assert first == again


def test_a_moved_tag_is_a_new_event_with_the_old_one_behind_it(importing: Importing, open_distribution: Remote) -> None:
    content = open_distribution.content
    importing.run(importing.image("1.0.0", "prod"))
    stream = importing.run(importing.image("1.1.0", "prod")).stream
    assert stream is not None
    assert [event.image for event in stream.tags[0].events] == [content.arm, content.image]
    assert stream.meta.generation == stream.specs[0].generation == stream.tags[0].newest.generation == 2


def test_the_tag_is_that_of_the_wish_else_of_the_source_else_latest(importing: Importing) -> None:
    untagged = ImageWish(f"{importing.proxy.host}/{REPOSITORY}")
    result = importing.run(importing.image("v1", "prod"), importing.image("v1"), untagged)
    assert [item.tag for item in result.images] == ["prod", "v1", "latest"]
    assert [history.tag for history in importing.streams.stream(STREAM).tags] == ["latest", "prod", "v1"]


@pytest.mark.parity(12)
def test_each_item_fails_by_itself_with_its_reason(importing: Importing) -> None:
    importing.proxy.faults.append(Fault("manifests/secret", 401, {"WWW-Authenticate": 'Basic realm="x"'}, always=True))
    importing.proxy.faults.append(Fault("manifests/hidden", 403, always=True))
    result = importing.run(
        importing.image(),
        importing.image("none"),
        importing.image("secret"),
        importing.image("hidden"),
        ImageWish("quay.io/UPPER:x", "bad"),
        ImageWish("registry.test:5000/team/app:v1", "own"),
    )
    reasons = [item.failure.reason if item.failure else "" for item in result.images]
    assert reasons == ["", "NotFound", "Unauthorized", "Forbidden", "Invalid", "Invalid"]
    stream = importing.streams.stream(STREAM)
    assert sorted(stream.conditions) == ["bad", "hidden", "none", "own", "secret"]
    [condition] = stream.conditions["none"]
    assert (condition.type, condition.status, condition.reason) == ("ImportSuccess", "False", "NotFound")
    assert condition.generation == stream.meta.generation
    assert [history.tag for history in stream.tags] == ["v1"]
    assert {spec.name for spec in stream.specs} == {"v1", *stream.conditions}


def test_success_clears_what_hindered(importing: Importing) -> None:
    importing.proxy.faults.append(Fault("manifests/v1", 404))
    importing.run(importing.image())
    assert importing.streams.stream(STREAM).conditions["v1"][0].reason == "NotFound"
    importing.run(importing.image())
    assert importing.streams.stream(STREAM).conditions == {}


def test_a_failure_keeps_what_was_wanted_and_what_the_tag_means(
    importing: Importing, open_distribution: Remote
) -> None:
    importing.run(importing.image("v1", "prod"))
    importing.run(importing.image("none", "prod"))
    stream = importing.streams.stream(STREAM)
    assert stream.specs[0].source == TagSource("DockerImage", f"{importing.proxy.host}/{REPOSITORY}:v1")
    assert stream.tags[0].newest.image == open_distribution.content.image
    assert stream.conditions["prod"][0].generation == stream.meta.generation == 2


def test_looking_writes_nothing(importing: Importing, open_distribution: Remote) -> None:
    for options in ({"write": False}, {"dry_run": True}):
        result = importing.run(importing.image(), **options)
        assert result.images[0].images[0].manifest.digest == open_distribution.content.image
        with pytest.raises(StreamUnknown):
            importing.streams.stream(STREAM)
    assert importing.streams.images().items == ()


@pytest.mark.parity(12)
def test_of_an_index_one_platform_is_taken_or_everything(importing: Importing, open_distribution: Remote) -> None:
    content = open_distribution.content
    importing.run(importing.image("multi", "one"), architecture="arm64")
    assert importing.streams.stream(STREAM).history("one").newest.image == content.arm  # type: ignore[union-attr]
    importing.run(importing.image("multi", "all", mode="PreserveOriginal"))
    stream = importing.streams.stream(STREAM)
    assert stream.history("all").newest.image == content.index  # type: ignore[union-attr]
    held = {content.index, content.image, content.arm}
    assert importing.streams.held(STREAM, held) == held
    assert {found.digest for found in importing.streams.images().items} == held
    refused = importing.run(importing.image("multi", "none"), architecture="s390x")
    assert refused.images[0].failure is not None
    assert refused.images[0].failure.reason == "Invalid"


def test_a_platform_is_chosen_by_a_fixed_order() -> None:
    amd, arm = image("amd"), image("arm")
    both = index(amd, arm)
    assert choose(both, "arm").digest == arm.digest
    assert choose(both, "amd64", "linux").digest == amd.digest
    with pytest.raises(Unusable, match="s390x"):
        choose(both, "s390x")


def test_a_repository_is_imported_tag_by_tag_up_to_a_number(importing: Importing, open_distribution: Remote) -> None:
    importing.importer._most_tags = 2
    result = importing.run(whole=importing.whole())
    assert [item.tag for item in result.whole] == ["latest", "1.1.0"]
    assert set(result.additional_tags) == {"1.0.0", "v1", "multi"}
    stream = importing.streams.stream(STREAM)
    assert stream.history("latest").newest.image == open_distribution.content.image  # type: ignore[union-attr]
    assert stream.spec("1.1.0").source.name == f"{importing.proxy.host}/{REPOSITORY}:1.1.0"  # type: ignore[union-attr]
    missing = importing.run(whole=importing.whole("no/such"))
    assert missing.whole_failure is not None
    assert missing.whole_failure.status == 404


def test_tags_are_ordered_by_what_they_are_worth() -> None:
    tags = ["zeta", "1.2.3-rc1", "1.10", "v1.9", "1.2.3", "1.10.0", "latest", "alpha", "1.2.3"]
    assert by_importance(tags) == ["latest", "1.10", "v1.9", "1.10.0", "1.2.3", "1.2.3-rc1", "alpha", "zeta"]


def test_preconditions_are_of_the_stream(importing: Importing) -> None:
    with pytest.raises(StreamUnknown):
        importing.run(importing.image(), uid="x")
    with pytest.raises(StreamUnknown):
        importing.run(importing.image(), confirm_create=None)
    stream = importing.run(importing.image()).stream
    assert stream is not None
    importing.run(importing.image("multi"), uid=stream.meta.uid, resource_version=stream.meta.resource_version)
    for stale in ({"uid": "other"}, {"resource_version": stream.meta.resource_version}):
        with pytest.raises(Conflict):
            importing.run(importing.image("1.0.0"), **stale)


def test_limits_stop_the_tag_that_goes_beyond_them(importing: Importing) -> None:
    importing.limits["team"] = (Limit("LimitRange few", Scope.STREAM, IMAGES, 1),)
    result = importing.run(importing.image("1.0.0"), importing.image("1.1.0"))
    assert [item.failure.reason if item.failure else "" for item in result.images] == ["", "Forbidden"]
    stream = importing.streams.stream(STREAM)
    assert "LimitRange few" in stream.conditions["1.1.0"][0].message
    assert len(importing.streams.images().items) == 1
    importing.limits["other"] = (Limit("ResourceQuota none", Scope.NAMESPACE, STREAMS, 0),)
    with pytest.raises(LimitExceeded):
        importing.run(importing.image(), repository=Repository("other", "app"))


def test_a_tag_that_has_no_room_is_not_even_wanted(importing: Importing) -> None:
    """Neither by an import that works nor by one that fails: the answer says why, and the stream is as it was."""
    importing.limits["team"] = (Limit("ResourceQuota few", Scope.NAMESPACE, TAGS, 1),)
    result = importing.run(importing.image("1.0.0"), importing.image("1.1.0"), importing.image("none"))
    assert [item.failure.reason if item.failure else "" for item in result.images] == ["", "Forbidden", "NotFound"]
    assert result.images[1].failure is not None
    assert "exceeded quota: few, requested: alauda.io/image-tags=1" in result.images[1].failure.message
    stream = importing.streams.stream(STREAM)
    assert [spec.name for spec in stream.specs] == [history.tag for history in stream.tags] == ["1.0.0"]
    assert stream.conditions == {}
    assert importing.run(importing.image("1.1.0", "1.0.0")).images[0].failure is None


def test_what_is_wanted_already_waits_for_room_with_a_condition(importing: Importing) -> None:
    stream = importing.run(importing.image("none", "v1", scheduled=True)).stream
    assert stream is not None
    importing.limits["team"] = (Limit("ResourceQuota few", Scope.NAMESPACE, IMAGES, 0),)
    wanted = dataclasses.replace(stream.specs[0], source=TagSource("DockerImage", importing.image().source))
    importing.streams.editor.put_tag(
        TagEdit(STREAM, "v1", wanted), may_pull=lambda _: True, confirm_create=lambda: None, dry_run=False
    )
    [spec] = importing.streams.stream(STREAM).specs
    importing.importer.again(STREAM, [spec], "system:importer")
    [condition] = importing.streams.stream(STREAM).conditions["v1"]
    assert (condition.reason, condition.generation) == ("Forbidden", spec.generation)
    assert "exceeded quota: few, requested: alauda.io/images=1, used: alauda.io/images=0" in condition.message
    importing.limits.clear()
    importing.importer.again(STREAM, [spec], "system:importer")
    assert importing.streams.stream(STREAM).conditions == {}


def test_imports_that_make_streams_at_once_neither_pass_a_quota_nor_wait_in_a_circle(importing: Importing) -> None:
    """Each wants the lock of all imports and that of its namespace, while others import into streams that are there."""
    importing.run(importing.image())
    importing.limits["team"] = (Limit("ResourceQuota few", Scope.NAMESPACE, STREAMS, 3),)

    def run(number: int) -> bool:
        repository = Repository("team", f"new{number}") if number % 2 else STREAM
        try:
            importing.run(importing.image("1.0.0", f"v{number}"), repository=repository)
        except LimitExceeded:
            return False
        return True

    results = at_once([partial(run, number) for number in range(12)])
    assert sum(results) == 6 + 2
    assert importing.streams.allowance.usage("team")[STREAMS] == 3


def test_the_bytes_of_all_manifests_of_an_index_are_counted(importing: Importing, database: Database) -> None:
    importing.limits["team"] = (Limit("ResourceQuota bytes", Scope.NAMESPACE, STORAGE, 1 << 30),)
    assert importing.run(importing.image("multi", mode="PreserveOriginal")).images[0].failure is None
    counted = importing.streams.allowance.usage("team")[STORAGE]
    fresh = ImageStreams(database, internal_hostname="registry.test:5000")
    assert counted == fresh.allowance.usage("team")[STORAGE]


@pytest.mark.parity(15)
def test_credentials_are_those_of_the_namespace(importing: Importing, guarded_distribution: Remote) -> None:
    wish = ImageWish(f"{guarded_distribution.host}/{REPOSITORY}:v1", "", Policy(insecure=True))
    importing.keyrings["team"] = guarded_distribution.keyring()
    assert importing.run(wish).images[0].failure is None
    refused = importing.run(wish, repository=Repository("other", "app")).images[0]
    assert refused.failure is not None
    assert refused.failure.reason == "Unauthorized"


def test_a_tag_is_imported_again_unless_something_else_is_wanted_by_then(importing: Importing) -> None:
    stream = importing.run(importing.image("v1", "prod", scheduled=True)).stream
    assert stream is not None
    spec = stream.specs[0]
    importing.proxy.faults.append(Fault("manifests/v1", 404))
    importing.importer.again(STREAM, [spec], "system:importer")
    failed = importing.streams.stream(STREAM)
    assert failed.conditions["prod"][0].reason == "NotFound"
    assert failed.meta.generation == stream.meta.generation, "nothing else is wanted"
    importing.proxy.faults.append(Fault("manifests/v1", 404))
    importing.importer.again(STREAM, [spec], "system:importer")
    assert importing.streams.stream(STREAM) == failed, "the same failure is told once"
    importing.importer.again(STREAM, [spec], "system:importer")
    assert importing.streams.stream(STREAM).conditions == {}
    importing.importer.again(STREAM, [dataclasses.replace(spec, generation=7)], "system:importer")
    assert importing.streams.stream(STREAM).tags == stream.tags


def test_where_content_may_be_had_is_remembered_for_what_was_imported_alone(
    importing: Importing, open_distribution: Remote
) -> None:
    content = open_distribution.content
    importing.run(importing.image())
    origin = importing.streams.imports.origin(STREAM, content.image)
    assert origin is not None
    assert origin.name == f"{importing.proxy.host}/{REPOSITORY}"
    [blob] = importing.streams.imports.blob_origins(STREAM, content.blob)
    assert blob.size == len(content.layer)
    assert importing.streams.imports.blob_origins(STREAM, content.index) == ()
    assert importing.streams.imports.blob_origins(Repository("team", "other"), content.blob) == ()
    importing.streams.delete_manifest(STREAM, content.image)
    assert importing.streams.imports.origin(STREAM, content.image) is None
    assert importing.streams.imports.blob_origins(STREAM, content.blob) == ()


def test_one_process_fetches_until_it_ends_or_is_silent_for_long(
    importing: Importing, open_distribution: Remote
) -> None:
    imports, digest = importing.streams.imports, open_distribution.content.blob
    assert imports.claim_fetch(STREAM, digest, "a")
    assert not imports.claim_fetch(STREAM, digest, "b")
    assert imports.claim_fetch(STREAM, digest, "a")
    imports.end_fetch(STREAM, digest, "b")
    assert not imports.claim_fetch(STREAM, digest, "b")
    imports.end_fetch(STREAM, digest, "a")
    assert imports.claim_fetch(STREAM, digest, "b")
    for _ in range(40):  # the clock of the tests goes on by a second
        taken = imports.claim_fetch(STREAM, digest, "c")
    assert taken
