"""Modules about image streams on the real Image API: check mode predicts, a second run changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.alauda.registry.plugins.modules import (
    image_import,
    image_prune,
    image_stream,
    image_stream_info,
    image_stream_tag,
    workload_image_references,
)

from tests.app.cli.served import Office, listening
from tests.app.cli.test_import_image import _importing
from tests.app.conftest import sqlite_template  # noqa: F401 - a fixture
from tests.app.image_api.conftest import FakeCluster, _opened
from tests.app.pruning.test_schedule import CRONJOBS, cronjob
from tests.app.remote.conftest import REPOSITORY, Remote, open_distribution  # noqa: F401 - a fixture
from tests.collection.conftest import Result, Run

if TYPE_CHECKING:
    from types import ModuleType

TEAM = {"namespace": "team"}
APP = {**TEAM, "stream": "app"}
Four = Callable[..., Result]


@pytest.fixture
def office(sqlite_template: Path, tmp_path: Path) -> Iterator[Office]:  # noqa: F811
    """An empty registry in a cluster without workloads."""
    for api in _opened(sqlite_template, tmp_path, FakeCluster()):
        yield Office(api)


@pytest.fixture
def kubeconfig(office: Office, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "office"
    folder.mkdir()
    with listening(office.answer, folder) as path:
        yield path


@pytest.fixture
def four_times(run: Run, office: Office) -> Four:
    """Check, run, run, check: the first two agree, the last two change nothing, and checks write nothing."""

    def revision() -> int:
        return int(office.api.streams.revision())

    def run_four(module: ModuleType, **arguments: Any) -> Result:
        start = revision()
        checked = run(module, check=True, **arguments)
        assert not checked.failed, checked.message
        assert revision() == start, "check mode wrote something"
        done = run(module, **arguments)
        assert not done.failed, done.message
        assert (checked["changed"], checked["diff"]) == (done["changed"], done["diff"])
        end = revision()
        again = run(module, **arguments)
        assert not again.failed, again.message
        assert not again["changed"], again["diff"]
        assert not again["diff"]
        assert not run(module, check=True, **arguments)["changed"]
        assert revision() == end, "a second run wrote something"
        return done

    return run_four


def stream(office: Office, name: str = "app") -> dict[str, Any]:
    found: dict[str, Any] = office.api.get(f"namespaces/team/imagestreams/{name}")
    return found


def test_a_stream_is_made_changed_and_deleted(four_times: Four, office: Office) -> None:
    done = four_times(image_stream, **TEAM, name="app", local_lookup=True, labels={"owner": "us"})
    assert done["changed"]
    assert done["image_stream"]["spec"]["lookupPolicy"] == {"local": True}
    assert not four_times(image_stream, **TEAM, name="app")["changed"]  # what is not named stays
    four_times(image_stream, **TEAM, name="app", labels={"owner": None, "tier": 1}, annotations={"note": "x"})
    metadata = stream(office)["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == ({"tier": "1"}, {"note": "x"})
    assert stream(office)["spec"]["lookupPolicy"] == {"local": True}
    assert four_times(image_stream, **TEAM, name="app", state="absent")["changed"]
    assert office.api.names("imagestreams") == []
    assert not four_times(image_stream, **TEAM, name="app", state="absent")["changed"]


def test_a_name_that_no_repository_has_is_refused_in_check_mode_too(run: Run) -> None:
    for check in (True, False):
        refused = run(image_stream, check=check, **TEAM, name="App")
        assert refused.failed
        assert "App" in refused.message


def test_a_tag_is_pinned_to_what_another_one_means(four_times: Four, office: Office) -> None:
    first = office.api.push("team/app", "one", "v1")
    done = four_times(image_stream_tag, **APP, tag="prod", from_tag="app:v1")
    assert (done["changed"], done["image"]) == (True, first)
    second = office.api.push("team/app", "two", "v1")
    moved = four_times(image_stream_tag, **APP, tag="prod", from_tag="app:v1")
    assert (moved["changed"], moved["image"]) == (True, second)
    back = four_times(image_stream_tag, **APP, tag="prod", from_stream_image=f"app@{first}")
    assert (back["changed"], back["image"]) == (True, first)
    assert four_times(image_stream_tag, **APP, tag="prod", state="absent")["changed"]
    assert "prod" not in [tag["name"] for tag in stream(office)["spec"].get("tags", [])]


def test_a_tag_follows_another_one_of_its_stream(four_times: Four, office: Office, run: Run) -> None:
    office.api.push("team/app", "one", "v1")
    done = four_times(image_stream_tag, **APP, tag="stable", from_tag="app:v1", follow=True)
    assert done["image_stream_tag"]["spec"]["from"]["kind"] == "ImageStreamTag"
    assert "follow needs from_tag" in run(image_stream_tag, **APP, tag="stable", follow=True).message


def test_annotations_and_policies_that_are_not_named_stay(four_times: Four, office: Office) -> None:
    image = "registry.example.com/base/os:1"
    four_times(image_stream_tag, **APP, tag="os", from_image=image, reference=True, annotations={"a": "1", "b": "2"})
    four_times(image_stream_tag, **APP, tag="os", reference_policy="Local", annotations={"a": None})
    [tag] = stream(office)["spec"]["tags"]
    assert (tag["from"]["name"], tag["reference"], tag["referencePolicy"]) == (image, True, {"type": "Local"})
    assert tag["annotations"] == {"b": "2"}


def test_what_a_source_will_mean_that_check_mode_has_not_made_is_said_to_be_unknown(run: Run, office: Office) -> None:
    checked = run(image_stream_tag, check=True, **APP, tag="prod", from_tag="app:v1")
    assert not checked.failed
    assert checked["changed"]
    assert "not known yet" in str(checked["diff"])
    done = run(image_stream_tag, **APP, tag="prod", from_tag="app:v1")
    assert done.failed
    assert "means no image" in done.message
    assert office.api.names("imagestreams") == []


def test_a_tag_without_a_source_says_what_to_name(run: Run) -> None:
    assert "from_tag, from_stream_image or from_image" in run(image_stream_tag, **APP, tag="x").message


def test_tags_are_told_with_what_they_mean(run: Run, office: Office) -> None:
    digest = office.api.push("team/app", "one", "v1")
    office.api.push("team/app", "two", "v2")
    office.api.push("other/web", "web", "latest")
    found = run(image_stream_info, **APP_INFO)
    assert [(row["tag"], row["revisions"]) for row in found["tags"]] == [("v1", 1), ("v2", 1)]
    assert found["tags"][0]["image"] == digest
    assert found["tags"][0]["pull_spec"].endswith(f"/team/app@{digest}")
    assert {row["namespace"] for row in run(image_stream_info)["tags"]} == {"team", "other"}
    assert run(image_stream_info, namespace="team", name="none")["image_streams"] == []
    assert "needs namespace" in run(image_stream_info, name="app").message


APP_INFO = {"namespace": "team", "name": "app"}


def test_who_has_no_registry_is_told_where_to_look(run: Run, office: Office) -> None:
    office.failures["GET", "/apis/image.alauda.io/v1/namespaces/team/imagestreams/app"] = [503] * 4
    for module in (image_stream_info,):
        failed = run(module, **APP_INFO)
        assert failed.failed
        assert "image-api-server" in failed.message


@pytest.fixture
def source(office: Office, open_distribution: Remote) -> str:  # noqa: F811
    """A repository from which the registry may import."""
    _importing(office.api, open_distribution.host)
    return f"{open_distribution.host}/{REPOSITORY}"


def test_images_are_imported_once_and_told_tag_by_tag(four_times: Four, source: str, office: Office, run: Run) -> None:
    images = [{"tag": "v1", "source": f"{source}:v1"}, {"tag": "old", "source": f"{source}:1.0.0"}]
    done = four_times(image_import, **APP, images=images, reference_policy="Local", import_mode="PreserveOriginal")
    assert [(row["tag"], row["changed"], row["before"]) for row in done["results"]] == [
        ("v1", True, ""),
        ("old", True, ""),
    ]
    assert {tag["referencePolicy"]["type"] for tag in stream(office)["spec"]["tags"]} == {"Local"}
    assert not four_times(image_import, **APP)["changed"]  # again, as the stream wants it
    assert {tag["importPolicy"]["importMode"] for tag in stream(office)["spec"]["tags"]} == {"PreserveOriginal"}
    other = four_times(image_import, **APP, images=[{"tag": "v1", "source": f"{source}:1.1.0"}])
    assert [row["changed"] for row in other["results"]] == [True]
    assert other["results"][0]["before"] == done["results"][0]["image"]
    whole = four_times(image_import, **TEAM, stream="whole", repository=source)
    assert len(whole["results"]) == 5
    assert run(image_import, **TEAM, stream="none").message.startswith("no tag of team/none is imported")


def test_what_cannot_be_imported_is_named_and_the_rest_is_imported(run: Run, source: str) -> None:
    images = [{"tag": "v1", "source": f"{source}:v1"}, {"tag": "no", "source": f"{source}:none"}]
    done = run(image_import, **APP, images=images)
    assert done.failed
    assert "1 of 2 could not be imported" in done.message
    assert done["changed"]
    assert [(row["tag"], row["status"]) for row in done["results"]] == [("v1", "Success"), ("no", "Failure")]
    again = run(image_import, **APP, images=images, allow_failures=True)
    assert not again.failed
    assert not again["changed"]


def test_a_prune_is_a_plan_until_it_is_confirmed(run: Run, office: Office) -> None:
    office.api.now = datetime(2020, 1, 1, tzinfo=UTC)
    old = office.api.push("team/app", "old", "v1")
    office.api.push("team/app", "new", "v1")
    rules: dict[str, Any] = {"keep_younger_than": "0", "keep_tag_revisions": 1}
    start = office.api.streams.revision()
    shown = run(image_prune, **rules)
    assert not shown.failed, shown.message
    assert not shown["changed"]
    assert [image["name"] for image in shown["images"]] == [old]
    checked = run(image_prune, check=True, confirm=True, **rules)
    assert checked["changed"]
    assert checked["diff"] == shown["diff"]
    assert office.api.streams.revision() == start
    done = run(image_prune, confirm=True, **rules)
    assert done["changed"]
    assert done["outcome"]["deletedImages"] == 1
    assert not run(image_prune, confirm=True, **rules)["changed"]


def test_a_prune_keeps_what_the_schedule_keeps(run: Run, office: Office) -> None:
    office.api.now = datetime(2020, 1, 1, tzinfo=UTC)
    old = office.api.push("team/app", "old", "v1")
    second = office.api.push("team/app", "new", "v1")
    both = {old, second}
    office.lists[CRONJOBS] = [cronjob("--", "--keep-younger-than=36500d", "--keep-tag-revisions=1")]
    assert run(image_prune, confirm=True)["changed"] is False, "rules that a task does not name are the schedule's"
    shown = run(image_prune, keep_younger_than="60m")
    assert [image["name"] for image in shown["images"]] == [old]
    assert "the schedule keeps more: what is younger than 36500d" in shown["findings"][-1]
    for check in (True, False):
        refused = run(image_prune, check=check, confirm=True, keep_younger_than="60m")
        assert refused.failed
        assert "what is younger than 36500d (asked for: 1h)" in refused.message
        assert "registry_prune_below_schedule" in refused.message
    assert set(office.api.names("images")) == both
    office.lists[CRONJOBS] = [cronjob("--", "--whitelist=^team/", "--keep-tag-revisions=1")]
    assert not run(image_prune, confirm=True, keep_younger_than="0", below_schedule=True)["changed"]
    office.lists[CRONJOBS] = [cronjob("--", "--keep-younger-than=36500d", "--keep-tag-revisions=1")]
    assert run(image_prune, confirm=True, keep_younger_than="60m", below_schedule=True)["changed"]
    assert office.api.names("images") == [second]


def test_rights_that_a_prune_lacks_are_named(run: Run, office: Office) -> None:
    office.denied.add("delete images")
    failed = run(image_prune, confirm=True)
    assert failed.failed
    assert "delete images" in failed.message
    assert "keep_younger_than" not in failed.message
    assert "no unit" in run(image_prune, keep_younger_than="60").message


def test_who_names_which_registry_is_told(run: Run, office: Office) -> None:
    def deployment(name: str, *images: object) -> dict[str, Any]:
        containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
        return {
            "metadata": {"name": name, "namespace": "team"},
            "spec": {"template": {"spec": {"containers": containers}}},
        }

    digest = f"sha256:{'0' * 64}"
    office.lists["/apis/apps/v1/deployments"] = [
        deployment("web", "registry.old:5000/team/web:1", "nginx"),
        deployment("app", f"registry.new/team/app@{digest}"),
        deployment("strange", 7),
    ]
    found = run(workload_image_references)
    assert found["hosts"] == {"docker.io": 1, "registry.new": 1, "registry.old:5000": 1}
    rows = {row["image"]: (row["repository"], row["tag"], row["digest"]) for row in found["references"]}
    assert rows["registry.old:5000/team/web:1"] == ("team/web", "1", "")
    assert rows["nginx"] == ("nginx", "", "")
    assert rows[f"registry.new/team/app@{digest}"] == ("team/app", "", digest)
    assert [entry["owner"] for entry in found["unreadable"]] == ["Deployment team/strange"]
    only = run(workload_image_references, hosts=["registry.new"])
    assert [row["name"] for row in only["references"]] == ["app"]
