"""``ac image mirror`` between real registries: broken connections, ended tokens, kills, folders, and other clients."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from image_registry.oci import media_types
from image_registry.oci.digest import Digest
from image_registry.oci.manifest import Manifest, parse_manifest
from image_registry.remote.addresses import AddressRules
from image_registry.remote.asking import Access
from image_registry.remote.contents import InMemory
from image_registry.remote.reference import RemoteReference
from image_registry.remote.referrers import listed_referrers, tagged_referrers
from image_registry.remote.registry import Registries
from image_registry.remote.sources import SourceRules
from image_registry.remote.wire import Wire
from image_registry.remote.writing import Writing
from tests.app.remote.conftest import Remote, distribution
from tests.app.remote.faulting_proxy import Fault, FaultingProxy
from tests.app.remote.zot import needed, zot
from tests.serve.conftest import HANGS, program, serve

KIB, MIB = 1 << 10, 1 << 20
AC = Path(sys.executable).with_name("ac")


@dataclass
class End:
    """A registry on this machine, and a client of it."""

    host: str
    access: Access

    def __post_init__(self) -> None:
        self.registries = Registries(Wire(AddressRules.of(["127.0.0.0/8"])), SourceRules())
        self.writing = Writing(self.registries.questions)

    def named(self, path: str, wanted: Digest | str) -> RemoteReference:
        return RemoteReference(self.host, path).at(wanted)

    def put(self, path: str, tag: str, layers: list[bytes], **extra: Any) -> Manifest:
        """Push an image; without a tag under its digest."""
        config = json.dumps({"os": "linux", "architecture": "amd64"}).encode()
        for blob in (config, *layers):
            self.writing.put_blob(self.named(path, Digest.of(blob)), InMemory(blob), self.access)
        document = {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": {"mediaType": media_types.OCI_CONFIG, "digest": str(Digest.of(config)), "size": len(config)},
            "layers": [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": str(Digest.of(b)), "size": len(b)}
                for b in layers
            ],
            **extra,
        }
        return self._manifest(path, tag, document)

    def put_index(self, path: str, tag: str, children: list[Manifest]) -> Manifest:
        entries = [
            {**_about(child), "platform": {"os": "linux", "architecture": f"cpu{number}"}}
            for number, child in enumerate(children)
        ]
        return self._manifest(path, tag, {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries})

    def digest(self, path: str, wanted: Digest | str) -> Digest | None:
        return self.writing.manifest_digest(self.named(path, wanted), self.access)

    def has(self, path: str, blob: bytes) -> bool:
        return self.writing.blob_size(self.named(path, Digest.of(blob)), self.access) == len(blob)

    def referrers(self, path: str, subject: Digest) -> set[Digest]:
        listed = listed_referrers(self.registries.questions, self.named(path, subject), self.access)
        if listed is None:
            kept = tagged_referrers(self.registries, self.named(path, subject), self.access)
            listed = kept.manifests if kept else ()
        return {entry.digest for entry in listed}

    def _manifest(self, path: str, tag: str, document: dict[str, Any]) -> Manifest:
        made = parse_manifest(json.dumps(document).encode(), "")
        self.writing.put_manifest(self.named(path, tag or made.digest), made, self.access)
        return made


def _about(manifest: Manifest) -> dict[str, Any]:
    return {"mediaType": manifest.media_type, "digest": str(manifest.digest), "size": len(manifest.raw)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[End]:
    """Our own registry, open to all."""
    for served in serve(tmp_path_factory.mktemp("source"), "--auth", "none"):
        yield End(served.host, Access(insecure=True))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """Our own registry, which asks for tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    user, password = "john", secrets.token_urlsafe(12)
    users = folder / "users"
    users.write_text(f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n", encoding="utf-8")
    for served in serve(folder, "--auth", f"htpasswd:{users}"):
        yield Remote(served.host, None, user, password)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["distribution", pytest.param("zot", marks=needed)])
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[End]:
    """CNCF distribution, which lists no referrers, and zot, which takes OCI media types alone."""
    folder = tmp_path_factory.mktemp("other")
    if request.param == "zot":
        with zot(folder) as host:
            yield End(host, Access(insecure=True))
        return
    with distribution(folder) as remote:
        yield End(remote.host, Access(insecure=True))


@pytest.fixture
def path() -> str:
    """A repository that nobody else uses."""
    return f"team/m{secrets.token_hex(5)}"


def ac(*arguments: str | Path, folder: Path, good: bool = True) -> dict[str, Any]:
    """Its report."""
    command = [AC, "image", "mirror", "--insecure", "-o", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANGS, env=_environment(folder))
    assert (done.returncode == 0) == good, done.stderr + done.stdout
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "DOCKER_CONFIG": str(folder)}


def test_everything_comes_along_to_a_registry_of_another_kind_and_back(
    source: End, other: End, path: str, tmp_path: Path
) -> None:
    layers = [os.urandom(200 * KIB), os.urandom(3 * MIB)]
    one, two = source.put(path, "v1", layers), source.put(path, "v2", [layers[0], os.urandom(KIB)])
    many = source.put_index(path, "many", [one, two])
    signature = source.put(path, "", [b"signature"], subject=_about(one), artifactType="application/vnd.test.signature")
    cosign = source.put(path, f"sha256-{many.digest.hex}.sig", [b"cosign"])
    report = ac(f"{source.host}/{path}:*", f"{other.host}/{path}", folder=tmp_path)
    assert {(image["status"]) for image in report["images"]} == {"copied"}
    for tag, manifest in (("v1", one), ("v2", two), ("many", many), (f"sha256-{many.digest.hex}.sig", cosign)):
        assert other.digest(path, tag) == manifest.digest
    assert other.referrers(path, one.digest) == {signature.digest}
    assert all(other.has(path, layer) for layer in layers)
    # and back under another name: the registry lists what came under a tag
    ac(f"{other.host}/{path}:*", f"{source.host}/{path}-back", folder=tmp_path)
    assert source.referrers(f"{path}-back", one.digest) == {signature.digest}
    assert source.digest(f"{path}-back", "many") == many.digest
    again = ac(f"{source.host}/{path}:*", f"{other.host}/{path}", folder=tmp_path)
    assert again["totals"]["blobsSent"] == again["totals"]["manifests"] == 0


def test_each_blob_is_sent_once_to_a_registry_that_asks_for_tokens(
    source: End, guarded: Remote, path: str, tmp_path: Path
) -> None:
    base = os.urandom(MIB + 1)
    for name in ("a", "b", "c"):
        source.put(f"{path}{name}", "v1", [base, os.urandom(100)])
    with FaultingProxy(guarded.host).running() as proxy:
        keys = guarded.keyring(proxy.host)
        (tmp_path / "config.json").write_text(_config(proxy.host, guarded), encoding="ascii")
        lines = [f"{source.host}/{path}{name}:v1={proxy.host}/{path}{name}\n" for name in ("a", "b", "c")]
        (tmp_path / "map").write_text("".join(lines), encoding="ascii")
        # tokens end, the registry is busy, a connection breaks
        proxy.faults += [
            Fault("/blobs/uploads/", 401, method="PUT"),
            Fault("/manifests/", 429, {"Retry-After": "1"}, method="PUT"),
            Fault("/blobs/uploads/", 503, method="POST"),
        ]
        report = ac("-f", tmp_path / "map", folder=tmp_path)
        end = End(proxy.host, Access(keys, insecure=True))
        assert {image["status"] for image in report["images"]} == {"copied"}
        assert all(end.has(f"{path}{name}", base) for name in ("a", "b", "c"))
        assert report["totals"]["blobsMounted"] == 4  # the base and the configuration, twice
        assert len([seen for seen in proxy.asked("mount=") if seen.method == "POST"]) >= 4


def _config(host: str, remote: Remote) -> str:
    auth = base64.b64encode(f"{remote.user}:{remote.password}".encode()).decode()
    return json.dumps({"auths": {host: {"auth": auth}}})


def test_bytes_that_change_on_their_way_are_not_taken(source: End, other: End, path: str, tmp_path: Path) -> None:
    good, bad = os.urandom(2 * MIB), os.urandom(2 * MIB)
    source.put(path, "good", [good])
    source.put(path, "bad", [bad])
    with FaultingProxy(source.host).running() as proxy:
        proxy.faults.append(Fault(f"/blobs/{Digest.of(bad)}", change=True, method="GET", always=True))
        arguments = (f"{proxy.host}/{path}:*", f"{other.host}/{path}", "--continue-on-error")
        report = ac(*arguments, folder=tmp_path, good=False)
    states = {image["source"].rpartition(":")[2]: image["status"] for image in report["images"]}
    assert states == {"good": "copied", "bad": "failed"}
    assert not other.has(path, bad)
    assert other.digest(path, "bad") is None
    assert ac(f"{source.host}/{path}:*", f"{other.host}/{path}", folder=tmp_path)["totals"]["copied"] == 1


def test_a_large_index_arrives_whole(source: End, other: End, path: str, tmp_path: Path) -> None:
    base = os.urandom(10 * KIB)
    children = [source.put(path, "", [base, str(number).encode()]) for number in range(40)]
    index = source.put_index(path, "v1", children)
    report = ac(f"{source.host}/{path}:v1", f"{other.host}/{path}", folder=tmp_path)
    assert report["totals"]["manifests"] == 41
    assert other.digest(path, "v1") == index.digest
    assert other.digest(path, children[-1].digest) == children[-1].digest
    filtered = ac(f"{source.host}/{path}:v1", f"{other.host}/{path}:few", "--filter-by-os", "cpu[12]$", folder=tmp_path)
    [image] = filtered["images"]
    assert image["sourceDigest"] == str(index.digest)
    assert other.digest(path, "few") == Digest.parse(image["digest"]) != index.digest


@needed
def test_an_image_of_docker_is_refused_by_a_registry_of_oci_with_a_cure(source: End, path: str, tmp_path: Path) -> None:
    layer, config = os.urandom(100), b'{"os":"linux"}'
    for blob in (config, layer):
        source.writing.put_blob(source.named(path, Digest.of(blob)), InMemory(blob), source.access)
    kinds = ("application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip")
    parts = [
        {"mediaType": kind, "digest": str(Digest.of(blob)), "size": len(blob)}
        for kind, blob in zip(kinds, (config, layer), strict=True)
    ]
    manifest = {"schemaVersion": 2, "mediaType": media_types.DOCKER_MANIFEST, "config": parts[0], "layers": parts[1:]}
    raw = parse_manifest(json.dumps(manifest).encode(), "")
    source.writing.put_manifest(source.named(path, "v1"), raw, source.access)
    with zot(tmp_path) as host:
        report = ac(f"{source.host}/{path}:v1", f"{host}/a/b/c/d", folder=tmp_path, good=False)
    assert "docker2s2" in report["images"][0]["error"]


def test_a_killed_run_is_finished_by_the_next_which_sends_only_what_is_missing(
    source: End, path: str, tmp_path: Path
) -> None:
    layers = [os.urandom(24 * MIB), *(os.urandom(2 * MIB) for _ in range(6))]
    for number, layer in enumerate(layers):
        source.put(f"{path}{number}", "v1", [layer])
    total = sum(map(len, layers))
    command = [
        str(AC),
        "image",
        "mirror",
        "--insecure",
        "-f",
        str(tmp_path / "map"),
        "--journal",
        str(tmp_path / "journal"),
    ]
    for served in serve(tmp_path, "--auth", "none"):
        target = End(served.host, Access(insecure=True))
        with FaultingProxy(served.host).running() as proxy:
            lines = [f"{source.host}/{path}{n}:v1={proxy.host}/{path}{n}\n" for n in range(len(layers))]
            (tmp_path / "map").write_text("".join(lines), encoding="ascii")
            for minimum in (1, total // 3):
                process = subprocess.Popen(
                    command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment(tmp_path)
                )
                deadline = time.monotonic() + 60
                while proxy.received < minimum and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.005)
                process.send_signal(signal.SIGKILL)
                process.wait(20)
            done = {
                json.loads(line)["blob"][1]
                for line in (tmp_path / "journal").read_text().splitlines()
                if '"blob"' in line
            }
            before = proxy.received
            report = ac("-f", tmp_path / "map", "--journal", tmp_path / "journal", folder=tmp_path)
            written_down = sum(len(layer) for layer in layers if str(Digest.of(layer)) in done)
            # what was written down is not sent again; manifests and configurations are small
            assert proxy.received - before <= total - written_down + 100_000
        assert {image["status"] for image in report["images"]} <= {"copied", "present"}
        for number, layer in enumerate(layers):
            assert target.has(f"{path}{number}", layer)
            assert target.digest(f"{path}{number}", "v1") == source.digest(f"{path}{number}", "v1")


def test_folders_are_read_by_other_clients_and_come_back_the_same(source: End, path: str, tmp_path: Path) -> None:
    one, two = source.put(path, "v1", [os.urandom(KIB)]), source.put(path, "v2", [os.urandom(2 * MIB)])
    many = source.put_index(path, "many", [one, two])
    signature = source.put(
        path, "", [b"signature"], subject=_about(many), artifactType="application/vnd.test.signature"
    )
    ac(f"{source.host}/{path}:many", f"oci:{tmp_path / 'layout'}:many", folder=tmp_path)
    ac(f"{source.host}/{path}:*", f"file://{path}", "--dir", tmp_path / "files", folder=tmp_path)
    copied = ["copy", "--all", f"oci:{tmp_path / 'layout'}:many", f"dir:{tmp_path / 'copied'}"]
    run = subprocess.run(
        [program("skopeo", "apt-get install skopeo"), "--insecure-policy", *copied], check=False, capture_output=True
    )
    assert run.returncode == 0, run.stderr
    assert Digest.of((tmp_path / "copied/manifest.json").read_bytes()) == many.digest
    folder = tmp_path / "files/v2" / path
    assert (folder / "manifests/many").readlink() == Path(str(many.digest))
    assert Digest.of((folder / "blobs" / str(two.digest)).read_bytes()) == two.digest
    ac(f"oci:{tmp_path / 'layout'}:many", f"{source.host}/{path}-one:x", folder=tmp_path)
    ac(f"file://{path}:*", f"{source.host}/{path}-two", "--from-dir", tmp_path / "files", folder=tmp_path)
    for name, tag in (("-one", "x"), ("-two", "many")):
        assert source.digest(path + name, tag) == many.digest
        assert source.referrers(path + name, many.digest) == {signature.digest}
    crane = program("crane", "run `lab/lab build crane`")
    shown = subprocess.run(
        [crane, "manifest", "--insecure", f"{source.host}/{path}-two:v2"], check=True, capture_output=True
    )
    assert Digest.of(shown.stdout) == two.digest


def test_a_dry_run_says_what_the_run_then_sends_and_changes_nothing(
    source: End, other: End, path: str, tmp_path: Path
) -> None:
    base = os.urandom(100 * KIB)
    source.put(path, "v1", [base])
    ac(f"{source.host}/{path}:v1", f"{other.host}/{path}", folder=tmp_path)
    source.put(path, "v2", [base, os.urandom(50 * KIB)])
    arguments = (f"{source.host}/{path}:*", f"{other.host}/{path}")
    plan = ac(*arguments, "--dry-run", folder=tmp_path)
    assert other.digest(path, "v2") is None
    [totals] = plan["targets"].values()
    assert totals["bytes"] == 50 * KIB
    assert totals["presentBytes"] >= 100 * KIB
    report = ac(*arguments, folder=tmp_path)
    assert report["totals"]["bytesSent"] == totals["bytes"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["h.io/a/b"], 2, "where is h.io/a/b to go"),
        ([], 2, "nothing to copy"),
        (["h.io/a=g.io/b:1", "--filter-by-os", "("], 2, "no regular expression"),
        (["h.io/a:*", "g.io/b:1"], 2, "means several images"),
        (["127.0.0.1:9/a/b:1", "127.0.0.1:9/c/d"], 1, "does not answer"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    done = subprocess.run(
        [AC, "image", "mirror", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS,
        env=_environment(tmp_path),
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert said in done.stderr
