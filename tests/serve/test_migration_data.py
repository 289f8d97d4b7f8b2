"""Images of Debian's docker-registry moved into ours: both passes, faults per image, gates over the whole list."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
import urllib3

from image_registry.migration.actions import Context, RegistryDoor, StepFailed
from image_registry.migration.content import ContentFile, ContentWriter
from image_registry.migration.copying import CopyImages
from image_registry.migration.findings import blocking
from image_registry.migration.frozen_content import NAME
from image_registry.migration.gating import Gate
from image_registry.migration.item_results import read_results, results_path
from image_registry.migration.names import rename_plan
from image_registry.migration.phases import Action, Phase
from image_registry.migration.plan import Plan, Step, sealed
from image_registry.migration.survey_registry import LegacyRegistry, survey_registry
from image_registry.oci.digest import Digest
from image_registry.remote.asking import Access
from image_registry.remote.credentials import Login
from image_registry.storage.layout import blob_data
from tests.app.remote.conftest import Content, Remote, distribution, fill
from tests.app.remote.faulting_proxy import Fault, FaultingProxy
from tests.serve.conftest import Served, serve

pytestmark = pytest.mark.slow
NESTED, NEW = "team/tools/report", "team/tools-report"
ALL = Step("copy/all", Phase.PREPARE, Action.COPY_IMAGES, "Copy", parameters={})
REST = Step("copy/rest", Phase.COPY, Action.COPY_IMAGES, "Copy the rest", parameters={"since": "copy/all"})


def gate(name: str) -> Step:
    return Step(f"gate/{name}", Phase.GATES, Action.GATE, name, parameters={"gate": name})


@dataclass
class Move:
    """A registry before, filled, ours beside it, and a plan that was made of a survey."""

    legacy: Remote
    root: Path
    ours: Served
    folder: Path
    nested: Content
    lines: list[str] = field(default_factory=list)

    def context(self, *accepted: str, **more: Any) -> Context:
        content = self.folder / "content"
        if not content.exists():
            with ContentWriter(content, "registry", "legacy") as writer:
                survey_registry(LegacyRegistry(f"http://{self.legacy.host}", Access(insecure=True)), writer)
        names = [repository.name for repository in ContentFile(content).repositories()]
        plan = Plan(
            1, "", "image-registry", "cpaas-system", "ours", "https://here", "copy", "", "host", "",
            renames=rename_plan(names, {}), findings=more.pop("findings", ()),
        )  # fmt: skip
        doors = {
            "source": RegistryDoor(f"http://{self.legacy.host}", Access(insecure=True, patience=2)),
            "target": RegistryDoor(f"http://{self.ours.host}", Access(insecure=True, patience=2)),
        }
        return Context(
            plan=sealed(plan),
            client=cast("Any", None),
            folder=self.folder,
            settings=cast("Any", None),
            content=ContentFile(content),
            accepted=accepted,
            tell=self.lines.append,
            **(doors | more),
        )

    def results(self, step: Step) -> dict[str, Any]:
        return {str(line["image"]): line for line in read_results(results_path(self.folder, step)).values()}

    def blob(self, digest: Digest) -> Path:
        return self.root / f"docker/registry/v2/blobs/sha256/{digest.hex[:2]}/{digest.hex}"

    def link(self, repository: str, tag: str) -> Path:
        return self.root / f"docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link"

    def meant(self, repository: str, tag: str) -> str:
        types = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
        url = f"http://{self.ours.host}/v2/{repository}/manifests/{tag}"
        return urllib3.request("HEAD", url, headers={"Accept": types}).headers.get("docker-content-digest", "")


@pytest.fixture
def move(tmp_path: Path) -> Iterator[Move]:
    with distribution(tmp_path / "legacy") as legacy:
        nested = fill(tmp_path / "legacy/data", NESTED)
        fill(tmp_path / "legacy/data", "team/other")
        (tmp_path / "ours").mkdir()
        for served in serve(tmp_path / "ours", "--auth", "none"):
            yield Move(legacy, tmp_path / "legacy/data", served, tmp_path / "journal", nested)


@pytest.fixture(autouse=True)
def journal(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()


def test_everything_comes_over_then_what_changed_since_and_the_gates_are_green(move: Move) -> None:
    context = move.context()
    outcome = CopyImages().do(ALL, {}, context)
    assert outcome.open == ()
    results = move.results(ALL)
    assert {line["outcome"] for line in results.values()} == {"copied"}
    assert results[f"{NESTED}:v1"]["target"] == f"{NEW}:v1"
    assert sum(line["bytes"] for line in results.values()) > 2 * 700_000
    assert set(results[f"{NESTED}:v1"]) >= {"image", "outcome", "cause", "bytes", "seconds"}
    assert move.meant(NEW, "multi") == str(move.nested.index)

    move.link("team/app", "v1").write_text(str(move.legacy.content.arm))  # pushed before the freeze
    shutil.rmtree(move.link("team/app", "1.0.0").parents[1])
    outcome = CopyImages().do(REST, {}, context)
    assert outcome.open == ()
    changed = move.results(REST)
    assert {name: line["outcome"] for name, line in changed.items()} == {
        "team/app:v1": "copied",
        "team/app:1.0.0": "removed",
    }
    assert move.meant("team/app", "v1") == str(move.legacy.content.arm)
    assert move.meant("team/app", "1.0.0") == ""
    for name in ("tags", "manifests", "blobs"):
        outcome = Gate().do(gate(name), {}, context)
        assert outcome.open == (), outcome
        assert {line["outcome"] for line in move.results(gate(name)).values()} == {"good"}
    again = CopyImages().do(REST, {}, context)
    assert again.detail.startswith("0 images copied, 14 were there")


def test_a_tag_that_the_list_lacks_and_the_registry_before_has_is_kept(move: Move) -> None:
    context = move.context()
    CopyImages().do(ALL, {}, context)
    assert context.content is not None
    with ContentWriter(move.folder / NAME, "registry", "legacy") as writer:
        for repository in context.content.repositories():
            if repository.name != "team/app":
                writer.add(repository)
        writer.finish(0)
    CopyImages().do(REST, {}, context)
    assert move.results(REST) == {}
    assert move.meant("team/app", "1.0.0")


def test_what_is_broken_is_told_per_image_and_accepted_by_name(move: Move) -> None:
    shutil.rmtree(move.blob(move.nested.blob))  # of all images of one repository
    shutil.rmtree(move.blob(move.legacy.content.arm))  # the manifest of one tag, and of one platform
    outcome = CopyImages().do(REST, {}, move.context())
    results = move.results(REST)
    good = {name for name, line in results.items() if line["outcome"] == "copied"}
    assert good == {f"team/other:{tag}" for tag in ("v1", "latest", "1.0.0", "1.1.0", "multi")} | {
        f"team/app:{tag}" for tag in ("v1", "latest", "1.0.0")
    }
    assert "404" in results[f"{NESTED}:v1"]["cause"]
    assert f"tag:{NESTED}:v1" in outcome.open
    tags = Gate().do(gate("tags"), {}, move.context())
    assert {f"tag:{NESTED}:v1", "tag:team/app:1.1.0"} <= set(tags.open)
    assert not any("team/other" in name for name in tags.open)
    finding = replace(blocking("missing-blob", f"{NESTED}/v1", "", ""), accepted=True)
    context = move.context(f"tag:{NESTED}:latest", "tag:team/app:*", findings=(finding,))
    left = context.not_accepted(Gate().do(gate("tags"), {}, context).open)
    assert set(left) == {f"tag:{NESTED}:{tag}" for tag in ("1.0.0", "1.1.0", "multi")}
    assert move.results(gate("tags"))[f"{NESTED}:v1"]["accepted"] == finding.id


def test_broken_images_stop_the_first_pass_before_anybody_may_not_push(move: Move) -> None:
    context = move.context()  # the survey knows nothing of what happens now
    shutil.rmtree(move.blob(move.nested.blob))
    shutil.rmtree(move.link("team/app", "1.0.0").parents[1])
    outcome = CopyImages().do(ALL, {}, context)
    assert set(outcome.open) >= {f"tag:{NESTED}:{tag}" for tag in ("v1", "latest", "multi")}
    assert not any("team/app" in name for name in outcome.open), "what was deleted meanwhile did not fail"
    assert move.results(ALL)["team/app:1.0.0"]["outcome"] == "removed"
    finding = replace(blocking("missing-blob", f"{NESTED}/v1", "", ""), accepted=True)
    assert f"tag:{NESTED}:v1" not in CopyImages().do(ALL, {}, move.context(findings=(finding,))).open


def test_expired_credentials_end_the_step_and_a_new_login_goes_on(move: Move, tmp_path: Path) -> None:
    context = move.context()
    with distribution(tmp_path / "closed", user="ann", password="generated") as closed:
        shutil.rmtree(tmp_path / "closed/data")
        shutil.copytree(move.root, tmp_path / "closed/data")
        door = RegistryDoor(f"http://{closed.host}", Access(closed.keyring(password="old"), insecure=True, patience=2))
        with pytest.raises(StepFailed, match="does not accept the credentials"):
            CopyImages().do(ALL, {}, replace(context, source=door))
        assert "401" in move.results(ALL)["team/app:v1"]["cause"]
        door = replace(door, access=Access(closed.keyring(), insecure=True))
        CopyImages().do(ALL, {}, replace(context, source=door))
    assert {line["outcome"] for line in move.results(ALL).values()} == {"copied"}


def test_a_gate_sees_bytes_that_went_and_tags_that_moved_here(move: Move) -> None:
    context = move.context()
    CopyImages().do(REST, {}, context)
    url = f"http://{move.ours.host}/v2/team/other/manifests/v1"
    assert urllib3.request("DELETE", url).status == 202
    (move.ours.root / blob_data(move.nested.blob)).unlink()
    assert Gate().do(gate("tags"), {}, context).open == ("tag:team/other:v1",)
    assert Gate().do(gate("blobs"), {}, context).open == (f"blob:{NESTED}@{move.nested.blob}",)
    [line] = [line for line in move.results(gate("blobs")).values() if line["outcome"] == "open"]
    assert line["cause"] == "its bytes are not here"
    document = json.loads((results_path(move.folder, gate("tags"))).read_text().splitlines()[0])
    assert {"image", "outcome", "cause", "bytes", "seconds"} <= set(document)


@pytest.mark.parametrize("most", [1, 3])
def test_neither_registry_has_more_requests_of_a_copy_at_once_than_an_administrator_allows(
    move: Move, most: int
) -> None:
    with FaultingProxy(move.legacy.host).running() as before, FaultingProxy(move.ours.host).running() as here:
        doors = {
            which: RegistryDoor(f"http://{proxy.host}", Access(insecure=True, patience=2))
            for which, proxy in (("source", before), ("target", here))
        }
        context = move.context(max_per_registry=most, **doors)
        assert CopyImages().do(ALL, {}, context).open == ()
    assert {line["outcome"] for line in move.results(ALL).values()} == {"copied"}
    assert max(before.most_waiting, here.most_waiting) <= most
    assert min(before.most_waiting, here.most_waiting) >= 1


def test_a_login_as_somebody_is_what_a_plain_token_is(move: Move) -> None:
    door = RegistryDoor(f"http://{move.ours.host}", Access(login=Login(registry_token="anything"), insecure=True))
    CopyImages().do(ALL, {}, move.context(target=door))
    assert move.meant("team/app", "v1") == str(move.legacy.content.image)


def test_a_full_target_ends_the_step_with_its_cause_and_is_gone_on_with_when_there_is_room(move: Move) -> None:
    full = json.dumps({"errors": [{"code": "UNAVAILABLE", "message": "no space left on the storage"}]}).encode()
    with FaultingProxy(move.ours.host).running() as proxy:
        proxy.faults.append(Fault("/team/other/blobs/uploads/", status=507, body=full, always=True))
        door = RegistryDoor(f"http://{proxy.host}", Access(insecure=True, patience=2))
        with pytest.raises(StepFailed, match="it is full; make room there"):
            CopyImages().do(ALL, {}, move.context(target=door))
        broken = {name: line for name, line in move.results(ALL).items() if line["outcome"] != "copied"}
        assert {line["outcome"] for line in broken.values()} <= {"failed", "not tried"}
        assert any("507" in line["cause"] for line in broken.values())
        proxy.faults.clear()
        assert CopyImages().do(ALL, {}, move.context(target=door)).open == ()
    assert {line["outcome"] for line in move.results(ALL).values()} == {"copied"}


def test_wrong_bytes_of_one_image_are_told_and_never_arrive(move: Move) -> None:
    layer = move.blob(move.nested.blob) / "data"
    data = bytearray(layer.read_bytes())
    data[1000] ^= 1
    layer.write_bytes(data)
    outcome = CopyImages().do(REST, {}, move.context())
    assert set(outcome.open) >= {f"tag:{NESTED}:{tag}" for tag in ("v1", "latest", "1.0.0", "1.1.0", "multi")}
    assert not any("team/app" in name or "team/other" in name for name in outcome.open)
    assert "another digest" in move.results(REST)[f"{NESTED}:v1"]["cause"]
    assert not (move.ours.root / blob_data(move.nested.blob)).exists()
