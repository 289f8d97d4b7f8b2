"""The real run does what the plan says, and no more when the world has moved on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from image_registry.imagestreams.pulls import Pulls
from image_registry.kube.errors import ClusterUnreachable, RightsMissing
from image_registry.metadata import pulls as metadata_pulls
from image_registry.pruning.applying import Executor
from image_registry.pruning.gathering import check_rights, find_hosts, read_usage
from image_registry.pruning.outcome import Outcome
from tests.app.pruning.test_plans import history, signed

if TYPE_CHECKING:
    from tests.app.pruning.conftest import PrunedCluster

OLD = {"keep_tag_revisions": 1}


def run_after(pruned: PrunedCluster, change: Callable[[], object], *, again: bool = True, **rules: Any) -> Outcome:
    """Plan, let something happen, then execute the plan; usage is read again in between as ``ac`` does."""
    planned = pruned.rules(later=10_000, **(rules or OLD))
    planner = pruned.planner(planned)
    change()
    usage = read_usage(pruned, find_hosts(pruned, planned, ()), planned) if again else planner.plan.usage
    return Executor(pruned, planner, usage, workers=2, sleep=lambda _seconds: None).run()


def test_what_is_used_by_now_stays_with_all_that_belongs_to_it(pruned: PrunedCluster) -> None:
    digest, signatures = signed(pruned, "one", None)
    outcome = run_after(pruned, lambda: pruned.run(f"{pruned.host}/team/app@{digest}"))
    assert (outcome.released, outcome.deleted_images, outcome.dropped_events) == (0, 0, 0)
    assert pruned.images() == {digest, *signatures}
    assert set(pruned.tags()) == {f"team/app:sha256-{digest[7:]}.sig"}


def test_a_tag_that_comes_meanwhile_wins(pruned: PrunedCluster) -> None:
    digests = history(pruned)
    outcome = run_after(pruned, lambda: pruned.api.push("team/app", "team/app v1 0", "rescued"), again=False)
    assert digests[4] in pruned.images()
    assert ("team/app", digests[4]) in pruned.held()
    assert pruned.tags()["team/app:rescued"] == [digests[4]]
    assert (outcome.released, outcome.failed) == (3, 0)


@pytest.mark.parametrize("when", ["before the plan", "after the plan", "before the last request"])
def test_a_prune_between_a_part_that_is_pushed_again_and_its_index_takes_nothing(
    pruned: PrunedCluster, when: str
) -> None:
    api = pruned.api
    part = api.push("team/app", "amd64", None)
    pruned.age(10_000)

    def again() -> None:
        assert api.push("team/app", "amd64", None) == part

    if when == "before the plan":
        again()
        pruned.prune(later=0)
    elif when == "after the plan":
        planner = pruned.planner(pruned.rules())
        assert [release.digest for release in planner.plan.releases()] == [part], "it was old until then"
        again()
        Executor(pruned, planner, planner.plan.usage, sleep=lambda _seconds: None).run()
    else:
        pushed: list[str] = []

        def push_once(method: str, _path: str) -> None:
            if method == "DELETE" and not pushed:
                pushed.append("now")
                again()

        pruned.before = push_once
        pruned.prune(later=0)
        assert pushed, "the prune had looked at it and was about to take it out"
    assert pruned.held() == {("team/app", part)}
    assert pruned.images() == {part}
    api.push("team/app", api.index(api.image("amd64")), "v1")
    assert pruned.prune().released == 0


def test_a_signature_stays_when_what_it_signs_is_tagged_meanwhile(pruned: PrunedCluster) -> None:
    digest, _ = signed(pruned, "one", None)
    run_after(pruned, lambda: pruned.api.push("team/app", pruned.api.image("one"), "v1"), again=False)
    assert f"team/app:sha256-{digest[7:]}.sig" in pruned.tags()
    assert ("team/app", digest) in pruned.held()


@pytest.mark.parametrize("where", ["stream", "image"])
def test_an_annotation_that_comes_meanwhile_keeps(pruned: PrunedCluster, where: str) -> None:
    digests = history(pruned, count=2)
    keep = {"image.alauda.io/keep": "true"}
    if where == "stream":
        run_after(pruned, lambda: pruned.annotate("team/app", keep))
    else:
        run_after(pruned, lambda: pruned.annotate_image(digests[1], keep))
    assert digests[1] in pruned.images()


def test_a_stream_that_was_made_anew_is_left_alone(pruned: PrunedCluster) -> None:
    history(pruned)

    def anew() -> None:
        pruned.api.delete("namespaces/team/imagestreams/app")
        history(pruned)

    outcome = run_after(pruned, anew)
    assert (outcome.dropped_events, outcome.released, outcome.failed) == (0, 0, 0)
    assert len(pruned.tags()["team/app:v1"]) == 5


def test_somebody_who_writes_in_between_loses_nothing(pruned: PrunedCluster) -> None:
    digests = history(pruned)
    pushed: list[str] = []

    def push_once(method: str, path: str) -> None:
        if method == "PUT" and path.endswith("/status") and not pushed:
            pushed.append(pruned.api.push("team/app", "meanwhile", "v1"))

    pruned.before = push_once
    outcome = pruned.prune(**OLD)
    assert pruned.tags()["team/app:v1"] == [pushed[0], digests[0]]
    assert (outcome.failed, outcome.dropped_events) == (0, 4)


def test_one_failure_stops_nothing_else_and_is_told(pruned: PrunedCluster) -> None:
    history(pruned)
    others = history(pruned, "other/app")
    path = "/apis/image.alauda.io/v1/namespaces/team/imagestreams/app/status"
    pruned.failures["PUT", path] = [403]
    outcome = pruned.prune(**OLD)
    assert (outcome.failed, outcome.changed_streams) == (1, 1)
    assert "image stream team/app" in outcome.failures[0]
    assert pruned.tags()["other/app:v1"] == others[:1]
    assert len(pruned.tags()["team/app:v1"]) == 5
    assert pruned.prune(**OLD).failed == 0
    assert len(pruned.images()) == 2


def test_a_server_that_is_busy_is_asked_again(pruned: PrunedCluster) -> None:
    history(pruned)
    path = "/apis/image.alauda.io/v1/namespaces/team/imagestreams/app/status"
    pruned.failures["PUT", path] = [503, 429]
    assert pruned.prune(**OLD).failed == 0


def test_refused_credentials_end_the_run_at_once(pruned: PrunedCluster) -> None:
    for number in range(4):
        history(pruned, f"team/app{number}")
    pruned.failures["GET", "/apis/image.alauda.io/v1/namespaces/team/imagestreams/app0"] = [401]
    outcome = pruned.prune(**OLD)
    assert "refuses the credentials" in outcome.stopped
    assert outcome.deleted_images == 0


def test_a_cluster_that_goes_away_ends_the_run_after_a_few_attempts(pruned: PrunedCluster) -> None:
    for number in range(9):
        history(pruned, f"team/app{number}", count=2)
    planner = pruned.planner(pruned.rules(later=10_000, **OLD))

    def gone(_method: str, _path: str) -> None:
        raise ClusterUnreachable("nobody answers")

    pruned.before = gone
    outcome = Executor(pruned, planner, planner.plan.usage, workers=1, sleep=lambda _seconds: None).run()
    assert "nobody answers" in outcome.stopped
    assert outcome.failed == 5


def test_a_list_that_took_too_long_is_begun_again(pruned: PrunedCluster) -> None:
    history(pruned)
    for path in ("/api/v1/pods", "/apis/image.alauda.io/v1/images", "/apis/image.alauda.io/v1/imagestreamimages"):
        pruned.failures["GET", path] = [410]
    assert pruned.plan(**OLD).totals.deleted_images == 4


def test_every_missing_right_is_named_before_anything_is_read(pruned: PrunedCluster) -> None:
    pruned.denied = {"list pods", "update imagestreams/status", "delete images"}
    with pytest.raises(RightsMissing) as refused:
        check_rights(pruned, pruned.rules(), [], confirm=True, local_usage=False)
    assert [str(right) for right in refused.value.rights] == [
        "list pods",
        "update imagestreams/status.image.alauda.io",
        "delete images.image.alauda.io",
    ]
    assert {method for method, _ in pruned.asked} == {"POST"}
    pruned.denied = {"update imagestreams/status"}
    check_rights(pruned, pruned.rules(), [], confirm=False, local_usage=False)


# whatever has happened

REPOSITORIES = ("team/app", "team/web", "other/app")
TAGS = ("v1", "v2")
numbers = st.integers(0, 5)
repositories, tags = st.sampled_from(REPOSITORIES), st.sampled_from(TAGS)
steps = st.one_of(
    st.tuples(st.just("push"), repositories, st.none() | tags, numbers),
    st.tuples(st.just("index"), repositories, st.none() | tags, st.sets(numbers, min_size=1, max_size=2)),
    st.tuples(st.just("refer"), repositories, numbers, numbers),
    st.tuples(st.just("sign"), repositories, numbers),
    st.tuples(st.just("borrow"), repositories, tags, repositories, tags),
    st.tuples(st.just("keep"), numbers),
    st.tuples(st.just("policy"), repositories, st.booleans()),
    st.tuples(st.just("pull"), repositories, tags),
    st.tuples(st.just("wait")),
    st.tuples(st.just("use tag"), repositories, tags),
    st.tuples(st.just("use digest"), repositories, numbers),
    st.tuples(st.just("run"), repositories, numbers),
)


PULLED_LATELY = [
    ("push", "team/app", "v1", 0),
    ("index", "team/app", "v2", {1, 2}),
    ("policy", "team/app", True),
    ("wait",),
    ("pull", "team/app", "v1"),
    ("pull", "team/app", "v2"),
]
"""Rare among random histories: an old tag that only a pull keeps."""


class History:
    """What happened, and what must therefore stay."""

    def __init__(self, pruned: PrunedCluster) -> None:
        self.pruned = pruned
        self.used_tags: set[str] = set()
        self.used: set[tuple[str, str]] = set()
        self.running: set[str] = set()
        self.kept: set[str] = set()
        self.children: dict[str, set[str]] = {}
        self.subjects: dict[str, str] = {}
        self.by_pull: set[str] = set()
        self.pulled: dict[tuple[str, str], int] = {}
        """The year of the last pull; the plan is made hours after the last thing that happened."""

    def take(self, step: tuple[Any, ...]) -> None:
        getattr(self, step[0].replace(" ", "_"))(*step[1:])

    def push(self, repository: str, tag: str | None, number: int) -> None:
        self.pruned.api.push(repository, self.image(number), tag)

    def index(self, repository: str, tag: str | None, parts: set[int]) -> None:
        for number in parts:
            self.push(repository, None, number)
        children = [self.image(number) for number in sorted(parts)]
        index = self.pruned.api.push(repository, self.pruned.api.index(*children), tag)
        self.children[index] = {str(child.digest) for child in children}

    def refer(self, repository: str, number: int, other: int) -> None:
        subject = self.image(number)
        about = {"mediaType": subject.media_type, "digest": str(subject.digest), "size": len(subject.raw)}
        made = self.pruned.api.image(f"about {number} {other}", subject=about)
        self.subjects[self.pruned.api.push(repository, made, None)] = str(subject.digest)

    def sign(self, repository: str, number: int) -> None:
        self.pruned.api.push(repository, f"signature {number}", f"sha256-{self.image(number).digest.hex}.sig")

    def borrow(self, repository: str, tag: str, other: str, other_tag: str) -> None:
        """A tag of one stream comes to mean what a tag of another one means, if there is such a tag."""
        (namespace, name), (source, stream) = repository.split("/"), other.split("/")
        wanted = {"kind": "ImageStreamTag", "name": f"{stream}:{other_tag}", "namespace": source}
        document = {"metadata": {"name": f"{name}:from-{tag}"}, "tag": {"from": wanted}}
        self.pruned.api.send("POST", f"namespaces/{namespace}/imagestreamtags", document)

    def keep(self, number: int) -> None:
        digest = str(self.image(number).digest)
        if digest in self.pruned.images():
            self.pruned.annotate_image(digest, {"image.alauda.io/keep": "true"})
            self.kept.add(digest)

    def policy(self, repository: str, by_pull: bool) -> None:
        if repository in {name.partition(":")[0] for name in self.pruned.tags()}:
            rule = "keepPulledWithin: 12h" if by_pull else "keep: 1"
            self.pruned.annotate(repository, {"image.alauda.io/retention": f"[{{tags: 'v*', {rule}}}]"})
            (self.by_pull.add if by_pull else self.by_pull.discard)(repository)

    def pull(self, repository: str, tag: str) -> None:
        """Somebody pulls what a tag means now, if there is such a tag."""
        found = self.pruned.tags().get(f"{repository}:{tag}")
        if found:
            namespace, name = repository.split("/")
            Pulls(self.pruned.api.database).note([(namespace, name, found[0])], self.pruned.api.now)
            self.pulled[repository, found[0]] = self.pruned.api.now.year

    def wait(self) -> None:
        """A year passes, in which pulls are noted."""
        begun = self.pruned.api.now
        Pulls(self.pruned.api.database).say(begun)
        self.pruned.api.now = begun.replace(year=begun.year + 1)
        with self.pruned.api.database.write() as connection:
            noted = metadata_pulls.noted(connection)
            assert noted is not None
            metadata_pulls.say_noted(connection, noted.since, self.pruned.api.now)

    def use_tag(self, repository: str, tag: str) -> None:
        self.pruned.run(f"{self.pruned.host}/{repository}:{tag}")
        self.used_tags.add(f"{repository}:{tag}")

    def use_digest(self, repository: str, number: int) -> None:
        digest = str(self.image(number).digest)
        self.pruned.run(f"{self.pruned.public}/{repository}@{digest}")
        self.used.add((repository, digest))

    def run(self, repository: str, number: int) -> None:
        digest = str(self.image(number).digest)
        self.pruned.pod(f"{self.pruned.host}/{repository}:v1", f"{self.pruned.host}/{repository}@{digest}")
        self.running.add(digest)

    def image(self, number: int) -> Any:
        return self.pruned.api.image(number)

    def must_stay(
        self, held: set[tuple[str, str]], tags: dict[str, list[str]], *, over_limit: bool
    ) -> set[tuple[str, str]]:
        """What streams hold that somebody needs, said in another way than the plan says it."""
        current = {(name.partition(":")[0], tags[name][0]) for name in self.used_tags & tags.keys()}
        needed = (current | self.used) & held
        needed |= {(repository, digest) for repository, digest in held if digest in self.running | self.kept}
        needed |= {
            (repository, events[0])
            for name, events in tags.items()
            if (repository := name.partition(":")[0]) in self.by_pull
            and name.partition(":")[2].startswith("v")
            and self.pulled.get((repository, events[0])) == self.pruned.api.now.year
            and (repository, events[0]) in held
            and not over_limit
        }
        while True:
            more = {
                (repository, child)
                for repository, index in needed
                for child in self.children.get(index, ())
                if (repository, child) in held
            }
            more |= {
                (repository, digest)
                for repository, digest in held
                if (repository, self.subjects.get(digest, "")) in needed
            }
            if more <= needed:
                return needed
            needed |= more


@pytest.mark.parity(19)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    past=st.lists(steps, min_size=3, max_size=25),
    revisions=st.integers(0, 2),
    later=st.sampled_from([10, 10_000]),
    over_limit=st.booleans(),
)
@example(past=PULLED_LATELY, revisions=1, later=10_000, over_limit=False)
def test_whatever_has_happened(
    empty: Callable[[], PrunedCluster],
    past: list[tuple[Any, ...]],
    revisions: int,
    later: int,
    over_limit: bool,
) -> None:
    pruned = empty()
    known = History(pruned)
    for step in past:
        known.take(step)
    if over_limit:
        limit = {"type": "alauda.io/Image", "max": {"storage": "9"}}
        sizes = {"metadata": {"name": "sizes", "namespace": "team"}, "spec": {"limits": [limit]}}
        pruned.lists["/api/v1/limitranges"] = [sizes]
    held, tags = pruned.held(), pruned.tags()
    needed = known.must_stay(held, tags, over_limit=over_limit)
    rules: dict[str, Any] = {"later": later, "keep_tag_revisions": revisions, "over_limit": over_limit}
    plan = pruned.plan(**rules)
    planned = {(f"{release.namespace}/{release.name}", release.digest) for release in plan.releases()}
    deleted = set(plan.deletions())

    assert not planned & needed  # nothing that is needed is ever in the plan
    assert not deleted & {digest for _, digest in needed}
    assert (pruned.held(), pruned.tags()) == (held, tags)  # looking changes nothing

    before = pruned.images()
    outcome = pruned.prune(**rules)
    totals = plan.totals
    assert (outcome.failed, outcome.kept, outcome.stopped) == (0, 0, "")
    assert (outcome.dropped_events, outcome.released, outcome.deleted_images) == (
        totals.dropped_events,
        totals.released,
        totals.deleted_images,
    )
    assert pruned.held() == held - planned  # the real run is the dry run
    assert pruned.images() == before - deleted

    after = pruned.tags()
    for name, events in after.items():
        assert events[0] == tags[name][0], "a tag came to mean something else"
        assert set(events) <= {digest for _, digest in pruned.held()}, "a tag means what nobody holds"
    assert {digest for _, digest in pruned.held()} <= pruned.images()
    if not over_limit:
        for repository, digest in pruned.held():
            subject = known.subjects.get(digest)
            assert subject is None or (repository, subject) not in planned, "a referrer outlived its subject"

    again = pruned.plan(**rules)
    assert (again.totals.dropped_events, again.totals.released, again.totals.deleted_images) == (0, 0, 0)


def test_a_tag_that_only_points_elsewhere_is_left_as_it_is(pruned: PrunedCluster) -> None:
    digests = history(pruned, count=3)
    document = pruned.api.get("namespaces/team/imagestreams/app")
    source = {"kind": "DockerImage", "name": "quay.io/team/app:1"}
    document["spec"]["tags"] = [{"name": "v1", "from": source, "reference": True}]
    pruned.api.write("PUT", "namespaces/team/imagestreams/app", document)
    outcome = pruned.prune(**OLD)
    assert outcome.failed == 0
    assert pruned.tags()["team/app:v1"][0] == ""
    assert not set(digests[1:]) & set(pruned.tags()["team/app:v1"])
