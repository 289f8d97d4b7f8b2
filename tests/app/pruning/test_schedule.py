"""A run by hand keeps what the schedule keeps, and knows every name of the registry that the schedule knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from image_registry.pruning.rules import InvalidRule, Rules
from image_registry.pruning.schedule import Schedule, parse_schedule, read_schedule

if TYPE_CHECKING:
    from tests.app.pruning.conftest import PrunedCluster

CRONJOBS = "/apis/batch/v1/namespaces/image-registry-system/cronjobs"
RULES = Rules(now=10_000_000)
DAY = 86400


def cronjob(*arguments: str, name: str = "image-pruner") -> dict[str, Any]:
    """As far as it is read of the chart's CronJob; tests/charts holds the chart to it."""
    containers = [{"name": name, "args": ["adm", "prune", "scheduled", "--confirm", *arguments]}]
    template = {"spec": {"containers": containers}}
    return {"metadata": {"name": name}, "spec": {"jobTemplate": {"spec": {"template": template}}}}


def test_it_is_read_from_the_cronjob_of_that_name(pruned: PrunedCluster) -> None:
    assert read_schedule(pruned) == Schedule()
    pruned.lists[CRONJOBS] = [
        cronjob("--", "--keep-younger-than=1m", name="other"),
        cronjob(
            *("--registry-url=https://inside", "--", "--keep-tag-revisions=5", "--keep-younger-than=30d"),
            *("--whitelist=^platform/", "--whitelist=a=b", "--registry-host=one", "--registry-host=two:5000"),
            "--image-field=example.com/v1/things=spec.image",
        ),
    ]
    assert read_schedule(pruned) == Schedule(
        keep_younger_than=30 * DAY,
        keep_tag_revisions=5,
        exclude=("^platform/", "a=b"),
        image_fields=("example.com/v1/things=spec.image",),
        registry_hosts=("one", "two:5000"),
    )


def test_one_that_may_not_be_read_is_not_taken_for_none(pruned: PrunedCluster) -> None:
    pruned.failures["GET", CRONJOBS] = [403]
    assert read_schedule(pruned) == Schedule(unread=True)
    assert read_schedule(pruned) == Schedule()


@pytest.mark.parametrize(
    "arguments", [(), ("--", "--keep-younger-than=soon"), ("--", "--keep-tag-revisions=many")], ids=str
)
def test_one_that_is_not_understood_lets_nothing_go(pruned: PrunedCluster, arguments: tuple[str, ...]) -> None:
    pruned.lists[CRONJOBS] = [cronjob(*arguments)]
    with pytest.raises(InvalidRule, match="CronJob image-registry-system/image-pruner"):
        read_schedule(pruned)


def test_what_a_run_does_not_say_is_as_the_schedule_says() -> None:
    schedule = Schedule(keep_younger_than=30 * DAY, keep_tag_revisions=5, exclude=("^platform/",))
    silent = schedule.held(RULES, age_given=False, revisions_given=False)
    assert (silent.keep_younger_than, silent.keep_tag_revisions) == (30 * DAY, 5)
    given = Rules(now=1, keep_younger_than=60, keep_tag_revisions=0)
    said = schedule.held(given, age_given=True, revisions_given=True)
    assert (said.keep_younger_than, said.keep_tag_revisions) == (60, 0)
    assert silent.allows("platform/base")
    assert said.allows("platform/base"), "what is excluded stays whatever a run says"
    assert Schedule().held(RULES, age_given=False, revisions_given=False) == RULES


def test_a_run_that_keeps_less_is_told_in_sentences() -> None:
    schedule = parse_schedule(["--keep-younger-than=30d", "--keep-tag-revisions=5"], "here")
    weak = Rules(now=1, keep_younger_than=3600, keep_tag_revisions=3)
    assert list(schedule.keeps_more(weak)) == [
        "what is younger than 30d (asked for: 1h)",
        "5 newest images of each tag (asked for: 3)",
    ]
    assert not list(schedule.keeps_more(schedule.held(weak, age_given=False, revisions_given=False)))
    assert not list(schedule.keeps_more(Rules(now=1, keep_younger_than=31 * DAY, keep_tag_revisions=6)))
    assert not list(schedule.keeps_more(Rules(now=1, keep_younger_than=0, over_limit=True)))
    assert not list(Schedule().keeps_more(weak))
