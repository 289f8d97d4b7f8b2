"""A policy may keep what is pulled; what nobody knows counts as pulled."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from image_registry.imagestreams.pulls import Pulls
from image_registry.pruning.applying import Executor
from tests.app.pruning.conftest import why

if TYPE_CHECKING:
    from tests.app.pruning.conftest import PrunedCluster

POLICY = "image.alauda.io/retention"
DAY = 24 * 3600


def pull(pruned: PrunedCluster, digest: str, repository: str = "team/app") -> None:
    namespace, name = repository.split("/")
    Pulls(pruned.api.database).note([(namespace, name, digest)], pruned.api.now)


def goes_on_noting(pruned: PrunedCluster, seconds: int) -> None:
    """Let time pass in a registry that notes pulls."""
    end = pruned.api.now + timedelta(seconds=seconds)
    while pruned.api.now < end:
        Pulls(pruned.api.database).say(pruned.api.now)
        pruned.age(1200)


def builds(pruned: PrunedCluster, policy: str) -> list[str]:
    """Three tags under a policy, pushed a day ago."""
    digests = [pruned.api.push("team/app", f"build {number}", f"ci-{number}") for number in range(3)]
    pruned.annotate("team/app", {POLICY: policy})
    goes_on_noting(pruned, DAY)
    return digests


def test_what_was_pulled_within_stays_and_the_dry_run_says_why(pruned: PrunedCluster) -> None:
    digests = builds(pruned, "[{tags: 'ci-*', keepPulledWithin: 6h}]")
    pull(pruned, digests[1])
    plan = pruned.plan(later=0)
    assert set(plan.deletions()) == {digests[0], digests[2]}
    hour = pruned.api.now.strftime("%Y-%m-%dT%HZ")
    assert why(plan)[digests[1]] == (
        f"tag team/app:ci-1, a retention policy keeps it: keepPulledWithin of ci-*, not pulled since {hour}"
    )
    outcome = pruned.prune(later=0)
    assert (outcome.deleted_images, outcome.kept, outcome.failed) == (2, 0, 0)
    assert set(pruned.tags()) == {"team/app:ci-1"}
    goes_on_noting(pruned, DAY)
    assert pruned.prune(later=0).deleted_images == 1


def test_count_and_pull_both_keep(pruned: PrunedCluster) -> None:
    digests = builds(pruned, "[{tags: 'ci-*', keep: 1, keepPulledWithin: 6h}]")
    pull(pruned, digests[0])
    assert set(pruned.plan(later=0).deletions()) == {digests[1]}


def test_a_registry_that_tells_no_pulls_keeps_all_of_such_a_policy_and_nothing_else(pruned: PrunedCluster) -> None:
    digests = [pruned.api.push("team/app", f"build {number}", f"ci-{number}") for number in range(3)]
    other = pruned.api.push("team/app", "other", "pr-1")
    pruned.annotate("team/app", {POLICY: "[{tags: 'ci-*', keepPulledWithin: 1h}, {tags: 'pr-*', keep: 0}]"})
    plan = pruned.plan(later=1000 * DAY)
    assert set(plan.deletions()) == {other}
    assert "the registry does not say when it was pulled" in why(plan)[digests[0]]


@pytest.mark.parametrize(("seconds", "goes"), [(4 * 3600, 0), (9 * 3600, 3)])
def test_what_nobody_pulled_counts_from_when_noting_began(pruned: PrunedCluster, seconds: int, goes: int) -> None:
    builds(pruned, "[{tags: 'ci-*', keepPulledWithin: 6h}]")
    pruned.age(DAY)  # the registry was down, or of an older version
    goes_on_noting(pruned, seconds)
    assert pruned.plan(later=0).totals.deleted_images == goes


def test_a_pull_in_another_stream_keeps_nothing_here(pruned: PrunedCluster) -> None:
    pruned.api.push("other/app", "build 1", "v1")
    digests = builds(pruned, "[{tags: 'ci-*', keepPulledWithin: 6h}]")
    pull(pruned, digests[1], "other/app")
    plan = pruned.plan(later=0)
    assert plan.totals.dropped_events == 3
    assert {release.digest for release in plan.releases()} == set(digests)


@pytest.mark.parametrize("which", ["index", "part"])
def test_an_index_and_its_parts_keep_each_other(pruned: PrunedCluster, which: str) -> None:
    parts = [pruned.api.push("team/app", name, None) for name in ("amd64", "arm64")]
    index = pruned.api.push("team/app", pruned.api.index(pruned.api.image("amd64"), pruned.api.image("arm64")), "ci-9")
    digests = builds(pruned, "[{tags: 'ci-*', keepPulledWithin: 6h}]")
    pull(pruned, index if which == "index" else parts[1])
    pruned.prune(later=0)
    assert pruned.images() == {index, *parts}
    assert not set(digests) & pruned.images()


def test_an_older_revision_that_is_pulled_stays(pruned: PrunedCluster) -> None:
    old, middle, new = (pruned.api.push("team/app", text, "ci-1") for text in ("old", "middle", "new"))
    pruned.annotate("team/app", {POLICY: "[{tags: 'ci-*', keepPulledWithin: 6h}]"})
    goes_on_noting(pruned, DAY)
    pull(pruned, old)
    pruned.prune(later=0, keep_tag_revisions=1)
    assert pruned.tags() == {"team/app:ci-1": [new, old]}
    assert middle not in pruned.images()


def test_what_is_pulled_between_the_plan_and_the_run_stays(pruned: PrunedCluster) -> None:
    digests = builds(pruned, "[{tags: 'ci-*', keepPulledWithin: 6h}]")
    planner = pruned.planner(pruned.rules())
    assert planner.plan.totals.deleted_images == 3
    pull(pruned, digests[2])
    Executor(pruned, planner, planner.plan.usage, workers=1, sleep=lambda _seconds: None).run()
    assert pruned.tags() == {"team/app:ci-2": [digests[2]]}
    assert pruned.images() == {digests[2]}


def test_several_streams_and_pages_find_each_their_own_times(
    pruned: PrunedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_registry.pruning.pulls.AT_ONCE", 2)
    streams = ("a/one", "b/app", "b/app-2", "b/web", "c/last")
    pulled = {}
    for repository in streams:
        for number in range(3):
            digest = pruned.api.push(repository, f"{repository} {number}", f"ci-{number}")
            pulled[repository] = digest
        if repository != "b/app":  # no policy: it is skipped
            pruned.annotate(repository, {POLICY: "[{tags: '*', keepPulledWithin: 6h}]"})
    goes_on_noting(pruned, DAY)
    for repository, digest in pulled.items():
        pull(pruned, digest, repository)
    pruned.prune(later=0)
    assert {name: tags for name, tags in pruned.tags().items() if not name.startswith("b/app:")} == {
        f"{repository}:ci-2": [digest] for repository, digest in pulled.items() if repository != "b/app"
    }
    assert len([name for name in pruned.tags() if name.startswith("b/app:")]) == 3


def test_streams_without_such_a_policy_are_not_asked_about(pruned: PrunedCluster) -> None:
    digests = [pruned.api.push("team/app", f"build {number}", f"ci-{number}") for number in range(3)]
    pruned.annotate("team/app", {POLICY: "[{tags: 'ci-*', keep: 1}]"})
    pruned.asked.clear()
    assert set(pruned.plan().deletions()) == set(digests[:2])
    assert [path for _, path in pruned.asked if path.endswith("/namespaces/team/imagestreamimages")] == []


@pytest.mark.parametrize("value", ["soon", "-1h", "[]", "36501d", "720"])
def test_an_age_that_nobody_understands_keeps_everything_and_names_the_member(
    pruned: PrunedCluster, value: str
) -> None:
    pruned.api.push("team/app", "build", "ci-1")
    pruned.annotate("team/app", {POLICY: f"[{{tags: 'ci-*', keepPulledWithin: {value}}}]"})
    plan = pruned.plan()
    assert plan.totals.deleted_images == 0
    assert "image.alauda.io/retention[0].keepPulledWithin: " in plan.findings[0]
