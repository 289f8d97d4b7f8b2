"""Everything that people do with kubectl, done to ImageStreams by an unmodified kubectl."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clients.layout import image
from tests.clients.programs import Crane
from tests.cluster.kubernetes import CommandFailed, Kubectl, Team
from tests.serve.conftest import program

pytestmark = pytest.mark.lab

Here = Callable[..., str]

NAMES = ("alpha", "beta", "gamma")


def stream(name: str, **spec: Any) -> str:
    """A manifest as people write it."""
    document = {"apiVersion": "image.alauda.io/v1", "kind": "ImageStream", "metadata": {"name": name}, "spec": spec}
    return str(yaml.safe_dump(document))


@pytest.fixture
def here(kubectl: Kubectl, team: Team) -> Here:
    """kubectl in the team's namespace, with three streams in it."""

    def run(*arguments: str, **options: Any) -> str:
        return kubectl("-n", team.namespace, *arguments, **options)

    for name in NAMES:
        run("create", "-f", "-", stdin=stream(name, lookupPolicy={"local": True}))
    return run


def at(here: Here, name: str) -> Any:
    return json.loads(here("get", "is", name, "-o", "json"))


@pytest.mark.parity(3)
def test_api_resources_names_every_kind(kubectl: Kubectl) -> None:
    rows = [line.split() for line in kubectl("api-resources", "--api-group=image.alauda.io", "-o", "wide").splitlines()]
    kinds = {kind for row in rows for kind in row if kind.startswith("Image")}
    assert kinds >= {"Image", "ImageSignature", "ImageStream", "ImageStreamTag", "ImageTag", "ImageStreamImage"}
    assert kinds >= {"ImageStreamMapping", "ImageStreamImport"}


@pytest.mark.parametrize("form", ["wide", "yaml", "json", "name", "jsonpath={.items[*].metadata.name}"])
def test_get_in_every_form(here: Here, form: str) -> None:
    shown = here("get", "imagestreams", "-o", form)
    assert all(name in shown for name in NAMES)


def test_get_in_pages_of_one_and_in_all_namespaces(here: Here, kubectl: Kubectl, team: Team) -> None:
    assert here("get", "is", "-o", "name", "--chunk-size=1").split() == [
        f"imagestream.image.alauda.io/{name}" for name in NAMES
    ]
    rows = [line.split()[:2] for line in kubectl("get", "is", "-A", "--no-headers", "--chunk-size=2").splitlines()]
    assert [row[1] for row in rows if row[0] == team.namespace] == list(NAMES)


def test_get_by_labels_and_by_fields(here: Here) -> None:
    here("label", "is", "beta", "tier=web")
    assert here("get", "is", "-l", "tier=web", "-o", "name") == "imagestream.image.alauda.io/beta\n"
    assert here("get", "is", "-l", "tier!=web", "-o", "name").count("\n") == 2
    assert here("get", "is", "--field-selector", "metadata.name=gamma", "-o", "name").endswith("/gamma\n")


@pytest.mark.parity(4)
def test_describe_and_explain(here: Here, crane: Crane, team: Team, tmp_path: Path) -> None:
    digest = crane.push(image(tmp_path / "image"), f"{team.namespace}/alpha:v1")
    assert digest in here("describe", "is", "alpha")
    explained = here("explain", "imagestreams", "--recursive")
    assert "importPolicy" in explained
    assert "dockerImageRepository" in explained
    assert "referencePolicy" in here("explain", "imagestreams.spec.tags")


def test_apply_again_and_change(here: Here) -> None:
    assert here("apply", "-f", "-", stdin=stream("new")) == "imagestream.image.alauda.io/new created\n"
    assert here("apply", "-f", "-", stdin=stream("new")) == "imagestream.image.alauda.io/new unchanged\n"
    changed = stream("new", lookupPolicy={"local": True})
    assert here("apply", "-f", "-", stdin=changed) == "imagestream.image.alauda.io/new configured\n"
    assert at(here, "new")["spec"]["lookupPolicy"] == {"local": True}


def test_apply_on_the_server_finds_conflicts_and_forces(here: Here) -> None:
    mine = stream("new", lookupPolicy={"local": True})
    here("apply", "--server-side", "-f", "-", stdin=mine)
    theirs = stream("new", lookupPolicy={"local": False})
    with pytest.raises(CommandFailed, match=r"conflict with \"kubectl\".*lookupPolicy.local"):
        here("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=theirs)
    here("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", stdin=theirs)
    managers = {
        entry["manager"]
        for entry in json.loads(here("get", "is", "new", "-o", "json", "--show-managed-fields"))["metadata"][
            "managedFields"
        ]
    }
    assert "other" in managers


def test_diff_shows_what_apply_would_do(here: Here) -> None:
    here("apply", "-f", "-", stdin=stream("new"))
    assert here("diff", "-f", "-", stdin=stream("new")) == ""
    with pytest.raises(CommandFailed):  # there is a difference: status 1
        here("diff", "-f", "-", stdin=stream("new", lookupPolicy={"local": True}))
    assert at(here, "new")["spec"]["lookupPolicy"] == {"local": False}


def test_dry_runs_on_the_server_change_nothing(here: Here) -> None:
    here("create", "--dry-run=server", "-f", "-", stdin=stream("never"))
    here("delete", "is", "alpha", "--dry-run=server")
    assert here("get", "is", "-o", "name").split() == [f"imagestream.image.alauda.io/{name}" for name in NAMES]


def test_edit_with_a_persons_editor(here: Here, kubectl: Kubectl, team: Team) -> None:
    command = [program("kubectl", "run `lab/lab build kube`"), "--kubeconfig", str(kubectl.kubeconfig)]
    command += ["-n", team.namespace, "edit", "is", "alpha"]
    editor = {
        "PATH": os.environ["PATH"],
        "HOME": str(kubectl.kubeconfig.parent),
        "EDITOR": "sed -i s/true/false/",
    }
    done = subprocess.run(command, env=editor, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert at(here, "alpha")["spec"]["lookupPolicy"] == {"local": False}


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("json", '[{"op": "replace", "path": "/spec/lookupPolicy/local", "value": false}]'),
        ("merge", '{"spec": {"lookupPolicy": {"local": false}}}'),
        ("strategic", '{"spec": {"lookupPolicy": {"local": false}, "tags": [{"name": "v1"}]}}'),
    ],
)
def test_patch_in_three_ways(here: Here, kind: str, patch: str) -> None:
    here("patch", "is", "beta", "--type", kind, "-p", patch)
    assert at(here, "beta")["spec"]["lookupPolicy"] == {"local": False}


def test_label_annotate_and_wait(here: Here) -> None:
    here("label", "is", "alpha", "beta", "tier=web")
    here("annotate", "is", "--all", "note=seen")
    assert all(at(here, name)["metadata"]["annotations"] == {"note": "seen"} for name in NAMES)
    here("label", "is", "alpha", "tier-")
    assert "labels" not in at(here, "alpha")["metadata"]
    here("wait", "is/alpha", "--for=jsonpath={.metadata.annotations.note}=seen", "--timeout=10s")


def test_replace_and_what_it_refuses(here: Here) -> None:
    old = at(here, "alpha")
    here("label", "is", "alpha", "a=b")
    with pytest.raises(CommandFailed, match="the object has been modified"):
        here("replace", "-f", "-", stdin=json.dumps(old))
    new = at(here, "alpha")
    new["metadata"]["labels"] = {"a": "c"}
    here("replace", "-f", "-", stdin=json.dumps(new))
    assert at(here, "alpha")["metadata"]["labels"] == {"a": "c"}


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_delete_waits_until_it_is_gone(here: Here, cascade: str) -> None:
    here("delete", "is", "alpha", "--wait", f"--cascade={cascade}", "--timeout=20s")
    assert "alpha" not in here("get", "is", "-o", "name")


def test_delete_by_a_selector_and_all(here: Here) -> None:
    here("label", "is", "alpha", "old=yes")
    here("delete", "is", "-l", "old=yes")
    assert here("get", "is", "-o", "name").count("\n") == 2
    here("delete", "is", "--all")
    assert here("get", "is", "-o", "name") == ""


def test_everything_that_is_wrong_is_told_with_its_path(here: Here) -> None:
    wrong = stream("wrong", tags=[{"name": "bad tag!"}, {"name": "v1", "from": {"kind": "Nothing", "name": "x"}}])
    with pytest.raises(CommandFailed) as refusal:
        here("create", "-f", "-", stdin=wrong)
    assert "spec.tags[bad tag!].name" in str(refusal.value)
    assert "spec.tags[v1].from.kind" in str(refusal.value)
    with pytest.raises(CommandFailed, match="unknown field"):
        here("create", "-f", "-", stdin=stream("wrong", colour="red"))


def test_auth_can_i_says_what_roles_give(here: Here, kubectl: Kubectl, team: Team) -> None:
    push = ("auth", "can-i", "update", "imagestreams.image.alauda.io", "--subresource=layers")
    builder = f"--as=system:serviceaccount:{team.namespace}:builder"
    assert here(*push, builder) == "yes\n"
    with pytest.raises(CommandFailed):
        kubectl(
            "-n", "default", "auth", "can-i", "update", "imagestreams.image.alauda.io", "--subresource=layers", builder
        )
