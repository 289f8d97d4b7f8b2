from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from image_registry_lab import addresses
from image_registry_lab.pki import Keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = Keys(tmp_path_factory.mktemp("pki"))
    made.make_cluster()
    made.make_node("n1")
    return made


def openssl(*arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("authority", "certificate"),
    [
        ("ca", "apiserver"),
        ("ca", "admin"),
        ("ca", "node-n1"),
        ("ca", "kubelet-n1"),
        ("etcd-ca", "etcd"),
        ("etcd-ca", "etcd-client"),
        ("front-proxy-ca", "front-proxy-client"),
    ],
)
def test_each_certificate_is_signed_by_its_own_authority(keys: Keys, authority: str, certificate: str) -> None:
    openssl("verify", "-CAfile", keys.path(f"{authority}.crt"), keys.path(f"{certificate}.crt"))


def test_an_authority_vouches_for_no_other_area(keys: Keys) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        openssl("verify", "-CAfile", keys.path("front-proxy-ca.crt"), keys.path("admin.crt"))


def test_the_api_server_can_be_called_by_every_name_it_has(keys: Keys) -> None:
    shown = openssl("x509", "-in", keys.path("apiserver.crt"), "-noout", "-ext", "subjectAltName")
    for name in ("DNS:kubernetes.default.svc", "127.0.0.1", addresses.HOST, addresses.KUBERNETES_SERVICE):
        assert name in shown


def test_a_node_is_a_node_to_the_api_server(keys: Keys) -> None:
    subject = openssl("x509", "-in", keys.path("node-n1.crt"), "-noout", "-subject")
    assert "O = system:nodes" in subject
    assert "CN = system:node:n1" in subject


def test_what_exists_is_kept_and_nobody_else_reads_it(keys: Keys) -> None:
    before = {file.name: file.read_bytes() for file in keys.folder.iterdir()}
    keys.make_cluster()
    keys.make_node("n1")
    assert {file.name: file.read_bytes() for file in keys.folder.iterdir()} == before
    secret = [file for file in keys.folder.iterdir() if file.suffix in (".key", ".kubeconfig")]
    assert all(file.stat().st_mode & 0o077 == 0 for file in secret)
    assert keys.folder.stat().st_mode & 0o077 == 0


def test_the_administrator_gets_one_file_for_this_machine(keys: Keys, tmp_path: Path) -> None:
    keys.write_admin(tmp_path / "kubeconfig")
    content = json.loads((tmp_path / "kubeconfig").read_text())
    assert content["clusters"][0]["cluster"]["server"] == addresses.LOCAL_API
    held = base64.b64decode(content["users"][0]["user"]["client-certificate-data"])
    assert held == (keys.folder / "admin.crt").read_bytes()
    assert (tmp_path / "kubeconfig").stat().st_mode & 0o077 == 0
