"""The page for people, and the commands that make it."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from image_registry.cli import ac, migrate
from image_registry.cli.migrate_reports import inventory_files, plan_files, write
from image_registry.migration.case import make_case
from image_registry.migration.choices import Choices
from image_registry.migration.documents import to_document
from image_registry.migration.facts import Inventory, ObjectName
from image_registry.migration.inventory_tables import surroundings
from image_registry.migration.journal import Journal, State
from image_registry.migration.object_tables import (
    MOST_WORKLOADS,
    Row,
    StepMark,
    Steps,
    by_namespace,
    rewrites_one,
    rewritten,
)
from image_registry.migration.plan import read_plan
from image_registry.migration.planning import plan
from image_registry.migration.progress import progress
from image_registry.migration.progress_page import page
from image_registry.migration.report import html
from image_registry.migration.reports import Reports
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
        self.anchors: set[str] = set()
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.leads += [value for name, value in attrs if name in ("src", "href", "action")]
        self.anchors |= {f"#{value}" for name, value in attrs if name == "id"}
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
    shown = Page(html(inventory, made.findings, made))
    assert shown.open == []
    assert set(shown.leads) <= shown.anchors, "it leads to itself alone"
    assert not shown.tags & {"script", "link", "img", "iframe", "form"}
    for finding in made.findings:
        assert finding.id in shown.words
    for step in made.steps:
        assert step.id in shown.words
    assert "cannot be executed yet" in shown.words
    assert "700.0 MiB" in shown.words


def test_what_people_write_into_a_cluster_is_text_on_the_page(tmp_path: Path) -> None:
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    spec = {
        "containers": [{"name": "<b>x", "image": "image-registry.cpaas-system.svc/team-a/<script>alert(1)</script>"}]
    }
    cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "evil", "namespace": "team-a"}, "spec": spec})
    inventory = inventory_of(cluster)
    made = plan(make_case(inventory, surveyed(tmp_path, APP), Choices()))
    assert "script" not in Page(html(inventory, made.findings, made)).tags


def hanging(inventory: Inventory) -> list[ObjectName]:
    """Each object that a page has to name, pull Secrets that come and go apart."""
    found = [secret.object for secret in inventory.pull_secrets if not secret.managed]
    found += [fact.object for fact in inventory.roles] + [fact.object for fact in inventory.bindings]
    found += [fact.object for fact in inventory.consumers] + [fact.object for fact in inventory.limits]
    found += [fact.object for fact in inventory.cleanups]
    for installation in inventory.installations:
        found += [fact.object for fact in installation.exposures] + [fact.object for fact in installation.records]
    found += [inventory.controller.object] if inventory.controller else []
    found += [inventory.velero.object] if inventory.velero else []
    found += [release.object for release in inventory.releases]
    return [*found, *inventory.patches, *([inventory.gateway] if inventory.gateway else [])]


def test_every_object_that_hangs_on_the_registry_is_named_with_the_steps_about_it(
    variant: Variant, tmp_path: Path
) -> None:
    inventory = inventory_of(cluster_of(variant))
    made = plan(make_case(inventory, surveyed(tmp_path, APP), Choices()))
    found, planned = Page(html(inventory, ())).words, Page(html(inventory, made.findings, made)).words
    journal = Journal(tmp_path / "journal.jsonl", made)
    journal.write(made.steps[0], State.DONE)
    under_way = Page(page(made, progress(made, journal))).words
    for name in hanging(inventory):
        shown = f"{name.kind} {name.name}" if name in {each.object for each in inventory.consumers} else str(name)
        assert shown in found, name
        assert shown in planned, name
    for step in made.steps:
        if step.object is not None:
            shown = f"{step.object.kind} {step.object.name}" if rewrites_one(step) else str(step.object)
            assert shown in under_way, step.id
            assert step.id in under_way


def test_an_object_says_how_far_its_steps_are_and_what_has_failed(tmp_path: Path) -> None:
    made = plan(make_case(inventory_of(cluster_of(VARIANTS["4.2-pvc"])), surveyed(tmp_path, APP), Choices()))
    journal = Journal(tmp_path / "journal.jsonl", made)
    web = next(step for step in made.steps if step.id == "cutover/Deployment team-a/web")
    role = next(step for step in made.steps if step.id == "role/Role team-a/image-cleaner")
    journal.write(role, State.DONE)
    journal.write(web, State.FAILED, detail="it was changed since the plan")
    found = progress(made, journal)
    steps = Steps(made, found)
    (team,) = rewritten(made, steps)
    assert (team.title, team.failed, team.done) == ("team-a", 1, 0)
    row = next(row for row in team.rows if row.object.name == "web")
    assert [(mark.state, mark.detail) for mark in row.steps] == [("failed", "it was changed since the plan")]
    assert row.changes[0].after.endswith(":5000/team-a/app:v1")
    marks = {mark.id: mark.state for mark in steps.of(role.object or ObjectName("", ""))}
    assert marks == {"role/Role team-a/image-cleaner": "done", "freeze/Role team-a/image-cleaner": "waiting"}
    assert "cutover/Deployment team-a/web failed: it was changed since the plan" in " ".join(
        Page(page(made, found)).words.split()
    )
    of_step = {step.id: step.object for phase in found.phases for step in phase.steps}
    assert to_document(found)["phases"]
    assert of_step[web.id] == web.object


HIDDEN = "hidden-hidden-hidden-"
CODED = base64.b64encode(HIDDEN.encode()).decode()


def hide(data: dict[str, str]) -> None:
    """Let the values be what is found again, whatever is read of them."""
    for key, coded in data.items():
        value = HIDDEN
        if key == ".dockerconfigjson":
            logins = json.loads(base64.b64decode(coded))
            logins["auths"] = {host: {"password": HIDDEN, "auth": CODED} for host in logins["auths"]}
            value = json.dumps(logins)
        data[key] = base64.b64encode(value.encode()).decode()


def test_no_value_of_a_secret_is_in_a_report(variant: Variant, tmp_path: Path) -> None:
    cluster = cluster_of(variant)
    for document in cluster.documents.values():
        if document["kind"] == "Secret":
            hide(document["data"])
    target, content = tmp_path / "reports", surveyed(tmp_path, APP)
    inventory = inventory_of(cluster)
    made = plan(make_case(inventory, content, Choices()))
    write(target, {**inventory_files(inventory), **plan_files(inventory, made)})
    journal = Journal(tmp_path / "journal.jsonl", made)
    Reports(made, journal, tmp_path, html=target / "progress.html", document=target / "progress.json").write()
    for path in target.iterdir():
        text = path.read_text(encoding="utf-8")
        assert HIDDEN not in text, path.name
        assert CODED not in text, path.name


def test_thousands_of_workloads_stand_once_on_a_page_and_folded_up(tmp_path: Path) -> None:
    cluster = cluster_of(VARIANTS["4.2-pvc"])
    for number in range(1500):
        spec = {"containers": [{"name": "web", "image": f"image-registry.cpaas-system.svc/team-a/app:{number}"}]}
        place = {"name": f"web-{number}", "namespace": f"many-{number // 10:03}"}
        kind = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": place}
        cluster.put({**kind, "spec": {"template": {"spec": spec}}})
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "controller": True}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**place, "ownerReferences": [owner]}}
        cluster.put({**pod, "spec": spec})
    inventory = inventory_of(cluster)
    made = plan(make_case(inventory, surveyed(tmp_path, APP), Choices()))
    assert len(made.rewrites) > 1500
    text = html(inventory, made.findings, made)
    assert len(text) < 1_500_000
    assert text.count("image-registry.cpaas-system.svc/team-a/app:1499<") == 1
    assert "<details >\n<summary><h3>many-149 (10)</h3></summary>" in text
    assert "and 10 that one of them has made, and makes anew" in text
    shown = page(made, progress(made, Journal(tmp_path / "journal.jsonl", made)))
    assert len(shown) < 1_500_000
    assert shown.count("image-registry.cpaas-system.svc/team-a/app:1499<") == 1


def test_what_is_not_shown_is_counted_and_what_has_failed_is_shown() -> None:
    def row(number: int, state: State) -> Row:
        name = ObjectName("Deployment", f"web-{number}", f"many-{number // 2000}")
        return Row(name, steps=(StepMark(f"cutover/{name}", "", state),))

    failed = row(2 * 2000 + 1999, State.FAILED)
    tables = by_namespace([*(row(number, State.DONE) for number in range(MOST_WORKLOADS + 999)), failed])
    assert [(table.count, table.done, table.failed) for table in tables] == [
        (2000, 2000, 0),
        (2000, 2000, 0),
        (2000, 1999, 1),
    ]
    assert tables[-1].rows[0] == failed
    assert sum(len(table.rows) for table in tables) == MOST_WORKLOADS
    full = by_namespace([*(row(number, State.DONE) for number in range(3 * 2000)), row(6000, State.FAILED)])
    assert [(len(table.rows), table.failed) for table in full[-2:]] == [(1000, 0), (1, 1)]


def test_a_release_is_one_object_of_the_platform(variant: Variant, tmp_path: Path) -> None:
    inventory = inventory_of(cluster_of(variant))
    made = plan(make_case(inventory, surveyed(tmp_path, APP), Choices()))
    (platform,) = (table for table in surroundings(inventory, made, Steps(made)) if "platform" in table.title)
    names = [row.object for row in platform.rows]
    assert len(names) == len(set(names))
    assert {release.object for release in inventory.releases} <= set(names)


def test_a_page_without_a_plan_has_the_inventory(variant: Variant) -> None:
    inventory = inventory_of(cluster_of(variant))
    shown = Page(html(inventory, ()))
    assert variant.name in shown.words
    assert shown.open == []


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


@pytest.mark.usefixtures("cluster")
def test_reports_are_left_in_a_folder_by_the_names_that_the_role_gives_them(tmp_path: Path) -> None:
    def left(name: str) -> set[str]:
        return {path.name for path in (tmp_path / name).iterdir()}

    fields = ("--image-field", "builds.example.com/v1/builds=spec.output.image")
    content = ("--content", str(surveyed(tmp_path, APP).path), "--accept", "*")
    assert run("discover", *fields, "--reports", str(tmp_path / "found")).exit_code == 0
    assert left("found") == {"inventory.json", "inventory.html"}
    given = ("--inventory", str(tmp_path / "found/inventory.json"), *content)
    assert run("assess", *given, "--reports", str(tmp_path / "judged")).exit_code == 0
    assert left("judged") == {"findings.json", "findings.html"}
    assert run("plan", *content, *fields, "--reports", str(tmp_path / "planned")).exit_code == 0
    assert left("planned") == {"inventory.json", "inventory.html", "findings.json", "plan.json", "plan.html"}
    made = json.loads((tmp_path / "planned/plan.json").read_text())
    assert json.loads((tmp_path / "planned/findings.json").read_text())["plan"] == made["digest"]
    files = ("--plan", str(tmp_path / "planned/plan.json"), "--journal", str(tmp_path / "journal.jsonl"))
    Journal(tmp_path / "journal.jsonl", read_plan(made)).write(read_plan(made).steps[0], State.DONE)
    done = run("status", *files, "--reports", str(tmp_path / "way"))
    assert done.exit_code == 0, done.output
    assert left("way") == {"progress.json", "progress.html"}
    (tmp_path / "file").write_text("")
    refused = run("discover", "--reports", str(tmp_path / "file/folder"))
    assert (refused.exit_code, "--reports" in refused.output) == (2, True)


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
