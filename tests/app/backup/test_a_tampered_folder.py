"""Who can write a folder cannot make an administrator's restore do what no backup does. Pure: no registry runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from image_registry.backup.content import Content, Image
from image_registry.backup.errors import BackupError, Damaged
from image_registry.backup.folder import MANIFEST, Folder

SYSTEM = "image-registry-system"
DIGEST = f"sha256:{'a' * 64}"
RBAC = "rbac.authorization.k8s.io/v1"


def thing(kind: str, namespace: str = "", version: str = "v1", name: str = "one", **rest: Any) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **place}, **rest}


def role(name: str) -> dict[str, str]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}


def stream(namespace: str, name: str, tag: str = "v1", image: str = DIGEST) -> dict[str, Any]:
    history = [{"tag": tag, "items": [{"image": image}]}]
    return thing("ImageStream", namespace, "image.alauda.io/v1", name, spec={"tags": []}, status={"tags": history})


GOOD = Content(
    objects=(
        thing("ClusterRoleBinding", version=RBAC, name="all:pull", roleRef=role("system:image-puller")),
        thing("ConfigMap", SYSTEM, data={"ca": "PEM"}),
    ),
    secrets=(thing("Secret", SYSTEM, type="Opaque"),),
    streams=(stream("team", "app"),),
    images=(Image("team/app", DIGEST),),
    signatures=(
        thing("ImageSignature", version="image.alauda.io/v1", name=f"{DIGEST}@ci:1", type="atomic", content="YQ=="),
    ),
)
ADMIN = thing("ClusterRoleBinding", version=RBAC, roleRef=role("cluster-admin"))


def saved(path: Path, content: Content) -> Folder:
    folder = Folder(path / "backups")
    folder.write(content, {"host": "registry.example", "namespace": SYSTEM}, datetime.now(UTC))
    return folder


def test_what_was_saved_is_read_as_it_was(tmp_path: Path) -> None:
    assert saved(tmp_path, GOOD).read().content == GOOD


@pytest.mark.parametrize(
    "forged",
    [
        replace(GOOD, objects=(ADMIN,)),
        replace(GOOD, objects=(thing("Secret", SYSTEM, type="Opaque"),)),
        replace(GOOD, objects=(thing("ConfigMap", "kube-system", data={}),)),
        replace(GOOD, objects=(thing("Pod", SYSTEM),)),
        replace(GOOD, objects=(thing("ConfigMap", SYSTEM, "v2"),)),
        replace(GOOD, objects=(thing("ConfigMap", SYSTEM, name="../secrets/x"),)),
        replace(GOOD, secrets=(thing("Secret", "kube-system", type="Opaque"),)),
        replace(GOOD, secrets=(thing("Secret", SYSTEM, type="kubernetes.io/service-account-token"),)),
        replace(GOOD, secrets=(ADMIN,)),
        replace(GOOD, streams=(stream("team", "../../other"),)),
        replace(GOOD, streams=(stream("team", "app", tag="../v1"),)),
        replace(GOOD, streams=(stream("team", "app", image="sha256:../x"),)),
        replace(GOOD, streams=(ADMIN | {"status": {"tags": []}},)),
        replace(GOOD, images=(Image("../../etc", DIGEST),)),
        replace(GOOD, images=(Image("team/app", "../../../etc/passwd"),)),
        replace(GOOD, signatures=(ADMIN,)),
    ],
)
def test_what_no_backup_takes_does_not_come_back(tmp_path: Path, forged: Content) -> None:
    with pytest.raises(Damaged, match="says what no backup says, and nothing was changed"):
        saved(tmp_path, forged).read()


def resealed(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """What a forger does: edit, then write the checksum that fits."""
    manifest = json.loads(path.read_bytes())
    del manifest["digest"]
    change(manifest)
    raw = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    manifest["digest"] = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    path.write_text(json.dumps(manifest))


def test_a_manifest_names_the_files_of_a_backup_and_no_others(tmp_path: Path) -> None:
    folder = saved(tmp_path, GOOD)
    path = folder.path / folder.newest() / MANIFEST
    whole = path.read_bytes()
    changes: list[Callable[[dict[str, Any]], None]] = [
        lambda manifest: manifest["files"].update({"../../etc/passwd": "sha256:0"}),
        lambda manifest: manifest["files"].pop("secrets.json"),
        lambda manifest: manifest.update(files=["objects.json"]),
        lambda manifest: manifest.update(format="x"),
        lambda manifest: manifest.pop("registry"),
        lambda manifest: manifest.update(missing=None),
    ]
    for change in changes:
        resealed(path, change)
        with pytest.raises(Damaged):
            folder.read()
        path.write_bytes(whole)
    assert folder.read().content == GOOD

    broken = path.parent / "objects.json"
    broken.write_bytes(b"{")
    resealed(path, lambda made: made["files"].update({broken.name: f"sha256:{hashlib.sha256(b'{').hexdigest()}"}))
    with pytest.raises(Damaged, match=r"objects\.json is no JSON"):
        folder.read()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o750])
def test_a_folder_that_others_may_use_is_not_restored_from(tmp_path: Path, mode: int) -> None:
    folder = saved(tmp_path, GOOD)
    folder.path.chmod(mode)
    with pytest.raises(BackupError, match="chmod 700"):
        folder.read()


def test_a_folder_of_somebody_else_is_not_restored_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(tmp_path, GOOD)
    owner = folder.path.stat().st_uid
    if owner == 0:  # what root wrote may be trusted
        os.chown(folder.path, owner := 4242, -1)
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    with pytest.raises(BackupError, match="belongs to another user"):
        folder.read()
