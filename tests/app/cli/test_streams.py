"""Streams and tags by ``ac``: made, pointed, shown and taken away."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.app.cli.served import Ac, Office

ROOT = "/apis/image.alauda.io/v1/namespaces/team"


def tag(office: Office, name: str) -> dict[str, object]:
    found: dict[str, object] = office.api.get(f"namespaces/team/imagestreamtags/{name}")
    return found


def spec(office: Office, stream: str, name: str) -> dict[str, object]:
    [found] = [
        entry
        for entry in office.api.get(f"namespaces/team/imagestreams/{stream}")["spec"]["tags"]
        if entry["name"] == name
    ]
    assert isinstance(found, dict)
    return found


def test_a_stream_is_created_shown_and_not_created_twice(ac: Ac, office: Office) -> None:
    assert ac.good("create", "imagestream", "app", "--lookup-local") == "imagestream.image.alauda.io/app created\n"
    assert office.api.get("namespaces/team/imagestreams/app")["spec"]["lookupPolicy"] == {"local": True}
    assert "already exists" in ac.bad(1, "create", "imagestream", "app")
    assert ac.good("create", "imagestream", "web", "--dry-run", "-o", "name") == "imagestream.image.alauda.io/web\n"
    assert office.api.names("namespaces/team/imagestreams") == ["app"]
    assert (
        yaml.safe_load(ac.good("create", "imagestream", "other/web", "-o", "yaml"))["metadata"]["namespace"] == "other"
    )


@pytest.mark.parametrize("name", ["App", "app:v1", "a/b/c", "app@sha256:0"])
def test_a_stream_that_cannot_be_is_not_sent(ac: Ac, office: Office, name: str) -> None:
    assert name.split("/")[0][:3] in ac.bad(2, "create", "imagestream", name)
    assert not office.sent


def test_a_tag_is_created_with_its_stream_from_another_tag_or_an_image(ac: Ac, office: Office) -> None:
    office.api.push("team/app", "app", "v1")
    said = ac.good("create", "imagestreamtag", "copy:v1", "--from=app:v1")
    assert said == "imagestreamtag.image.alauda.io/copy:v1 created\n"
    assert spec(office, "copy", "v1")["from"] == {"kind": "ImageStreamTag", "namespace": "team", "name": "app:v1"}
    ac.good("create", "istag", "far:1", "--from-image=quay.io/team/app:1", "--reference", "--scheduled=false",
            "--reference-policy=local", "-A", "why=because")  # fmt: skip
    found = spec(office, "far", "1")
    assert found["from"] == {"kind": "DockerImage", "name": "quay.io/team/app:1"}
    assert (found["reference"], found["referencePolicy"]) == (True, {"type": "Local"})
    assert found["annotations"] == {"why": "because"}
    assert "choose one" in ac.bad(2, "create", "imagestreamtag", "x:1", "--from=app:v1", "--from-image=quay.io/a/b")
    assert "is no tag" in ac.bad(2, "create", "imagestreamtag", "x")


def test_a_tag_is_pinned_to_what_the_source_means_now(ac: Ac, office: Office) -> None:
    digest = office.api.push("team/app", "one", "v1")
    assert ac.good("tag", "app:v1", "app:prod", "other:prod") == (
        f"Tag team/app:prod set to team/app@{digest}\nTag team/other:prod set to team/app@{digest}\n"
    )
    office.api.push("team/app", "two", "v1")
    assert tag(office, "app:prod")["image"]["metadata"]["name"] == digest  # type: ignore[index]
    assert tag(office, "other:prod")["image"]["metadata"]["name"] == digest  # type: ignore[index]


def test_an_alias_follows_within_one_stream_alone(ac: Ac, office: Office) -> None:
    office.api.push("team/app", "one", "v1")
    assert ac.good("tag", "--alias", "app:v1", "app:prod") == "Tag team/app:prod follows team/app:v1\n"
    digest = office.api.push("team/app", "two", "v1")
    assert tag(office, "app:prod")["image"]["metadata"]["name"] == digest  # type: ignore[index]
    assert "no tag of team/web" in ac.bad(2, "tag", "--alias", "app:v1", "web:prod")
    assert "cannot follow itself" in ac.bad(2, "tag", "--alias", "app:v1", "app:v1")


def test_sources_are_told_apart_by_their_form_or_by_word(ac: Ac, office: Office) -> None:
    digest = office.api.push("team/app", "one", "v1")
    ac.good("tag", f"app@{digest}", "app:before")
    assert spec(office, "app", "before")["from"]["kind"] == "ImageStreamImage"  # type: ignore[index]
    ac.good("tag", "quay.io/team/app:1", "app:far", "--scheduled", "--import-mode=PreserveOriginal")
    found = spec(office, "app", "far")
    assert found["from"] == {"kind": "DockerImage", "name": "quay.io/team/app:1"}
    assert found["importPolicy"] == {"scheduled": True, "importMode": "PreserveOriginal"}
    ac.good("tag", "--source=docker", "busybox", "app:hub")
    assert spec(office, "app", "hub")["from"] == {"kind": "DockerImage", "name": "busybox"}
    assert "one of docker" in ac.bad(2, "tag", "--source=git", "a", "b:c")
    assert "other registries" in ac.bad(2, "tag", "--scheduled", "app:v1", "app:x")


def test_a_source_that_is_not_there_or_means_nothing_is_said(ac: Ac, office: Office) -> None:
    assert "there is no tag team/app:v1; if it is an image of another registry" in ac.bad(5, "tag", "app:v1", "b:c")
    ac.good("create", "imagestreamtag", "app:v1", "--from-image=quay.io/team/app:1")
    assert "means no image yet" in ac.bad(5, "tag", "app:v1", "b:c")
    assert office.api.names("namespaces/team/imagestreams") == ["app"]


def test_a_dry_run_of_a_tag_changes_nothing(ac: Ac, office: Office) -> None:
    office.api.push("team/app", "one", "v1")
    assert "(dry run)" in ac.good("tag", "app:v1", "app:prod", "--dry-run")
    assert office.api.names("namespaces/team/imagestreamtags") == ["app:v1"]


def test_tags_go_only_when_that_is_confirmed(ac: Ac, office: Office) -> None:
    for number in range(3):
        office.api.push("team/app", number, "v1")
    done = ac("tag", "-d", "app:v1")
    assert (done.exit_code, done.stdout) == (0, "Would delete tag team/app:v1, which meant 3 images\n")
    assert "Dry run: nothing is deleted. Use --confirm to delete." in done.stderr
    assert office.api.names("namespaces/team/imagestreamtags") == ["app:v1"]
    assert ac.good("tag", "-d", "app:v1", "--confirm") == "Deleted tag team/app:v1, which meant 3 images\n"
    assert office.api.names("namespaces/team/imagestreamtags") == []
    assert "there is no tag team/app:v1" in ac.bad(5, "tag", "-d", "app:v1", "--confirm")


def test_images_are_shown_by_repository_and_tag(ac: Ac, office: Office) -> None:
    digest = office.api.push("team/app", "one", "v1")
    office.api.push("team/web", "two", "v10")
    office.api.push("other/app", "one", "v1")
    assert ac.good("get", "images") == "REPOSITORY   TAG\nteam/app     v1\nteam/web     v10\n"
    assert ac.good("get", "images", "-A", "--no-headers").splitlines()[0] == "other/app   v1"
    assert ac.good("-n", "other", "get", "images", "--no-headers") == "other/app   v1\n"
    assert digest in ac.good("get", "images", "app", "-o", "wide")
    [item] = json.loads(ac.good("get", "images", "app:v1", "-o", "json"))["items"]
    assert (item["repository"], item["tag"], item["digest"]) == ("team/app", "v1", digest)
    assert item["created"].startswith("2030-")
    assert ac.good("get", "images", "app", "-o", "name") == "imagestreamtag.image.alauda.io/app:v1\n"
    done = ac("get", "images", "-n", "nobody")
    assert (done.stdout, done.stderr) == ("", "No images found in namespace nobody.\n")
    assert "not found" in ac.bad(5, "get", "images", "none")


def test_images_go_only_when_that_is_confirmed(ac: Ac, office: Office) -> None:
    digest = office.api.push("team/app", "one", "v1")
    office.api.push("team/app", "one", "same")
    done = ac("delete", "images", "--repo=registry.example.com:5000/team/app:v1")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Would delete tag team/app:v1 ({digest[:19]}")
    assert len(office.api.names("namespaces/team/imagestreamtags")) == 2
    assert ac.good("delete", "images", "--repo=team/app:v1", "--confirm").startswith("Deleted tag team/app:v1")
    assert office.api.names("namespaces/team/imagestreamtags") == ["app:same"]


def test_an_image_that_is_needed_stays_and_the_others_go_on(ac: Ac, office: Office) -> None:
    digest = office.api.push("team/app", "one", "v1")
    loose = office.api.push("team/app", "two", None)
    done = ac("delete", "images", f"app@{digest}", f"app@{loose}", "app:none", "--confirm")
    assert done.exit_code == 1
    assert f"Deleted image team/app@{loose}" in done.stdout
    assert f"Error: team/app@{digest}" in done.stderr
    assert "Error: team/app:none: there is no team/app:none" in done.stderr
    assert office.api.names("namespaces/team/imagestreamtags") == ["app:v1"]
    assert "a whole repository" in ac.bad(2, "delete", "images", "team/app")
    assert "kubectl delete images.image.alauda.io" in ac.bad(2, "delete", "images", digest)


def test_short_names_are_switched_on_for_streams_and_workloads(ac: Ac, office: Office) -> None:
    for name in ("app", "web"):
        ac.good("create", "imagestream", name)
    assert ac.good("set", "image-lookup", "app") == "imagestream.image.alauda.io/app image lookup updated\n"
    assert ac.good("set", "image-lookup") == "NAME   LOCAL\napp    true\nweb    false\n"
    assert ac.good("set", "image-lookup", "--list", "web") == "NAME   LOCAL\nweb    false\n"
    ac.good("set", "image-lookup", "--all", "--enabled=false")
    assert "true" not in ac.good("set", "image-lookup")
    where = "/apis/apps/v1/namespaces/team/deployments/web"
    office.objects[where] = {"metadata": {"name": "web"}}
    assert ac.good("set", "image-lookup", "deploy/web") == "deployment/web image lookup updated\n"
    assert office.objects[where]["metadata"]["annotations"] == {"alpha.image.policy.alauda.io/resolve-names": "*"}
    assert "no kind that has Pods" in ac.bad(2, "set", "image-lookup", "secret/web")
    assert "no image stream none" in ac.bad(5, "set", "image-lookup", "--list", "none")


def test_what_a_tag_means_is_written_into_a_workload_by_kubectl(
    ac: Ac, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = office.api.push("team/app", "one", "v1")
    ran: list[list[str]] = []
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("os.execv", lambda _program, words: ran.append(words))
    ac("set", "image", "deploy/web", "main=app:v1", "side=app:v1", "--source=istag", "--record", "-n", "team")
    name = f"{office.host}/team/app@{digest}"
    assert ran[0] == [
        "kubectl",
        "set",
        "image",
        "deploy/web",
        f"main={name}",
        f"side={name}",
        "--record",
        "--namespace=team",
    ]
    assert "is not there" in ac.bad(5, "set", "image", "deploy/web", "main=app:none", "--source=istag")


def test_without_rights_the_right_is_named(ac: Ac, office: Office) -> None:
    where = f"{ROOT}/imagestreams"
    text = (
        'imagestreams.image.alauda.io is forbidden: User "me" cannot create resource "imagestreams" in namespace "team"'
    )
    office.refused["POST", where] = text
    assert text in ac.bad(3, "create", "imagestream", "app")


def test_who_does_not_answer_is_named(ac: Ac) -> None:
    ac.config.write_text(
        ac.config.read_text(encoding="utf-8").replace("https://127.0.0.1:", "https://127.0.0.1:1"), encoding="utf-8"
    )
    text = ac.config.read_text(encoding="utf-8")
    port = text.split("https://127.0.0.1:")[1].split()[0]
    ac.config.write_text(text.replace(f"127.0.0.1:{port}", "127.0.0.1:1"), encoding="utf-8")
    assert "cannot connect to the Kubernetes API at https://127.0.0.1:1" in ac.bad(4, "get", "images")
