"""The page for people, and the commands that make it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from image_registry.cli import ac, migrate
from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices
from image_registry.migration.documents import to_document
from image_registry.migration.plan import read_plan
from image_registry.migration.planning import plan
from image_registry.migration.report import html
from image_registry_lab.legacy.variants import VARIANTS, Variant
from tests.app.migration.conftest import LegacyCluster, cluster_of, inventory_of
from tests.app.migration.test_plans import APP, NESTED, surveyed


class Page(HTMLParser):
    """What a page holds and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.leads: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.leads += [value for name, value in attrs if name in ("src", "href", "action")]
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_page_needs_nothing_else_and_says_everything(variant: Variant, tmp_path: Path) -> None:
    inventory = inventory_of(cluster_of(variant))
    made = plan(make_case(inventory, surveyed(tmp_path, APP, NESTED), Choices()))
    page = Page(html(inventory, made.findings, made))
    assert page.open == []
    assert page.leads == []
    assert not page.tags & {"script", "link", "img", "iframe", "form"}
    for finding in made.findings:
        assert finding.id in page.words
    for step in made.steps:
        assert step.id in page.words
    assert "cannot be executed yet" in page.words
    assert "700.0 MiB" in page.words


def test_what_people_write_into_a_cluster_is_text_on_the_page(tmp_path: Path) -> None:
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    spec = {
        "containers": [{"name": "<b>x", "image": "image-registry.cpaas-system.svc/team-a/<script>alert(1)</script>"}]
    }
    cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "evil", "namespace": "team-a"}, "spec": spec})
    inventory = inventory_of(cluster)
    made = plan(make_case(inventory, surveyed(tmp_path, APP), Choices()))
    assert "script" not in Page(html(inventory, made.findings, made)).tags


def test_a_page_without_a_plan_has_the_inventory(variant: Variant) -> None:
    inventory = inventory_of(cluster_of(variant))
    page = Page(html(inventory, ()))
    assert variant.name in page.words
    assert page.open == []


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> LegacyCluster:
    found = cluster_of(VARIANTS["4.2-pvc"])
    monkeypatch.setattr(migrate, "connect", lambda _kubeconfig, _context: found)
    return found


def run(*arguments: str) -> Any:
    return CliRunner().invoke(ac.cli, ["adm", "migrate", *arguments])


def test_discover_prints_what_there_is_in_every_form(cluster: LegacyCluster, tmp_path: Path) -> None:
    shown = run("discover", "--html", str(tmp_path / "page.html"))
    assert shown.exit_code == 0, shown.output
    assert "image-registry (4.2 and 4.3) in cpaas-system, runs" in shown.output
    assert "storage" in shown.output
    assert Page((tmp_path / "page.html").read_text()).open == []
    document = json.loads(run("discover", "-o", "json").stdout)
    assert document["namespace"] == "cpaas-system"
    assert "kind" not in run("discover", "-o", "yaml").stdout.splitlines()[0]
    assert cluster.written == []


def test_a_missing_right_is_a_warning_and_no_failure(cluster: LegacyCluster) -> None:
    cluster.denied.add("list secrets")
    shown = run("discover")
    assert shown.exit_code == 0
    assert "(missing right: list secrets)" in shown.stderr


@pytest.mark.usefixtures("cluster")
def test_assess_and_plan_end_as_they_found_it(tmp_path: Path) -> None:
    content = str(surveyed(tmp_path, APP, NESTED).path)
    blocked = run("assess", "--content", content)
    assert blocked.exit_code == 1
    assert "nested-path:team-a/tools/report" in blocked.stdout
    target = tmp_path / "plan.json"
    accepted = (
        "--content",
        content,
        "--accept",
        "nested-path:*",
        "--image-field",
        "builds.example.com/v1/builds=spec.output.image",
    )
    made = run("plan", *accepted, "--out", str(target), "--html", str(tmp_path / "plan.html"))
    assert made.exit_code == 0, made.output
    assert "can be executed" in made.stdout
    assert "+ image-registry.image-registry-system.svc:5000/team-a/app:v1" in made.stdout
    assert read_plan(json.loads(target.read_text())).ready
    document = json.loads(run("plan", *accepted, "-o", "json").stdout)
    assert document["digest"] == read_plan(json.loads(target.read_text())).digest


def test_an_inventory_from_a_file_needs_no_cluster(tmp_path: Path) -> None:
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps(to_document(inventory_of(cluster_of(VARIANTS["4.2-s3"])))))
    content = str(surveyed(tmp_path, APP, NESTED).path)
    accepted = ("--accept", "nested-path:*")
    done = run("assess", "--inventory", str(path), "--content", content, *accepted, "-o", "json")
    assert done.exit_code == 0, done.output
    assert {found["id"] for found in json.loads(done.stdout)["findings"]} >= {"skip-verify:images"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("discover", "-n", "kube-system"), "is not migrated"),
        (("discover", "--image-field", "x"), "--image-field"),
        (("discover", "--content", "x"), "exactly one of"),
        (("discover", "--content", "x", "--registry-url", "registry.test"), "no address of a registry"),
        (("discover", "--global-kubeconfig", "x"), "needs --cluster"),
        (("plan", "--rename", "a/b/c"), "OLD=NEW"),
        (("plan", "--claim-size", "much"), "--claim-size"),
        (("plan", "--content", "/nowhere/content"), "make it with a survey"),
        (("assess", "--inventory", "/nowhere/inventory"), "cannot read"),
    ],
)
@pytest.mark.usefixtures("cluster")
def test_what_cannot_be_meant_is_said_in_one_sentence(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert said in done.output
