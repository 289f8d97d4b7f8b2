"""What is copied is the same at the target, each blob goes once, and a run that broke off is finished by the next."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_registry.mirroring.applying import Applying, Watching
from image_registry.mirroring.journal import Journal
from image_registry.mirroring.limits import Limits
from image_registry.mirroring.looking import Looking, View, blobs_of
from image_registry.mirroring.places import Mapping, Place, parse_mapping
from image_registry.mirroring.planner import Plan, make_plan, tags_to_be_written_twice
from image_registry.mirroring.platforms import Filter
from image_registry.mirroring.results import COPIED, FAILED, NOT_TRIED, PRESENT, SKIPPED, Report
from image_registry.mirroring.wishes import Wishes
from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest, parse_manifest
from image_registry.remote.errors import Unreachable
from tests.app.mirroring.memory import Memory, MemoryRepository

HERE = Path()


class Killed(BaseException):
    """The process is gone: nothing catches it."""


def place(text: str) -> Place:
    host, _, rest = text.partition("/")
    path, _, tag = rest.partition(":")
    return Place("docker", host, path, tag)


def mapping(text: str) -> Mapping:
    return parse_mapping(text, HERE, HERE)


def put_image(repository: MemoryRepository, blobs: Sequence[bytes], **extra: Any) -> Manifest:
    """An image of these layers."""
    for data in (*blobs, b"{}"):
        repository.blobs[Digest.of(data)] = data
    document = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": {"mediaType": media_types.OCI_CONFIG, "digest": str(Digest.of(b"{}")), "size": 2},
        "layers": [
            {"mediaType": "application/layer", "digest": str(Digest.of(data)), "size": len(data)} for data in blobs
        ],
        **extra,
    }
    made = parse_manifest(json.dumps(document).encode(), "")
    repository.manifests[made.digest] = made
    return made


def put_index(repository: MemoryRepository, children: Sequence[Manifest], **entry: Any) -> Manifest:
    """An index of these manifests, for linux on machines of their own."""
    entries = [
        {
            "mediaType": child.media_type,
            "digest": str(child.digest),
            "size": len(child.raw),
            "platform": {"os": "linux", "architecture": f"cpu{number}"},
            **entry,
        }
        for number, child in enumerate(children)
    ]
    document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries}
    made = parse_manifest(json.dumps(document).encode(), "")
    repository.manifests[made.digest] = made
    return made


def about(subject: Manifest) -> dict[str, Any]:
    return {"mediaType": subject.media_type, "digest": str(subject.digest), "size": len(subject.raw)}


def plan_of(
    memory: Memory, mappings: Sequence[Mapping], wishes: Wishes | None = None, journal: Journal | None = None
) -> Plan:
    looking = Looking(memory.open, wishes or Wishes(), Limits(2, 2), lambda _what, _number: None)
    wanted, failed = looking.expand(mappings)
    rest = [one for one in wanted if not journal or journal.image(one) is None]
    view = looking.look(rest, journal.has_blob if journal else lambda _place, _digest: False)
    return make_plan(View([*failed, *view.images], view.sizes))


def copy(
    memory: Memory,
    mappings: Sequence[Mapping],
    wishes: Wishes | None = None,
    journal: Journal | None = None,
    *,
    go_on: bool = True,
) -> Report:
    plan = plan_of(memory, mappings, wishes, journal)
    run = Applying(plan, memory.open, Limits(2, 2), journal or Journal(), Watching(), continue_on_error=go_on)
    return run.run()


def whole(repository: MemoryRepository, digest: Digest) -> bool:
    """Whether a manifest is there with everything that it names."""
    manifest = repository.manifests.get(digest)
    if manifest is None:
        return False
    blobs = all(Digest.of(repository.blobs.get(blob.digest, b"?")) == blob.digest for blob in manifest.required_blobs)
    return blobs and all(whole(repository, child.digest) for child in manifest.manifests)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Memory, list[Mapping]]:
    """Repositories of a source with images that share layers, indexes and referrers, and where they are to go."""
    memory, mappings = Memory(lists_subjects=draw(st.booleans())), []
    layers = [f"layer {number}".encode() * (number + 1) for number in range(draw(st.integers(1, 6)))]
    for number in range(draw(st.integers(1, 4))):
        repository = memory.open(place(f"source.x/ns/r{number}"))
        made: list[Manifest] = []
        for tag in range(draw(st.integers(1, 3))):
            chosen = draw(st.lists(st.sampled_from(layers), min_size=1, unique=True))
            image = put_image(repository, chosen, annotations={"n": str(draw(st.integers(0, 2)))})
            made.append(image)
            repository.names[f"v{tag}"] = image.digest
        if draw(st.booleans()):
            index = put_index(repository, draw(st.lists(st.sampled_from(made), min_size=1, unique_by=id)))
            repository.names["many"] = index.digest
        for subject in draw(st.lists(st.sampled_from(made), max_size=2)):
            referrer = put_image(repository, [b"signature"], subject=about(subject), artifactType="a/b")
            if draw(st.booleans()):
                put_image(repository, [b"of the signature"], subject=about(referrer))
        if draw(st.booleans()):
            repository.names[f"sha256-{made[0].digest.hex}.sig"] = put_image(repository, [b"cosign"]).digest
        targets = range(draw(st.integers(1, 2)))
        mappings += [mapping(f"source.x/ns/r{number}:*=target{target}.x/to/r{number}") for target in targets]
    return memory, mappings


def assert_equal(memory: Memory, mappings: Sequence[Mapping]) -> None:
    for one in mappings:
        source, target = memory.open(one.source), memory.open(one.target)
        for tag, digest in source.names.items():
            assert target.names.get(tag) == digest
            assert whole(target, digest)
            for manifest in source.manifests.values():
                if manifest.subject is not None and manifest.subject.digest == digest:
                    assert whole(target, manifest.digest)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_the_target_is_the_source_and_each_blob_went_once(world: tuple[Memory, list[Mapping]]) -> None:
    memory, mappings = world
    plan = plan_of(memory, mappings)
    report = Applying(plan, memory.open, Limits(2, 2), Journal(), Watching(), continue_on_error=True).run()
    assert report.good
    assert {result.status for result in report.results} == {COPIED}
    assert_equal(memory, mappings)
    assert set(memory.sent.values()) <= {1}
    # the plan said so before
    assert (report.sent_bytes, report.sent_blobs) == (plan.bytes, sum(total.blobs for total in plan.totals.values()))
    memory.asked.clear()
    again = copy(memory, mappings)
    assert {result.status for result in again.results} == {PRESENT}
    assert not [entry for entry in memory.asked if entry[0] in ("send", "put", "mount")]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), st.randoms(use_true_random=False))
def test_a_run_with_failures_is_finished_by_the_next(
    world: tuple[Memory, list[Mapping]], chance: random.Random
) -> None:
    memory, mappings = world

    def fail(what: str, _place: Place, name: str) -> None:
        if what in ("send", "read", "mount", "put", "manifest", "attached") and chance.random() < 0.2:
            raise Unreachable(f"{what} {name}")

    memory.before = fail
    report = copy(memory, mappings)
    for result in report.results:
        if result.status == COPIED and result.digest:
            assert whole(memory.open(result.mapping.target), result.digest)
        else:
            assert result.error or result.status == PRESENT
    memory.before = lambda _what, _place, _name: None
    assert copy(memory, mappings).good
    assert_equal(memory, mappings)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), st.integers(0, 60))
def test_a_run_that_is_killed_is_finished_by_the_next_without_sending_twice(
    tmp_path_factory: pytest.TempPathFactory, world: tuple[Memory, list[Mapping]], moment: int
) -> None:
    memory, mappings = world
    path = tmp_path_factory.mktemp("journal") / "journal"
    left = moment

    def kill(what: str, _place: Place, _name: str) -> None:
        nonlocal left
        if what in ("send", "put", "mount"):
            left -= 1
            if left < 0:
                raise Killed

    memory.before = kill
    try:
        with Journal(path) as journal:
            copy(memory, mappings, journal=journal)
        killed = False
    except Killed:
        killed = True
    memory.before = lambda _what, _place, _name: None
    sent = dict(memory.sent)
    memory.asked.clear()
    with Journal(path) as journal:
        done = [one for one in plan_mappings(memory, mappings) if killed and journal.image(one) is not None]
        memory.asked.clear()
        assert copy(memory, mappings, journal=journal).good
    assert_equal(memory, mappings)
    assert all(memory.sent[key] == 1 for key in sent)
    for one in done:  # the target is not asked for it again
        assert ("digest", one.target.repository, one.target.tag) not in memory.asked
        assert ("put", one.target.repository, one.target.tag) not in memory.asked


def plan_mappings(memory: Memory, mappings: Sequence[Mapping]) -> list[Mapping]:
    return Looking(memory.open, Wishes(), Limits(), lambda _what, _number: None).expand(mappings)[0]


@pytest.fixture
def memory() -> Memory:
    """``source.x/ns/app`` with two images, v1 and v2, and an index of both, many."""
    made = Memory()
    repository = made.open(place("source.x/ns/app"))
    one, two = put_image(repository, [b"base", b"one"]), put_image(repository, [b"base", b"two"])
    many = put_index(repository, [one, two])
    repository.names.update(v1=one.digest, v2=two.digest, many=many.digest)
    return made


def test_bytes_that_were_changed_at_the_source_are_never_taken(memory: Memory) -> None:
    source = memory.open(place("source.x/ns/app"))
    source.blobs[Digest.of(b"two")] = b"tw0"
    report = copy(memory, [mapping("source.x/ns/app:*=target.x/to/app")])
    states = {result.mapping.source.tag: result for result in report.results}
    assert states["v1"].status == COPIED
    assert states["v2"].status == states["many"].status == FAILED
    assert "another digest" in states["v2"].error
    target = memory.open(place("target.x/to/app"))
    assert Digest.of(b"two") not in target.blobs
    assert set(target.names) == {"v1"}


def test_without_going_on_nothing_is_begun_after_a_failure(memory: Memory) -> None:
    del memory.open(place("source.x/ns/app")).blobs[Digest.of(b"one")]
    report = copy(memory, [mapping("source.x/ns/app:*=target.x/to/app")], go_on=False)
    assert not report.good
    assert report.number(FAILED) >= 1
    assert {result.status for result in report.results} <= {FAILED, NOT_TRIED, COPIED}


def test_a_missing_source_is_an_error_or_is_passed_over(memory: Memory) -> None:
    wanted = [mapping("source.x/ns/app:none=target.x/to/app"), mapping("source.x/ns/none:*=target.x/to/none")]
    assert {result.status for result in copy(memory, wanted).results} == {FAILED}
    report = copy(memory, wanted, Wishes(skip_missing=True))
    assert {result.status for result in report.results} == {SKIPPED}
    assert report.good


def test_a_blob_missing_at_the_source_is_no_missing_image(memory: Memory) -> None:
    del memory.open(place("source.x/ns/app")).blobs[Digest.of(b"one")]
    report = copy(memory, [mapping("source.x/ns/app:v1=target.x/to/app")], Wishes(skip_missing=True))
    assert [result.status for result in report.results] == [FAILED]


@pytest.mark.parametrize(
    ("pattern", "keep", "images"),
    [("", False, 2), ("^linux/", False, 2), ("cpu1$", True, 1), ("cpu1$", False, 0)],
)
def test_platforms_are_chosen_and_the_new_digest_is_told(memory: Memory, pattern: str, keep: bool, images: int) -> None:
    wishes = Wishes(filter=Filter(re.compile(pattern) if pattern else None, keep))
    report = copy(memory, [mapping("source.x/ns/app:many=target.x/to/app:x")], wishes)
    source, target = memory.open(place("source.x/ns/app")), memory.open(place("target.x/to/app"))
    made = target.manifests[target.names["x"]]
    assert len(made.manifests) == images
    changed = made.digest != source.names["many"]
    assert changed == (images != 2)
    [result] = report.results
    assert (result.digest, result.original) == (made.digest, source.names["many"] if changed else None)
    if not images:
        assert made.digest == source.names["v2"]
        assert Digest.of(b"one") not in target.blobs


def test_a_platform_that_nobody_has_is_an_error(memory: Memory) -> None:
    report = copy(memory, [mapping("source.x/ns/app:many=target.x/to/app")], Wishes(Filter(re.compile("s390x"))))
    assert "--filter-by-os" in report.results[0].error


def test_signatures_of_the_unfiltered_index_are_left_out_and_counted(memory: Memory) -> None:
    source = memory.open(place("source.x/ns/app"))
    many = source.manifests[source.names["many"]]
    put_image(source, [b"signature"], subject=about(many))
    child = put_image(source, [b"other"], subject=about(source.manifests[source.names["v2"]]))
    wishes = Wishes(filter=Filter(re.compile("cpu1"), keep_list=True))
    [result] = copy(memory, [mapping("source.x/ns/app:many=target.x/to/app")], wishes).results
    assert (result.referrers, result.lost) == (1, 1)
    assert child.digest in memory.open(place("target.x/to/app")).manifests


def test_a_new_signature_comes_with_the_next_run(memory: Memory) -> None:
    wanted = [mapping("source.x/ns/app:many=target.x/to/app")]
    copy(memory, wanted)
    source = memory.open(place("source.x/ns/app"))
    new = put_image(source, [b"signature"], subject=about(source.manifests[source.names["v1"]]))
    [result] = copy(memory, wanted).results
    assert (result.status, result.referrers) == (COPIED, 1)
    assert whole(memory.open(place("target.x/to/app")), new.digest)
    assert copy(memory, wanted, Wishes(referrers=False)).results[0].status == PRESENT


def test_what_was_cleaned_away_meanwhile_is_sent_again(memory: Memory) -> None:
    wanted = [mapping("source.x/ns/app:many=target.x/to/app")]
    target = memory.open(place("target.x/to/app"))

    def clean(what: str, where: Place, name: str) -> None:
        if what == "put" and where == target.place and name == "many":
            memory.before = lambda _what, _place, _name: None
            target.blobs.pop(Digest.of(b"one"), None)
            target.manifests.clear()

    memory.before = clean
    assert copy(memory, [mapping("source.x/ns/app:v1=target.x/to/app"), *wanted]).good
    memory.before = lambda _what, _place, _name: None
    assert copy(memory, wanted, Wishes(force=True)).good
    assert whole(target, target.names["many"])


def test_a_second_repository_takes_blobs_over_and_a_second_registry_gets_them(memory: Memory) -> None:
    targets = ["target.x/to/app", "target.x/to/other", "more.x/to/app"]
    copy(memory, [mapping(f"source.x/ns/app:*={target}") for target in targets])
    assert memory.sent["docker:target.x", str(Digest.of(b"base"))] == 1
    assert memory.sent["docker:more.x", str(Digest.of(b"base"))] == 1
    assert sum(1 for what, where, _ in memory.asked if what == "mount" and where.path == "to/other") >= 3
    # within one registry nothing is sent at all
    memory.sent.clear()
    assert copy(memory, [mapping("target.x/to/app:*=target.x/moved/app")]).good
    assert not memory.sent


def test_blobs_that_are_there_are_not_planned(memory: Memory) -> None:
    copy(memory, [mapping("source.x/ns/app:v1=target.x/to/app")])
    plan = plan_of(memory, [mapping("source.x/ns/app:v2=target.x/to/app")])
    [totals] = plan.totals.values()
    assert (totals.blobs, totals.bytes, totals.present_bytes) == (1, len(b"two"), len(b"base") + 2)
    assert {blob.digest for image in plan.images for blob in blobs_of(image.looked)} >= {Digest.of(b"base")}


def test_two_images_for_one_tag_are_noticed(memory: Memory) -> None:
    plan = plan_of(memory, [mapping(f"source.x/ns/app:{tag}=target.x/to/app:x") for tag in ("v1", "v2")])
    assert tags_to_be_written_twice(plan) == ["target.x/to/app:x"]


def test_a_pattern_leaves_out_tags_that_go_with_what_they_are_about(memory: Memory) -> None:
    source = memory.open(place("source.x/ns/app"))
    tag = f"sha256-{source.names['v1'].hex}.sig"
    source.names[tag] = put_image(source, [b"cosign"]).digest
    assert [str(one.target) for one in plan_mappings(memory, [mapping("source.x/ns/app:*=target.x/to/app")])] == [
        f"target.x/to/app:{name}" for name in ("v1", "v2", "many")
    ]
    copy(memory, [mapping("source.x/ns/app:v1=target.x/to/app")])
    assert set(memory.open(place("target.x/to/app")).names) == {"v1", tag}


def test_errors_of_the_engine_itself_are_not_hidden(memory: Memory) -> None:
    def broken(what: str, _place: Place, _name: str) -> None:
        if what == "put":
            raise ZeroDivisionError

    memory.before = broken
    with pytest.raises(ZeroDivisionError):
        copy(memory, [mapping("source.x/ns/app:v1=target.x/to/app")])
