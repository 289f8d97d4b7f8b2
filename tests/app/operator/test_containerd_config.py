"""Which containerd would not read the registry's authority: said, with the line to write; never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_registry.operator.containerd_config import remark

PLACE = Path("/etc/containerd")
CERTS = "/etc/containerd/certs.d"
CRI = '[plugins."io.containerd.grpc.v1.cri".registry]\n'
IMAGES = "[plugins.'io.containerd.cri.v1.images'.registry]\n"


def said(folder: Path, config: str) -> str:
    (folder / "config.toml").write_text(config, encoding="utf-8")
    return remark(folder, PLACE, CERTS)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("", "sets no registry config_path"),
        ("version = 2\n", 'add [plugins."io.containerd.grpc.v1.cri".registry] with config_path'),
        (f'version = 2\n{CRI}config_path = ""\n', "sets no registry config_path"),
        (f"version = 3\n{IMAGES}config_path = ''\n", 'add [plugins."io.containerd.cri.v1.images".registry]'),
        (f'version = 2\n{CRI}config_path = "/opt/certs"\n', "has config_path = '/opt/certs'"),
        (f'version = 2\n{CRI}config_path = "{CERTS}"\n', ""),
        (f'version = 2\n{CRI}config_path = "/opt/certs:{CERTS}"\n', ""),
        (f'version = 3\n{IMAGES}config_path = "{CERTS}:/etc/docker/certs.d"\n', ""),
        ("version = 3\n", ""),
        ('version = 2\nimports = ["/opt/elsewhere/*.toml"]\n', ""),
        ("not toml", ""),
    ],
    ids=["empty", "version 2", "empty path", "version 3, empty path", "another path", "set", "one of two",
         "version 3, set", "version 3, by default", "imported from elsewhere", "damaged"],
)  # fmt: skip
def test_it_is_said_what_containerd_lacks(tmp_path: Path, config: str, words: str) -> None:
    assert words in said(tmp_path, config)
    assert bool(words) is bool(said(tmp_path, config))


def test_what_is_imported_from_the_same_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    imports = 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n'
    assert said(tmp_path, imports)
    (tmp_path / "conf.d/registry.toml").write_text(f'{CRI}config_path = "{CERTS}"\n', encoding="utf-8")
    assert said(tmp_path, imports) == ""


def test_a_node_without_containerd_says_nothing(tmp_path: Path) -> None:
    assert remark(tmp_path, PLACE, CERTS) == ""
