"""What goes and what stays, rule by rule, and that the plan names the one who keeps it (parity reference 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from image_registry.pruning.references import Broken, Hosts, Named
from tests.app.pruning.conftest import why

if TYPE_CHECKING:
    from tests.app.pruning.conftest import PrunedCluster

OLD = {"keep_tag_revisions": 1}
"""Everything but the newest event of each tag goes."""


def history(pruned: PrunedCluster, repository: str = "team/app", tag: str = "v1", count: int = 5) -> list[str]:
    """Digests of the events of a tag, the newest first."""
    return [pruned.api.push(repository, f"{repository} {tag} {number}", tag) for number in range(count)][::-1]


def test_an_empty_registry_has_an_empty_plan(pruned: PrunedCluster) -> None:
    plan = pruned.plan()
    assert (list(plan.streams()), list(plan.releases()), list(plan.deletions())) == ([], [], [])


@pytest.mark.parity(19)
def test_the_newest_revisions_stay_and_the_rest_goes_wholly(pruned: PrunedCluster) -> None:
    digests = history(pruned)
    outcome = pruned.prune()
    assert (outcome.dropped_events, outcome.released, outcome.deleted_images, outcome.failed) == (2, 2, 2, 0)
    assert pruned.tags() == {"team/app:v1": digests[:3]}
    assert {digest for _, digest in pruned.held()} == pruned.images() == set(digests[:3])


@pytest.mark.parity(19)
def test_what_is_young_stays(pruned: PrunedCluster) -> None:
    history(pruned)
    assert pruned.prune(later=10, **OLD).deleted_images == 0
    pruned.api.now = pruned.api.now.replace(year=2031)
    fresh = pruned.api.push("team/app", "fresh", None)
    again = pruned.api.push("team/app", "team/app v1 0", None)
    plan = pruned.plan(later=10, **OLD)
    assert why(plan)[fresh] == why(plan)[again] == "younger than --keep-younger-than"
    assert plan.totals.deleted_images == 3


def test_what_has_just_come_into_a_stream_is_young_there_however_old_the_image_is(pruned: PrunedCluster) -> None:
    digest = pruned.api.push("team/app", "one", None)
    pruned.api.now = pruned.api.now.replace(year=2031)
    pruned.api.push("other/app", "one", None)
    pruned.prune(later=10)
    assert pruned.held() == {("other/app", digest)}
    assert pruned.images() == {digest}


@pytest.mark.parity(19)
@pytest.mark.parametrize("kind", ["Pod", "Deployment", "CronJob"])
def test_a_tag_that_is_used_keeps_what_it_means_now(pruned: PrunedCluster, kind: str) -> None:
    digests = history(pruned)
    pruned.run(f"{pruned.host}/team/app:v1", kind=kind)
    plan = pruned.plan(keep_tag_revisions=0)
    assert why(plan)[digests[0]] == f"tag team/app:v1, used by {kind} team/web"
    pruned.prune(keep_tag_revisions=0)
    assert pruned.tags() == {"team/app:v1": digests[:1]}


@pytest.mark.parity(19)
def test_a_digest_that_is_used_stays_where_it_is(pruned: PrunedCluster) -> None:
    digests = history(pruned)
    pruned.run(f"{pruned.host}/team/app@{digests[4]}")
    pruned.prune(**OLD)
    assert pruned.tags() == {"team/app:v1": [digests[0], digests[4]]}
    assert pruned.images() == {digests[0], digests[4]}


@pytest.mark.parity(19)
def test_what_runs_stays_when_its_tag_has_moved_on(pruned: PrunedCluster) -> None:
    digests = history(pruned)
    pruned.pod(f"{pruned.host}/team/app:v1", f"{pruned.host}/team/app@{digests[3]}")
    pruned.prune(**OLD)
    assert pruned.images() == {digests[0], digests[3]}


def test_what_runs_by_the_digest_of_its_configuration_stays(pruned: PrunedCluster) -> None:
    old = pruned.api.push("team/app", "old", "v1", config=b'{"architecture": "amd64", "old": 1}')
    pruned.api.push("team/app", "new", "v1", config=b'{"architecture": "amd64", "new": 1}')
    config = pruned.api.get(f"images/{pruned.api.segment(old)}")["dockerImageMetadata"]["Id"]
    pruned.pod(f"{pruned.host}/team/app:v1", config)
    pruned.prune(**OLD)
    assert old in pruned.images()
    assert ("team/app", old) in pruned.held()


def test_a_pod_that_is_over_keeps_nothing_once_it_is_old(pruned: PrunedCluster) -> None:
    digests = history(pruned)
    made = pruned.api.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    pruned.pod("x", f"{pruned.host}/team/app@{digests[4]}", phase="Succeeded", created=made)
    assert pruned.plan(later=10_000, **OLD).totals.deleted_images == 4
    pruned.lists["/api/v1/pods"][0]["status"]["phase"] = "Running"
    assert pruned.plan(later=10_000, **OLD).totals.deleted_images == 3


INSIDE = "image-registry.image-registry-system.svc"


@pytest.mark.parametrize(
    "host",
    ["registry.example.com", "Registry.Example.com:443", f"{INSIDE}.cluster.local:5000", f"{INSIDE}.corp.example:5000"],
)
def test_every_name_of_the_registry_is_ours(pruned: PrunedCluster, host: str) -> None:
    digests = history(pruned)
    pruned.run(f"{host}/team/app@{digests[4]}")
    assert digests[4] not in set(pruned.plan(**OLD).deletions())


@pytest.mark.parametrize("host", ["quay.io", "registry.example.com:5000", "example.com/registry.example.com"])
def test_another_registry_keeps_nothing_here(pruned: PrunedCluster, host: str) -> None:
    digests = history(pruned)
    pruned.run(f"{host}/team/app@{digests[4]}")
    pruned.pod(f"{host}/team/app:v1", f"{host}/team/app@{digests[3]}")
    assert {digests[4], digests[3]} <= set(pruned.plan(**OLD).deletions())


def test_a_reference_that_cannot_be_read_is_told_and_keeps_what_begins_like_it(pruned: PrunedCluster) -> None:
    near, far = history(pruned, "team/app"), history(pruned, "team-b/app")
    pruned.run(f"{pruned.host}/team/app:not a tag", name="broken")
    plan = pruned.plan(**OLD)
    assert set(plan.deletions()) == set(far[1:])
    assert "Deployment team/broken names" in plan.usage.findings[0]
    assert "Deployment team/broken" in why(plan)[near[4]]


@pytest.mark.parametrize("rest", ["", "A", "/A", "team", "team/", "team/$(IMAGE)"])
def test_a_reference_that_can_mean_no_image_is_told_and_keeps_nothing(pruned: PrunedCluster, rest: str) -> None:
    digests, others = history(pruned), history(pruned, "other/app")
    pruned.run(f"{pruned.host}/{rest}", name="broken")
    plan = pruned.plan(**OLD)
    assert set(plan.deletions()) == {*digests[1:], *others[1:]}
    (finding,) = plan.usage.findings
    assert finding.startswith("Deployment team/broken names")
    assert finding.endswith("it keeps nothing")


def test_an_object_that_cannot_be_understood_and_names_only_the_registry_keeps_nothing(pruned: PrunedCluster) -> None:
    digests = history(pruned)
    odd = {"metadata": {"name": "odd"}, "spec": {"template": {"spec": {"containers": {"image": f"{pruned.host}/"}}}}}
    pruned.lists["/apis/apps/v1/deployments"].append(odd)
    plan = pruned.plan(**OLD)
    assert set(plan.deletions()) == set(digests[1:])
    assert "it names no image of this registry" in plan.usage.findings[0]


def test_an_object_that_cannot_be_understood_keeps_everything_that_it_names(pruned: PrunedCluster) -> None:
    digests = history(pruned)
    odd = {"metadata": {"name": "odd"}, "spec": {"template": {"spec": {"containers": {"image": "x"}}}}}
    odd["spec"]["note"] = f"runs '{pruned.host}/team/app@{digests[4]}', mostly"  # type: ignore[index]
    pruned.lists["/apis/apps/v1/deployments"].append(odd)
    plan = pruned.plan(**OLD)
    assert set(plan.deletions()) == set(digests[1:4])
    assert "Deployment odd cannot be understood" in plan.usage.findings[0]


def test_fields_of_custom_resources_keep_images(pruned: PrunedCluster) -> None:
    digests = history(pruned)
    thing = {"metadata": {"name": "one"}, "spec": {"image": f"{pruned.host}/team/app@{digests[4]}"}}
    pruned.lists["/apis/x.io/v1/things"] = [thing]
    planner = pruned.planner(pruned.rules(later=10_000, **OLD), "x.io/v1/things=spec.image")
    assert why(planner.plan)[digests[4]].endswith("used by things one")


def test_a_tag_of_another_stream_keeps_what_it_lives_on(pruned: PrunedCluster) -> None:
    digest = pruned.api.push("team/app", "one", "v1")
    source = {"kind": "ImageStreamTag", "name": "app:v1", "namespace": "team"}
    made = {"metadata": {"name": "copy:v1"}, "tag": {"from": source}}
    made = {"metadata": {"name": "copy:v1"}, "tag": {"from": source}}
    pruned.api.write("POST", "namespaces/other/imagestreamtags", made, 201)
    pruned.api.delete("namespaces/team/imagestreamtags/app:v1")
    assert pruned.prune(**OLD).released == 0
    assert ("team/app", digest) in pruned.held()


def test_an_index_keeps_its_images_and_takes_them_along(pruned: PrunedCluster) -> None:
    children = [pruned.api.image(number) for number in range(2)]
    for child in children:
        pruned.api.push("team/app", child, None)
    index = pruned.api.push("team/app", pruned.api.index(*children), "v1")
    plan = pruned.plan()
    assert plan.totals.deleted_images == 0
    assert why(plan)[str(children[0].digest)] == f"listed by index {index}"
    pruned.api.push("team/app", "another", "v1")
    outcome = pruned.prune(**OLD)
    assert (outcome.released, outcome.deleted_images, outcome.failed) == (3, 3, 0)


def test_one_image_of_an_index_may_be_all_that_stays(pruned: PrunedCluster) -> None:
    children = [pruned.api.image(number) for number in range(2)]
    for child in children:
        pruned.api.push("team/app", child, None)
    pruned.api.push("team/app", pruned.api.index(*children), "v1")
    new = pruned.api.push("team/app", "another", "v1")
    pruned.pod(f"{pruned.host}/team/app:v1", f"{pruned.host}/team/app@{children[1].digest}")
    pruned.prune(**OLD)
    assert pruned.images() == {new, str(children[1].digest)}


def signed(pruned: PrunedCluster, content: str, tag: str | None) -> tuple[str, list[str]]:
    """An image with a signature of each kind."""
    image = pruned.api.image(content)
    digest = pruned.api.push("team/app", image, tag)
    subject = {"mediaType": image.media_type, "digest": digest, "size": len(image.raw)}
    referrer = pruned.api.push("team/app", pruned.api.image(f"sbom of {content}", subject=subject), None)
    tagged = pruned.api.push("team/app", f"signature of {content}", f"sha256-{digest[7:]}.sig")
    return digest, [referrer, tagged]


def test_signatures_live_and_die_with_what_they_sign(pruned: PrunedCluster) -> None:
    old, of_old = signed(pruned, "old", "v1")
    new, of_new = signed(pruned, "new", "v1")
    plan = pruned.plan(**OLD)
    assert set(plan.deletions()) == {old, *of_old}
    assert why(plan)[of_new[0]] == f"refers to {new}, which stays"
    outcome = pruned.prune(**OLD)
    assert (outcome.failed, outcome.kept) == (0, 0)
    assert pruned.images() == {new, *of_new}
    assert set(pruned.tags()) == {"team/app:v1", f"team/app:sha256-{new[7:]}.sig"}


def test_a_signature_of_what_lies_elsewhere_is_a_tag_like_others(pruned: PrunedCluster) -> None:
    signature = pruned.api.push("team/signatures", "signature", f"sha256-{'ab' * 32}.sig")
    assert pruned.prune().deleted_images == 0
    assert pruned.images() == {signature}


def test_a_fresh_signature_keeps_what_was_signed(pruned: PrunedCluster) -> None:
    digest = pruned.api.push("team/app", "one", None)
    pruned.api.now = pruned.api.now.replace(year=2031)
    pruned.api.push("team/app", "signature", f"sha256-{digest[7:]}.sig")
    assert pruned.prune(later=10).released == 0


@pytest.mark.parametrize("where", ["stream", "tag", "image"])
def test_an_annotation_keeps_streams_tags_and_images(pruned: PrunedCluster, where: str) -> None:
    digests, others = history(pruned), history(pruned, tag="v2")
    keep = {"image.alauda.io/keep": "true"}
    if where == "image":
        pruned.annotate_image(digests[4], keep)
        expected = set(digests[1:4]) | set(others[1:])
    elif where == "tag":
        pruned.annotate("team/app", keep, tag="v1")
        expected = set(others[1:])
    else:
        pruned.annotate("team/app", keep)
        expected = set()
    assert set(pruned.plan(**OLD).deletions()) == expected


def test_allowed_patterns_fit_names_tags_and_digests(pruned: PrunedCluster) -> None:
    from image_registry.pruning.rules import parse_patterns

    digests, others = history(pruned), history(pruned, "other/app")
    for pattern, stays in (
        ("^team/", digests),
        ("^team/app:v1$", digests),
        (f"@{others[3]}$", [others[3]]),
        ("nothing", []),
    ):
        goes = set(pruned.plan(allowed=parse_patterns([pattern]), **OLD).deletions())
        assert goes == (set(digests[1:]) | set(others[1:])) - set(stays), pattern


def test_only_the_selected_namespaces_change_and_images_stay(pruned: PrunedCluster) -> None:
    digests, others = history(pruned), history(pruned, "other/app")
    outcome = pruned.prune(namespaces=frozenset({"team"}), **OLD)
    assert (outcome.dropped_events, outcome.released, outcome.deleted_images) == (4, 4, 0)
    assert pruned.images() == set(digests) | set(others)
    assert len(pruned.tags()["other/app:v1"]) == 5
    assert pruned.prune(**OLD).deleted_images == 8


def test_a_namespace_can_be_pruned_by_who_may_see_nothing_else(pruned: PrunedCluster) -> None:
    history(pruned)
    history(pruned, "other/app")
    pruned.denied = {"list images", "list imagestreams", "list namespaces"}
    plan = pruned.plan(namespaces=frozenset({"team"}), **OLD)
    assert (plan.totals.dropped_events, plan.totals.released, plan.totals.images) == (4, 4, 5)
    assert "retention policies of namespaces" in plan.findings[0]


def test_beyond_the_limit_is_what_goes_in_that_mode(pruned: PrunedCluster) -> None:
    small = pruned.api.push("team/app", "small", "v1")

    def big(letter: str) -> Any:
        layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{letter * 64}", "size": 5000}
        return pruned.api.image("x", layers=[layer])

    large = pruned.api.push("team/app", big("a"), "v2")
    used = pruned.api.push("team/app", big("b"), "v3")
    elsewhere = pruned.api.push("other/app", big("c"), "v1")
    untouched = pruned.api.push("team/web", "loose", None)
    pruned.run(f"{pruned.host}/team/app:v3")
    limit = {"type": "alauda.io/Image", "max": {"storage": "1Ki"}}
    sizes = {"metadata": {"name": "sizes", "namespace": "team"}, "spec": {"limits": [limit]}}
    pruned.lists["/api/v1/limitranges"] = [sizes]
    plan = pruned.plan(later=0, over_limit=True)
    assert set(plan.deletions()) == {large}
    pruned.prune(later=0, over_limit=True)
    assert pruned.images() == {small, used, elsewhere, untouched}
    assert set(pruned.tags()) == {"team/app:v1", "team/app:v3", "other/app:v1"}


def test_a_tag_never_comes_to_mean_an_older_image(pruned: PrunedCluster) -> None:
    old = pruned.api.push("team/app", "old", "v1")
    new = pruned.api.push("team/app", "new", "v1")
    pruned.run(f"{pruned.host}/team/app@{old}")
    plan = pruned.plan(keep_tag_revisions=0)
    assert why(plan)[new] == "tag team/app:v1, without it the tag would mean an older image"
    assert not list(plan.streams())


def test_a_tag_that_the_stream_wants_is_not_emptied(pruned: PrunedCluster) -> None:
    history(pruned, count=2)
    made = {"metadata": {"name": "app:prod"}, "tag": {"from": {"kind": "ImageStreamTag", "name": "v1"}}}
    pruned.api.write("POST", "namespaces/team/imagestreamtags", made, 201)
    pruned.prune(keep_tag_revisions=0)
    assert set(pruned.tags()) == {"team/app:prod"}


def test_images_that_were_not_pushed_here_stay_without_all(pruned: PrunedCluster) -> None:
    digests = history(pruned)
    pruned.annotate_image(digests[4], {"image.alauda.io/managed": "false"})
    assert set(pruned.plan(all_images=False, **OLD).deletions()) == set(digests[1:4])


POLICY = "image.alauda.io/retention"


def builds(pruned: PrunedCluster, count: int = 6) -> list[str]:
    return [pruned.api.push("team/app", f"build {number}", f"ci-{number}") for number in range(count)]


def test_a_retention_policy_ends_tags_that_are_made_anew_each_time(pruned: PrunedCluster) -> None:
    digests = builds(pruned)
    release = pruned.api.push("team/app", "release", "v1")
    assert pruned.plan().totals.deleted_images == 0
    pruned.annotate("team/app", {POLICY: "[{tags: 'ci-*', keep: 2}]"})
    plan = pruned.plan()
    assert set(plan.deletions()) == set(digests[:4])
    assert why(plan)[digests[5]] == "tag team/app:ci-5, a retention policy keeps it"
    pruned.run(f"{pruned.host}/team/app:ci-0")
    pruned.prune()
    assert set(pruned.tags()) == {f"team/app:{tag}" for tag in ("ci-0", "ci-4", "ci-5", "v1")}
    assert pruned.images() == {digests[0], digests[4], digests[5], release}


def test_count_and_age_of_a_policy_both_keep(pruned: PrunedCluster) -> None:
    digests = builds(pruned)
    pruned.annotate("team/app", {POLICY: "[{tags: [ci-*], keep: 1, keepYoungerThan: 5h}]"})
    assert pruned.plan(later=4 * 3600).totals.deleted_images == 0
    assert set(pruned.plan(later=6 * 3600).deletions()) == set(digests[:5])


def test_the_policy_of_a_namespace_is_for_streams_without_one(pruned: PrunedCluster) -> None:
    digests = builds(pruned)
    said = {"metadata": {"name": "team", "annotations": {POLICY: "[{tags: '*', keep: 0}]"}}}
    pruned.lists["/api/v1/namespaces"] = [said]
    assert set(pruned.plan().deletions()) == set(digests)
    pruned.annotate("team/app", {POLICY: "[]"})
    assert pruned.plan().totals.deleted_images == 0


@pytest.mark.parametrize(
    "text",
    ["{", "tags: x", "[1]", "[{keep: 1}]", "[{tags: x}]", "[{tags: x, keep: -1}]", "[{tags: x, keep: true}]",
     "[{tags: x, keepYoungerThan: soon}]", "[{tags: x, keep: 1, keepPulled: 1h}]", "[{tags: [], keep: 1}]",
     "[{tags: '**********', keep: 1}]", "[&a 1, *a]", "!!bool foo", '!!int ""', '!!float ""', "!!timestamp foo",
     pytest.param(f"[{{tags: x, keepYoungerThan: {'9' * 400}d}}]", id="400 digits"),
     pytest.param("[{tags: x, keepYoungerThan: 0x%s}]" % ("f" * 9000), id="9000 digits"),
     pytest.param("[{tags: x, keep: 1, ? 0x%s : 1}]" % ("f" * 9000), id="a member of 9000 digits"),
     "[{tags: x, keepYoungerThan: 36501d}]"],
)  # fmt: skip
def test_a_policy_that_nobody_understands_keeps_everything_and_is_told(pruned: PrunedCluster, text: str) -> None:
    history(pruned)
    pruned.annotate("team/app", {POLICY: text})
    plan = pruned.plan(**OLD)
    assert plan.totals.deleted_images == 0
    assert (
        "ImageStream team/app: the annotation" in plan.findings[0] or "image.alauda.io/retention[0]" in plan.findings[0]
    )


def test_totals_count_every_blob_once(pruned: PrunedCluster) -> None:
    shared = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{'ab' * 32}", "size": 1000}
    own: list[Any] = [{**shared, "digest": f"sha256:{str(number) * 64}", "size": 7} for number in range(3)]
    for number in range(3):
        pruned.api.push("team/app", pruned.api.image(number, layers=[shared, own[number]]), "v1")
    totals = pruned.plan(**OLD).totals
    assert (totals.freed_blobs, totals.freed_bytes, totals.all_bytes) == (2, 14, 1021)
    assert (totals.images, totals.held, totals.events, totals.streams) == (3, 3, 3, 1)
    assert totals.kept == {"by_tag": 1}


def test_a_tag_that_only_points_keeps_what_it_points_at(pruned: PrunedCluster) -> None:
    digests = history(pruned)
    pointer = {"kind": "DockerImage", "name": f"{pruned.public}/team/app@{digests[4]}"}
    made = {"metadata": {"name": "pinned:v1"}, "tag": {"from": pointer, "reference": True}}
    pruned.api.write("POST", "namespaces/other/imagestreamtags", made, 201)
    plan = pruned.plan(**OLD)
    assert (("team/app", digests[4]) in pruned.held(), digests[4] in set(plan.deletions())) == (True, False)
    assert why(plan)[digests[4]] == "another stream's spec.tags lives on it"


TEXTS = [
    ("host:5000/a/b:1", [("a/b", "1", "")]),
    ("run --image=HOST:5000/a/b --other=host:5000/c/d:2, more", [("a/b", "latest", ""), ("c/d", "2", "")]),
    ("https://host:5000/a/b", [("a/b", "latest", "")]),
    ("myhost:5000/a/b and host:50001/a/b and quay.io/host:5000/a/b", [("a/b", "latest", "")]),
    ("nothing of ours: quay.io/a/b", []),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_names_are_found_anywhere_in_a_text(text: str, expected: list[tuple[str, str, str]]) -> None:
    found = [entry for entry in Hosts(["host:5000"]).search(text) if isinstance(entry, Named)]
    assert [(entry.repository, entry.tag, entry.digest) for entry in found] == expected


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("host/team/app:bad tag", "team/app"),
        ("host/team/app@sha256:12", "team/app"),
        ("host/team/a$(IMAGE)", "team/a"),
        ("host/team/$(IMAGE)", ""),
        ("host/Team/app", ""),
        ("host/team/group/app:1", "team/group"),
        ("host/", ""),
        ("host//A", ""),
        ("host//app", ""),
        ("host/team", ""),
    ],
)
def test_what_cannot_be_read_says_what_it_begins_with(text: str, prefix: str) -> None:
    found = Hosts(["https://host/"]).read(text)
    assert isinstance(found, Broken)
    assert found.prefix == prefix


def test_what_runs_stays_also_when_no_stream_is_left(pruned: PrunedCluster) -> None:
    digest = pruned.api.push("team/app", "one", "v1")
    pruned.pod(f"{pruned.host}/team/app:v1", f"{pruned.host}/team/app@{digest}")
    pruned.api.delete("namespaces/team/imagestreams/app")
    pruned.prune(**OLD)
    assert pruned.images() == {digest}
