"""What is damaged is named image by image, and nothing is cut over unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from image_registry_lab.legacy.variants import NAMESPACE
from tests.migration.moving import Moving, moving

pytestmark = pytest.mark.long
ACCEPTED = "registry_migrate_accept"
REPOSITORIES = "docker/registry/v2/repositories"


def blob(site: Moving, digest: str) -> Path:
    """Its bytes, in the volume of the legacy registry."""
    value = digest.removeprefix("sha256:")
    return site.whole.nodes.data / f"docker/registry/v2/blobs/sha256/{value[:2]}/{value}/data"


def layer(site: Moving, name: str) -> str:
    """A layer of the first image of an index."""
    first = json.loads(blob(site, site.whole.digests[name]).read_bytes())["manifests"][0]["digest"]
    return str(json.loads(blob(site, first).read_bytes())["layers"][0]["digest"])


def more(site: Moving, variable: str, *names: str) -> dict[str, Any]:
    """What is accepted by name, besides what the harness has accepted already."""
    return {variable: [*site.controller.variables[variable], *names]}


def blamed(site: Moving) -> dict[str, str]:
    """What stands in the way of the plan: causes by the names by which they are accepted."""
    findings = [entry for entry in site.history.plan()["findings"] if entry["severity"] == "blocking"]
    return {f"{entry['rule']}:{entry['object']}": entry["cause"] for entry in findings if not entry.get("accepted")}


def page(site: Moving) -> str:
    """The report for people, as the last run left it."""
    return (site.history.folder / "progress.html").read_text(encoding="utf-8")


def test_damage_is_named_by_the_plan_and_what_is_lost_later_stops_before_the_cutover(tmp_path: Path) -> None:
    with moving(tmp_path) as site:
        lost, later = layer(site, "team-a/app:v2"), layer(site, "team-b/app:v1")
        blob(site, lost).unlink()
        tags = site.whole.nodes.data / REPOSITORIES / "team-a/app/_manifests/tags"
        (tags / "built/current/link").write_text("nonsense")
        said = site.refused("plan")
        found = blamed(site)
        assert set(found) == {"missing-blob:team-a/app/v2", "unreadable:team-a/app/built"}, "and nobody else"
        assert lost in found["missing-blob:team-a/app/v2"]
        assert all(name in said for name in found)
        assert f"{lost} is needed by" in said, "with the cause"
        assert not site.history.journal.exists(), "nothing was begun"

        site.move("plan", **more(site, ACCEPTED, "missing-blob:team-a/app/v2", "*:team-a/app/built"))
        site.move("prepare", "freeze", "attach", "backfill")
        blob(site, later).unlink()  # after the plan, so nobody has accepted it
        said = site.refused()
        assert f"blob:team-b/app@{later}: its bytes are not here" in said, "named with its cause"
        assert lost not in said, "what the plan accepts is not open"
        assert site.front.leads_to == NAMESPACE, "nothing was cut over"
        results = site.history.results("gate-blobs")
        assert results[f"team-b/app@{later}"]["outcome"] == "open"
        assert results[f"team-b/app@{later}"]["cause"]
        assert results[f"team-a/app@{lost}"]["outcome"] == "accepted"
        others = [entry for name, entry in results.items() if lost not in name and later not in name]
        assert {entry["outcome"] for entry in others} == {"good"}
        assert f"blob:team-b/app@{later}" in page(site)
        assert "its bytes are not here" in page(site)
