"""A file that is not what it was named for ends a command in a sentence, before anything is asked or done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from image_registry.cli import ac as command
from image_registry.cli import given_files
from image_registry.cli.failures import Wrong
from tests.clients.certificates import make_certificates

NOBODY = "https://127.0.0.1:1"
BINARY = b"\xff\xfe\x00"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a file for each thing that can be wrong."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "HTTP_PROXY", "http_proxy", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, content in (("binary", BINARY), ("empty", b""), ("words", b"two words\n"), ("token", b"abc\n")):
        Path(name).write_bytes(content)


def ac(*arguments: str) -> Result:
    return CliRunner().invoke(command.cli, arguments, prog_name="ac")


@pytest.mark.parametrize("file", ["binary", "empty", "words"])
def test_a_file_without_a_token(file: str) -> None:
    done = ac("adm", "registry", "runs", f"--registry-url={NOBODY}", f"--token-file={file}")
    assert (done.exit_code, f"--token-file: {file} " in done.stderr) == (2, True)


@pytest.mark.parametrize("file", ["binary", "empty", "words"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("image", "info", "127.0.0.1:1/a/b"),
        ("image", "mirror", "127.0.0.1:1/a/b", "oci:new:x"),
        ("adm", "registry", "runs", f"--registry-url={NOBODY}", "--token-file=token"),
    ],
)
def test_a_file_without_a_certificate(arguments: tuple[str, ...], file: str) -> None:
    done = ac(*arguments, f"--certificate-authority={file}")
    assert (done.exit_code, f"--certificate-authority: {file} " in done.stderr) == (2, True)


def test_certificates_with_words_for_people_around_them(tmp_path: Path) -> None:
    ca = make_certificates(tmp_path).ca.read_text()
    Path("ca").write_text(f"# Größe: für alle\n{ca}", encoding="utf-8")
    assert "BEGIN CERTIFICATE" in given_files.authorities(Path("ca"))
    assert given_files.authorities(None) == ""
    with pytest.raises(Wrong):
        given_files.authorities(Path("empty"))


def test_mappings_that_are_no_text() -> None:
    done = ac("image", "mirror", "-f", "binary")
    assert (done.exit_code, "Error: binary is no text" in done.stderr) == (2, True)


@pytest.mark.parametrize("index", ["[]", "{", '{"schemaVersion": 2, "manifests": [{"digest": "sha256:zz"}]}'])
def test_a_layout_that_is_none_is_not_added_to(index: str) -> None:
    Path("layout").mkdir()
    Path("layout/index.json").write_text(index, encoding="ascii")
    done = ac("image", "append", "--to=oci:layout:x")
    assert (done.exit_code, "is no index of an image layout" in done.stderr) == (1, True)
    assert Path("layout/index.json").read_text(encoding="ascii") == index


def test_reports_can_be_had_as_yaml() -> None:
    assert ac("image", "append", "--to=oci:one:x").exit_code == 0
    arguments = ("image", "mirror", "oci:one:x", "oci:two:x", "-o")
    plan = yaml.safe_load(ac(*arguments, "yaml", "--dry-run").stdout)
    assert plan["dryRun"] is True
    assert yaml.safe_load(ac(*arguments, "yaml").stdout)["totals"]["copied"] == 1
    assert json.loads(ac(*arguments, "json").stdout)["totals"]["present"] == 1
