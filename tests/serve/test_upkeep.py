"""Collections that are asked for from afar: made by a process of the registry, gone on with when that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import urllib3

from image_registry.oci.digest import Digest
from image_registry.oci.reference import Repository
from image_registry.storage import layout
from image_registry.storage.filesystem import FilesystemStore
from tests.app.distribution_api.conftest import manifest_of
from tests.serve.conftest import Served

PATH = "/extensions/v2/upkeep"
OLD = 3 * 24 * 3600


def fill(served: Served, blobs: int, size: int = 512) -> None:
    """Blobs of long ago that belong to no image."""
    store = FilesystemStore(served.root)
    for number in range(blobs):
        data = b"%d" % number * size
        store.put_blob(Repository("demo", "app"), data, Digest.of(data))
    for path in (served.root / "docker").rglob("*"):
        os.utime(path, (time.time() - OLD,) * 2)


def left(served: Served) -> int:
    return len(blobs(served))


def blobs(served: Served) -> list[Path]:
    walked = os.walk(served.root / "docker/registry/v2/blobs")  # which passes over a folder that goes meanwhile
    return [Path(folder) / name for folder, _, names in walked for name in names if name == "data"]


def ac(served: Served, *arguments: str, token: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("ac")
    where = ["--registry-url", f"http://{served.host}", "--token-file", str(token)]
    command = [str(program), "adm", "registry", *arguments, *where]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def ask(method: str, served: Served, path: str = "", **body: Any) -> Any:
    answer = urllib3.request(method, f"http://{served.host}{PATH}{path}", json=body or None, timeout=10)
    assert answer.status < 300, answer.data
    return json.loads(answer.data) if answer.data else None


def ended(served: Served, run: dict[str, Any]) -> Any:
    """The run, once it has ended."""

    def look() -> Any:
        found = ask("GET", served, f"/{run['id']}")
        return found if found["ended"] else None

    return wait_for(look)


def test_ac_shows_then_collects_and_prints_the_report(served: Served, tmp_path: Path) -> None:
    fill(served, 3)
    token = tmp_path / "token"
    token.write_text("anybody", encoding="ascii")
    shown = ac(served, "gc", token=token)
    assert (shown.returncode, "nothing was changed; --confirm does it" in shown.stdout) == (0, True), shown
    assert left(served) == 3
    done = ac(served, "gc", "--confirm", "--trash", "0s", "-o", "json", token=token)
    assert done.returncode == 0, done
    run = json.loads(done.stdout)
    assert (run["state"], run["report"]["totals"]["removed"]["blobs"]) == ("succeeded", 3)
    assert left(served) == 0
    listed = ac(served, "runs", token=token).stdout.splitlines()
    assert [line.split()[1:4] for line in listed[1:]] == [["gc", "succeeded", "yes"], ["gc", "succeeded", "no"]]

    def published() -> bool:  # the process that collects notes it right after it has told the result
        page = urllib3.request("GET", f"http://{served.host}/metrics").data.decode()
        return "imageregistry_garbage_last_removed_blobs 3.0" in page

    wait_for(published)
    refused = ac(served, "gc", "--grace", "1m", token=token)
    assert (refused.returncode, "less than 7200 s" in refused.stderr) == (2, True), refused


def test_a_collection_whose_process_is_killed_is_gone_on_with_and_ends(served: Served) -> None:
    fill(served, 200)
    options = {"confirm": True, "rate": 150, "trash": "0s", "atMost": 100}
    run = ask("POST", served, kind="gc", options=options)
    victim = wait_for(lambda: at_work(served) if left(served) < 200 else None)
    os.kill(victim, signal.SIGKILL)
    last = ended(served, run)
    assert (last["state"], last["attempts"]) == ("succeeded", 2)
    stays = [path.stat().st_mtime for path in blobs(served)]
    assert len(stays) <= 1  # one may have been made young for the trash and not moved yet: it waits once more
    assert all(time.time() - since < OLD / 2 for since in stays)


def test_a_run_that_is_stopped_ends_soon_and_says_so(served: Served) -> None:
    fill(served, 100)
    run = ask("POST", served, kind="gc", options={"confirm": True, "rate": 5, "atMost": 100})
    wait_for(lambda: left(served) < 100)
    ask("DELETE", served, f"/{run['id']}")
    last = ended(served, run)
    assert last["state"] == "stopped"
    assert left(served) > 50


def test_ac_verifies_scrubs_and_puts_aside_what_is_corrupt(served: Served, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("anybody", encoding="ascii")
    layer = push(served.host, "demo/app", "v1")
    assert ac(served, "verify", "--deep", token=token).returncode == 0
    path = served.root / layout.blob_data(layer)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = ac(served, "verify", "demo/app", "--deep", "-o", "json", token=token)
    assert found.returncode == 1, found
    assert json.loads(found.stdout)["report"]["totals"] == {"corrupt": 1}
    shown = ac(served, "scrub", token=token)
    assert (shown.returncode, f"corrupt: {layer}" in shown.stdout) == (1, True), shown
    assert urllib3.request("GET", f"http://{served.host}/v2/demo/app/blobs/{layer}").status == 200
    assert ac(served, "scrub", "--confirm", token=token).returncode == 1
    assert urllib3.request("GET", f"http://{served.host}/v2/demo/app/blobs/{layer}").status == 404
    assert ac(served, "verify", token=token).returncode == 1
    push(served.host, "demo/app", "v1")
    assert urllib3.request("GET", f"http://{served.host}/v2/demo/app/blobs/{layer}").status == 200
    assert ac(served, "scrub", token=token).returncode == 0


def test_a_scrub_whose_process_is_killed_goes_on_where_it_was(served: Served) -> None:
    fill(served, 200, 50_000)
    run = ask("POST", served, kind="scrub", options={"rate": 6})  # 100 blobs of 150 KiB take two and a half seconds
    wait_for(lambda: ask("GET", served, f"/{run['id']}")["progress"]["count"] >= 100)
    victim = wait_for(lambda: at_work(served))
    os.kill(victim, signal.SIGKILL)
    last = ended(served, run)
    assert (last["state"], last["report"]["blobs"], last["report"]["clean"]) == ("succeeded", 200, True)


def push(host: str, repository: str, tag: str) -> Digest:
    """A small image; the digest of its layer."""
    config, layer = b"{}", b"the bytes of a layer" * 100
    for data in (config, layer):
        start = urllib3.request("POST", f"http://{host}/v2/{repository}/blobs/uploads/")
        place = start.headers["Location"]
        place = place if place.startswith("http") else f"http://{host}{place}"
        glue = "&" if "?" in place else "?"
        done = urllib3.request("PUT", f"{place}{glue}digest={Digest.of(data)}", body=data)
        assert done.status == 201, done.data
    headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    path = f"http://{host}/v2/{repository}/manifests/{tag}"
    done = urllib3.request("PUT", path, body=manifest_of(config, layer), headers=headers)
    assert done.status == 201, done.data
    return Digest.of(layer)


def at_work(served: Served) -> int | None:
    """The process that makes the run: a child of a worker of this registry."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            if b"image_registry.server.upkeep_process" in command and parent(parent(int(folder.name))) == served.pid:
                return int(folder.name)
        except OSError:
            continue
    return None


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def wait_for(look: Any, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")
