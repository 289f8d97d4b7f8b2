"""What is damaged, refused, or full is named image by image; the rest goes on, and nothing is cut over unasked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from image_registry.kube.client import object_path
from image_registry_lab.legacy import proxy
from image_registry_lab.legacy.variants import NAMESPACE, VARIANTS
from tests.migration.moving import MIGRATE, Moving, moving
from tests.operator.conftest import free_port
from tests.operator.storages import TARGET
from tests.operator.test_legacy_registry import token_of
from tests.operator.two_registries import Running

pytestmark = pytest.mark.long
ACCEPTED, PASSED = "registry_migrate_accept", "registry_migrate_accept_exceptions"
REPOSITORIES = "docker/registry/v2/repositories"
FIRST_PASS = "copy-all"


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


def nothing_is_given_up(site: Moving) -> None:
    """Who pushes and pulls by the old registry has noticed nothing."""
    states = site.history.states()
    assert not any(states.get(step) for step in site.history.steps("freeze")), "pushes go on"
    assert site.front.leads_to == NAMESPACE


def blamed(site: Moving) -> dict[str, str]:
    """What stands in the way of the plan: causes by the names by which they are accepted."""
    findings = [entry for entry in site.history.plan()["findings"] if entry["severity"] == "blocking"]
    return {f"{entry['rule']}:{entry['object']}": entry["cause"] for entry in findings if not entry.get("accepted")}


def page(site: Moving) -> str:
    """The report for people, as the last run left it."""
    return (site.history.folder / "progress.html").read_text(encoding="utf-8")


def kept(site: Moving) -> str:
    """Everything that a migration leaves behind on this machine."""
    files = (path for path in site.history.folder.rglob("*") if path.is_file())
    return "".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


def expired(site: Moving, name: str) -> str:
    """A token that was good, of an account that is gone."""
    account = object_path("v1", "serviceaccounts", name, namespace=NAMESPACE)
    site.whole.client.create(account.rpartition("/")[0], {"metadata": {"name": name}})
    token = token_of(site.whole.server, name, NAMESPACE)
    site.whole.client.delete(account)
    return token


@contextmanager
def guarded(site: Moving) -> Iterator[str]:
    """This registry behind somebody who asks the cluster about tokens, which the harness serves without; its address.

    A named fake of our own sign-in: the lab's proxy, which the real API server answers.
    """
    address, running = f"127.0.0.1:{free_port()}", Running()
    account = site.whole.nodes._account("registry-proxy", NAMESPACE)
    port = site.whole.server.client.server.rpartition(":")[2]
    command = [sys.executable, proxy.__file__, f"--upstream={site.whole.nodes.url}"]
    running.start(
        site.controller.folder / "guard.log",
        address,
        [*command, f"--insecure-listen-address={address}"],
        KUBERNETES_SERVICE_HOST="127.0.0.1",
        KUBERNETES_SERVICE_PORT=port,
        PROXY_ACCOUNT=str(account),
    )
    try:
        yield f"http://{address}"
    finally:
        running.stop()


def test_a_login_that_expires_ends_a_copy_and_what_is_broken_ends_nothing_but_itself(tmp_path: Path) -> None:
    with moving(tmp_path, registry_migrate_way="copy") as site:
        lost, wrong = blob(site, layer(site, "team-a/app:v2")), blob(site, layer(site, "team-b/app:v1"))
        lost.unlink()
        site.move("plan", **more(site, ACCEPTED, "missing-blob:team-a/app/v2"))
        right = wrong.read_bytes()
        wrong.write_bytes(bytes([right[0] ^ 1]) + right[1:])  # what no survey sees that does not read every byte

        gone = expired(site, "migrator")
        loud = ("--tags", "prepare", "-vvv")
        said = site.controller.refused(MIGRATE, options=loud, registry_migrate_source_token=gone)
        assert "the registry before does not accept the credentials" in said
        assert gone not in said
        nothing_is_given_up(site)
        with guarded(site) as address:
            said = site.refused("prepare", registry_migrate_target_url=address, registry_migrate_target_token=gone)
        assert "this registry does not accept the credentials" in said
        nothing_is_given_up(site)

        said = site.refused()  # with a login that is good
        assert "tag:team-b/app:v1: " in said
        assert "another digest" in said
        assert "team-a/app:v2" not in said.rpartition("not as they must be")[2], "which the plan accepts"
        nothing_is_given_up(site)
        found = site.history.results(FIRST_PASS)
        outcomes = {name: found[name]["outcome"] for name in site.whole.digests}
        broken = {"team-a/app:v2": "failed", "team-b/app:v1": "failed"}
        assert outcomes == dict.fromkeys(outcomes, "copied") | broken, "one keeps no other from being copied"
        assert found["team-a/app:v2"]["accepted"] == "missing-blob:team-a/app/v2"
        assert "another digest" in found["team-b/app:v1"]["cause"]
        assert "another digest" in page(site)

        wrong.write_bytes(right)  # mended; the same command goes on
        site.move()
        assert site.front.leads_to == TARGET
        assert site.history.results(FIRST_PASS)["team-b/app:v1"]["outcome"] == "copied"
        del site.whole.digests["team-a/app:v2"]
        assert site.whole.here() == site.whole.digests
        site.comes_whole()
        left = kept(site)
        assert gone not in left
        assert site.controller.variables["registry_migrate_survey_token"] not in left


def test_damage_is_named_and_the_rest_moves_when_that_is_accepted(tmp_path: Path) -> None:
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
        content = blob(site, later).read_bytes()
        blob(site, later).unlink()  # after the plan, so nobody has accepted it
        said = site.refused()
        assert f"blob:team-b/app@{later}: its bytes are not here" in said, "named with its cause"
        assert lost not in said, "what the plan accepts is not open"
        assert site.front.leads_to == NAMESPACE, "nothing was cut over"
        found = site.history.results("gate-blobs")
        assert found[f"team-b/app@{later}"]["outcome"] == "open"
        assert found[f"team-b/app@{later}"]["cause"]
        assert found[f"team-a/app@{lost}"]["outcome"] == "accepted"
        others = [entry for name, entry in found.items() if lost not in name and later not in name]
        assert {entry["outcome"] for entry in others} == {"good"}
        assert f"blob:team-b/app@{later}" in page(site)
        assert "its bytes are not here" in page(site)

        site.move(**more(site, PASSED, f"blob:team-b/app@{later}"))
        assert site.front.leads_to == TARGET
        blob(site, later).write_bytes(content)
        for name in ("team-a/app:v1", "team-a/tools/report:1", "team-b/app:v1"):
            here = site.whole.meant(site.whole.nodes.url, name.replace("tools/report", "tools-report"))
            assert here == site.whole.digests[name]


def test_a_target_without_room_stops_a_copy_which_goes_on_when_there_is_some(tmp_path: Path) -> None:
    """The volume is a tmpfs in a namespace of this registry's process, and is made larger while it runs."""
    room = tmp_path / "volume-of-this-registry"
    room.mkdir()
    with moving(tmp_path, registry_migrate_way="copy") as site:
        mount = 'mount -t tmpfs -o size=64k none "$0" && exec "$@"'
        site.whole.nodes.within = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount)
        said = site.refused()
        assert "it is full; make room there" in said
        nothing_is_given_up(site)
        found = site.history.results(FIRST_PASS)
        assert any("507" in entry["cause"] for entry in found.values()), "told of the image that had no room"
        assert "507" in page(site)
        inside = ["nsenter", "--user", "--mount", f"--target={site.whole.nodes.ours}"]
        subprocess.run([*inside, "mount", "-o", "remount,size=64m", str(room)], check=True, timeout=20)
        site.move()
        assert site.front.leads_to == TARGET
        assert site.whole.here() == site.whole.digests
        site.comes_whole()


def test_what_is_left_of_an_installation_is_moved_from_its_volume(tmp_path: Path) -> None:
    """No Deployment, no record: only the claim with its bytes, the Service and the Ingress are left."""
    with moving(tmp_path, VARIANTS["4.2-partial"], registry_migrate_survey_url="") as site:
        objects = site.objects()
        site.controller.variables["registry_migrate_storage_root"] = str(site.whole.nodes.data)
        said = site.refused()
        assert "pushed:not-compared" in said, "nobody can be asked what was pushed, and that is told"
        nothing_is_given_up(site)
        said = site.refused(**more(site, PASSED, "pushed:not-compared"))
        assert "survey:older-than-the-freeze" in said
        assert site.front.leads_to == NAMESPACE, "nothing was cut over"
        site.move(**more(site, PASSED, "pushed:not-compared", "survey:older-than-the-freeze"))
        assert site.front.leads_to == TARGET
        assert site.whole.here() == site.whole.digests
        site.comes_whole()
        site.back()
        assert site.objects() == objects
