"""``ac image info|append|extract`` over a real registry, folders and layouts, and images that mean harm."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from backports import zstd
from click.testing import CliRunner, Result

from image_registry.cli import ac as command
from image_registry.oci.digest import Digest
from tests.app.remote.conftest import fill
from tests.clients.certificates import Certificates, make_certificates
from tests.serve.conftest import serve

Add = Callable[[tarfile.TarFile], None]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@contextmanager
def serving(folder: Path, trust: Certificates) -> Iterator[str]:
    """The name of a registry with TLS, open to everybody."""
    options = ("--auth", "none", "--tls-cert", str(trust.certificate), "--tls-key", str(trust.key))
    for served in serve(folder, *options):
        yield served.host


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("registry"), certificates) as name:
        yield name


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificates: Certificates) -> None:
    """In an empty folder, without files or variables of whoever runs the tests."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("TRUST", str(certificates.ca))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def ac(*arguments: str) -> Result:
    return CliRunner().invoke(
        command.cli, ["image", *arguments, f"--certificate-authority={os.environ['TRUST']}"], prog_name="ac"
    )


def good(*arguments: str) -> str:
    done = ac(*arguments)
    assert done.exit_code == 0, f"{done.output}{done.exception!r}"
    return done.stdout


def bad(code: int, *arguments: str) -> str:
    done = ac(*arguments)
    assert done.exit_code == code, f"{done.exit_code}: {done.output}{done.exception!r}"
    return done.stderr


def member(name: str, content: bytes = b"", **values: object) -> Add:
    def add(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mtime = len(content), 1_900_000_000
        for key, value in values.items():
            setattr(info, key, value)
        archive.addfile(info, io.BytesIO(content))

    return add


def folder(name: str, mode: int = 0o755) -> Add:
    return member(name, type=tarfile.DIRTYPE, mode=mode)


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Add:
    return member(name, type=kind, linkname=target)


def layer(path: Path, *members: Add, mode: str = "w:gz") -> str:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for add in members:
            add(archive)
    return str(path)


@pytest.fixture
def image(host: str, tmp_path: Path) -> str:
    """Two layers: the upper one takes a file away, and changes one."""
    name = f"{host}/team/{tmp_path.name.replace('_', '-')[:40].strip('-').lower()}:v1"
    lower = layer(
        tmp_path / "lower.tar",
        folder("etc"), member("etc/app.conf", b"old"), member("etc/gone", b"x"), member("bin/run", b"#!", mode=0o4755),
        link("bin/again", "bin/run", tarfile.LNKTYPE), link("etc/link", "/bin/run"),
        mode="w",
    )  # fmt: skip
    upper = layer(tmp_path / "upper.tar.gz", member("etc/.wh.gone"), member("etc/app.conf", b"new"))
    good("append", lower, upper, f"--to={name}", '--image={"Cmd": ["/bin/run"], "Env": ["A=b"], "Labels": {"x": "y"}}',
         '--meta={"architecture": "arm64"}', "--created-at=2030-01-31T12:00:00Z")  # fmt: skip
    return name


def test_an_image_is_made_of_layers_and_shown(image: str) -> None:
    lines = dict(line.split(":", 1) for line in good("info", image).splitlines() if not line.startswith(" "))
    shown = {name: text.strip() for name, text in lines.items()}
    assert shown["Name"] == image
    assert shown["Media Type"] == "application/vnd.oci.image.manifest.v1+json"
    assert shown["Image Size"].endswith("in 2 layers")
    assert (shown["OS"], shown["Arch"], shown["Command"]) == ("linux", "arm64", "/bin/run")
    assert (shown["Environment"], shown["Labels"]) == ("A=b", "x=y")
    found = json.loads(good("info", image, "-o", "json"))
    assert found["digest"] == shown["Digest"]
    assert found["config"]["created"] == "2030-01-31T12:00:00Z"
    assert len(found["config"]["history"]) == len(found["layers"]) == len(found["config"]["rootfs"]["diff_ids"]) == 2


def test_files_are_extracted_as_a_container_would_see_them(image: str) -> None:
    done = ac("extract", image)
    assert done.exit_code == 0, done.output
    assert Path("etc/app.conf").read_bytes() == b"new"
    assert not Path("etc/gone").exists()
    assert os.readlink("etc/link") == "../bin/run"
    run, again = Path("bin/run").stat(), Path("bin/again").stat()
    assert run.st_ino == again.st_ino
    assert stat.S_IMODE(run.st_mode) == 0o755
    assert run.st_mtime == 1_900_000_000
    assert "files of " in done.stderr


def test_parts_of_an_image_and_of_its_layers(image: str) -> None:
    for name in ("conf", "whole", "one"):
        Path(name).mkdir()
    good("extract", image, "--path=/etc/:conf", "--path=etc:whole", "--path=/bin/run:one")
    assert {path.name for path in Path("conf").iterdir()} == {"app.conf"}
    assert Path("whole/etc/app.conf").read_bytes() == b"new"
    assert Path("one/run").is_file()
    good("extract", image, "--file=etc/app.conf")
    assert Path("app.conf").read_bytes() == b"new"
    Path("first").mkdir()
    good("extract", f"{image}[0]", "--path=/:first", "--only-files")
    assert Path("first/etc/app.conf").read_bytes() == b"old"
    assert Path("first/etc/gone").exists()
    assert not Path("first/etc/link").is_symlink()
    assert "etc/app.conf" in good("extract", f"{image}[-1]", "--dry-run")
    assert "chooses none of the 2 layers" in bad(5, "extract", f"{image}[5]", "--dry-run")


def test_folders_must_be_there_and_empty(image: str) -> None:
    Path("mine").write_text("keep", encoding="ascii")
    assert "--confirm writes into it" in bad(2, "extract", image)
    assert "make it first" in bad(2, "extract", image, "--path=/:none")
    assert "the image has no /opt" in bad(5, "extract", image, "--path=/opt:.", "--confirm")
    assert "leave out" in bad(2, "extract", image, "--path=../etc:.")
    good("extract", image, "--confirm")
    assert Path("mine").read_text(encoding="ascii") == "keep"


@pytest.mark.parametrize(
    "members",
    [
        (member("../outside", b"x"),),
        (member("a/../../outside", b"x"),),
        (link("out", "..", tarfile.LNKTYPE),),
        (link("b", "../../outside", tarfile.LNKTYPE),),
    ],
)
def test_an_image_that_names_files_outside_is_refused_whole(
    host: str, tmp_path: Path, members: tuple[Add, ...]
) -> None:  # fmt: skip
    (tmp_path / "outside").write_text("safe", encoding="ascii")
    name = f"{host}/team/harm:v1"
    good("append", layer(tmp_path / "l.tar", member("first", b"x"), *members), f"--to={name}")
    assert "is refused, and nothing was written" in bad(1, "extract", name)
    assert (tmp_path / "outside").read_text(encoding="ascii") == "safe"
    assert list(Path().iterdir()) == []


def test_links_that_lead_out_are_left_out_and_never_followed(host: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    name = f"{host}/team/links:v1"
    tar = layer(
        tmp_path / "l.tar",
        link("up", "../outside"), link("root", str(tmp_path / "outside")), member("up/x", b"x"), member("root/y", b"y"),
        member("pipe", type=tarfile.FIFOTYPE), member("disk", type=tarfile.BLKTYPE),
    )  # fmt: skip
    good("append", tar, f"--to={name}")
    done = ac("extract", name)
    assert done.exit_code == 0, done.output
    assert list((tmp_path / "outside").iterdir()) == []
    assert "left out: up -> ../outside: leads outside" in done.stderr
    assert "left out: pipe: a device or pipe" in done.stderr
    assert {path.name for path in Path().rglob("*") if path.is_file()} == {"x", "y"}
    for path in Path().rglob("*"):
        assert path.resolve().is_relative_to(Path.cwd()), path


def test_links_of_the_folder_are_not_followed(image: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    Path("etc").symlink_to(tmp_path / "outside")
    assert "cannot be written" in bad(1, "extract", image, "--confirm")
    assert list((tmp_path / "outside").iterdir()) == []
    Path("etc").unlink()
    Path("etc").mkdir()
    (tmp_path / "outside/file").write_text("safe", encoding="ascii")
    Path("etc/app.conf").symlink_to(tmp_path / "outside/file")
    good("extract", image, "--confirm")
    assert (tmp_path / "outside/file").read_text(encoding="ascii") == "safe"
    assert Path("etc/app.conf").read_bytes() == b"new"


def test_a_layer_that_unpacks_to_too_much_is_refused(host: str, tmp_path: Path) -> None:
    name = f"{host}/team/bomb:v1"
    good("append", layer(tmp_path / "l.tar.gz", member("big", bytes(4 << 20))), f"--to={name}")
    assert "unpacks to more than 1048576 bytes" in bad(1, "extract", name, "--max-size=1m")
    assert list(Path().iterdir()) == []


def test_layers_go_on_top_of_an_image_without_being_fetched(image: str, host: str, tmp_path: Path) -> None:
    more = layer(tmp_path / "more.tar", member("more", b"1"))
    target = f"{host}/other/app:v2"
    done = ac("append", more, f"--from={image}", f"--to={target}", '--image={"Cmd": null}')
    assert done.exit_code == 0, done.output
    assert done.stderr.count("Mounted") == 2
    before, after = (json.loads(good("info", name, "-o", "json")) for name in (image, target))
    assert after["layers"][:2] == before["layers"]
    assert len(after["layers"]) == 3
    assert "Cmd" not in after["config"]["config"]
    assert after["config"]["config"]["Env"] == ["A=b"]
    shown = json.loads(good("append", f"--from={image}", "--drop-history", "--dry-run", "-o", "json"))
    assert shown["dryRun"]
    assert "history" not in shown["config"]


@pytest.mark.parametrize("skipped", [b"", b"\x50\x2a\x4d\x18\x04\x00\x00\x00toc!"])
def test_layers_in_zstd_are_appended_as_they_are_and_extracted(host: str, tmp_path: Path, skipped: bytes) -> None:
    plain = Path(layer(tmp_path / "plain.tar", member("etc/app.conf", b"new" * 100_000), mode="w"))
    packed = tmp_path / "layer.tar.zst"
    packed.write_bytes(skipped + zstd.compress(plain.read_bytes()))
    name = f"{host}/team/zstd:{tmp_path.name[-1]}{len(skipped)}"
    good("append", layer(tmp_path / "lower.tar", member("etc/app.conf", b"old"), mode="w"), str(packed), f"--to={name}")
    found = json.loads(good("info", name, "-o", "json"))
    kind = "application/vnd.oci.image.layer.v1.tar+"
    assert [entry["mediaType"] for entry in found["layers"]] == [kind + "gzip", kind + "zstd"]
    assert found["layers"][1]["digest"] == str(Digest.of(packed.read_bytes()))
    assert found["config"]["rootfs"]["diff_ids"][1] == str(Digest.of(plain.read_bytes()))
    good("extract", name)
    assert Path("etc/app.conf").read_bytes() == b"new" * 100_000
    assert "unpacks to more than" in bad(1, "extract", name, "--max-size=1k", "--confirm")


@pytest.mark.parametrize("cut", [6, 40, -3])
def test_a_layer_in_zstd_that_is_broken_is_refused(host: str, tmp_path: Path, cut: int) -> None:
    plain = Path(layer(tmp_path / "plain.tar", member("a", os.urandom(200)), mode="w"))
    packed = tmp_path / "layer.tar.zst"
    packed.write_bytes(zstd.compress(plain.read_bytes())[:cut])
    assert "cannot be unpacked" in bad(1, "append", str(packed), f"--to={host}/team/broken:1")


def test_images_lie_in_folders_and_layouts_as_well(image: str) -> None:
    wanted = json.loads(good("info", image, "-o", "json"))
    for target in ("oci:layout:1", "file://team/app:1"):
        good("append", f"--from={image}", f"--to={target}", "--created-at=2030-01-31T12:00:00Z")
        found = json.loads(good("info", target, "-o", "json"))
        assert (found["layers"], found["config"]) == (wanted["layers"], wanted["config"])
        Path("out").mkdir(exist_ok=True)
        good("extract", target, "--path=/etc/:out", "--confirm")
        assert Path("out/app.conf").read_bytes() == b"new"


def test_of_an_index_images_are_listed_and_chosen(certificates: Certificates, tmp_path: Path) -> None:
    root = tmp_path / "filled/registry"
    content = fill(root)
    with serving(tmp_path / "filled", certificates) as other:
        name = f"{other}/team/app:multi"
        listed = good("info", name)
        assert [line.split()[0] for line in listed.splitlines()[-2:]] == ["linux/amd64", "linux/arm64"]
        found = json.loads(good("info", name, "--filter-by-os=arm64", "-o", "json"))
        assert (found["digest"], found["listDigest"]) == (str(content.arm), str(content.index))
        assert len(json.loads(good("info", name, "--show-multiarch", "-o", "json"))) == 2
        assert "it has linux/amd64, linux/arm64" in bad(5, "info", name, "--filter-by-os=s390x")
        assert "choose one by --filter-by-os" in bad(2, "extract", name, "--filter-by-os=linux", "--dry-run")
        assert "no layer" in bad(1, "extract", name, "--filter-by-os=arm64", "--dry-run")


def test_bad_input_is_told_apart(host: str, tmp_path: Path) -> None:
    assert "is no regular expression" in bad(2, "info", f"{host}/a/b", "--filter-by-os=(")
    assert "there is no such thing" in bad(5, "info", f"{host}/team/none:v1")
    assert "does not answer" in bad(4, "info", "127.0.0.1:1/team/app:v1")
    assert "names no image" in bad(2, "info", "Team/App:v1")
    assert "is not JSON" in bad(2, "append", "--to=x/y:z", "--image={")
    text = tmp_path / "text"
    text.write_text("no tar" * 500, encoding="ascii")
    assert "is no tar file" in bad(2, "append", str(text), f"--to={host}/team/app:v1")
    done = ac("info", f"{host}/team/none:v1", "Team/App:v1")
    assert done.exit_code == 1
    assert done.stderr.count("Error: ") == 2
