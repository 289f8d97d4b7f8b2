# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The door to backups of the Python package. No rule is here: arguments become questions, answers results.

Private to this collection.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _arguments, _library
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._objects import collection
from ansible_collections.alauda.registry.plugins.module_utils._progress import Progress

IMPORT_ERROR: str | None = None
try:
    from pathlib import Path

    from image_registry.backup import restoring, saving
    from image_registry.backup.door import Door
    from image_registry.backup.errors import BackupError
    from image_registry.backup.folder import Folder
    from image_registry.backup.images import Store
    from image_registry.backup.reading import Reading
    from image_registry.kube.client import ClusterClient
    from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
    from image_registry.remote.authorities import NoAuthorities, authorities
    from image_registry.remote.errors import RemoteError, Unauthorized
    from image_registry.remote.renewing import Token
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

EIGHT_HOURS = 8 * 3600
"""Seconds that a token is asked for; the API server may give a shorter one."""

Tell = Callable[[str], None]


class Failed(Exception):
    """What cannot be done, and what to do about it."""


def arguments() -> dict[str, Any]:
    """What both modules ask for beside the cluster."""
    return {
        "folder": {"type": "path", "required": True},
        "registry_url": {"type": "str", "required": True},
        "ca_path": {"type": "path"},
        "validate_certs": {"type": "bool", "default": True},
        "token": {"type": "str", "no_log": True},
        "service_account": {"type": "str", "default": ""},
        "accept": {"type": "list", "elements": "str", "default": []},
        "namespace": {"type": "str", "default": _arguments.NAMESPACE},
        "namespaces": {"type": "list", "elements": "str", "default": []},
    }


def need_package(module: AnsibleModule) -> None:
    """Name the Python package that is missing."""
    if IMPORT_ERROR:
        module.fail_json(msg=_library.missing(), exception=IMPORT_ERROR)


def run(module: AnsibleModule, work: Callable[..., dict[str, Any]]) -> None:
    """End the module with the result of ``work``, :func:`save` or :func:`restore`, and what was said meanwhile."""
    need_package(module)
    tell = Progress()
    try:
        result = work(_arguments.connect(module), module.params, tell, check=module.check_mode)
    except Failed as error:
        module.fail_json(msg=str(error), lines=tell.lines)
    module.exit_json(lines=tell.lines, **result)


def save(cluster: Cluster, asked: dict[str, Any], tell: Tell, *, check: bool) -> dict[str, Any]:
    """The result of a backup. Raises :class:`Failed`."""
    wish = {
        "namespace": asked["namespace"],
        "namespaces": tuple(asked["namespaces"]),
        "images": asked["images"],
        "secrets": asked["secrets"],
        "accept": tuple(asked["accept"]),
        "allow_fewer": asked["allow_fewer"],
    }

    def result() -> dict[str, Any]:
        client = _client(asked)
        reading = Reading(client, asked["namespace"], asked["namespaces"])
        engine = saving.Saving(
            reading, _door(cluster, client, asked), Folder(Path(asked["folder"])), saving.Wish(**wish), tell
        )
        saved = engine.foresee() if check else engine.save()
        shown = {"counts": saved.content.counts, "images_copied": saved.copied.images}
        diff = {"before": {}, "after": shown} if saved.changed else {}
        return {"changed": saved.changed, "backup": saved.document(), "diff": diff}

    return _said(result)


def restore(cluster: Cluster, asked: dict[str, Any], tell: Tell, *, check: bool) -> dict[str, Any]:
    """The result of a restore. Raises :class:`Failed`."""
    wish = {
        "namespace": asked["namespace"],
        "namespaces": tuple(asked["namespaces"]),
        "overwrite": tuple(asked["overwrite"]),
        "create_namespaces": asked["create_namespaces"],
        "accept": tuple(asked["accept"]),
        "deep": asked["deep"],
    }

    def result() -> dict[str, Any]:
        client = _client(asked)
        door = _door(cluster, client, asked)
        engine = restoring.Restoring(client, door, Folder(Path(asked["folder"])), restoring.Wish(**wish), tell)
        plan = engine.plan(asked["name"])
        if not check:
            engine.apply(plan)
        document = plan.document()
        after = {"changes": document["changes"], "images": document["copied"]["images"]}
        diff = {"before": {}, "after": after} if plan.changed else {}
        return {"changed": plan.changed, "backup": document, "diff": diff}

    return _said(result)


def look(asked: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Every backup of a folder, and whether one of them is what was saved. Raises :class:`Failed`."""

    def result() -> dict[str, Any]:
        folder = Folder(Path(asked["folder"]))
        backup = folder.read(asked["name"])
        content = backup.content
        images = content.images if content.with_images else ()
        faults = Store(folder.images).faults(images, deep=asked["deep"], tell=tell)
        described = {
            "name": backup.name,
            "made": backup.manifest["made"],
            "registry": dict(backup.manifest["registry"]),
            "counts": content.counts,
            "with_images": content.with_images,
            "left_out": list(content.left_out),
            "missing": list(content.missing),
            "namespaces": list(content.namespaces),
        }
        told = [f"{image}: {why}" for image, why in sorted(faults.items())]
        return {"changed": False, "names": folder.names(), "backup": described, "faults": told}

    return _said(result)


def _said(result: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return result()
    except (BackupError, RemoteError, KubeError, ClusterUnreachable, KubeconfigError, ClusterError) as error:
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(f"{error.filename or 'a file'}: {error.strerror}") from None


def _client(asked: dict[str, Any]) -> Any:
    return ClusterClient.from_kubeconfig(Path(asked["kubeconfig"]), asked["context"])


def _door(cluster: Cluster, client: Any, asked: dict[str, Any]) -> Any:
    try:
        trusted = authorities(Path(asked["ca_path"])) if asked["ca_path"] else ""
    except NoAuthorities as error:
        raise Failed(f"ca_path: {error}") from None

    def token() -> Any:
        if asked["token"]:
            return Token(asked["token"])
        return _requested(cluster, asked) if asked["service_account"] else Token(_client(asked).token())

    wanted = token if asked["token"] or asked["service_account"] or client.token() else None
    return Door.of(asked["registry_url"], token=wanted, authorities=trusted, verify=asked["validate_certs"])


def _requested(cluster: Cluster, asked: dict[str, Any]) -> Any:
    """A new token of the ServiceAccount; the API server may let it live for less than was asked for."""
    place, _slash, name = asked["service_account"].rpartition("/")
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": EIGHT_HOURS},
    }
    path = f"{collection('v1', 'serviceaccounts', place or asked['namespace'])}/{name}/token"
    asked_at = datetime.now(UTC)
    try:
        given = cluster.create(path, request)["status"]
    except ClusterError as error:
        raise Unauthorized(f"no token can be had for {asked['service_account']}: {error}") from None
    ends = given.get("expirationTimestamp")
    life = (datetime.fromisoformat(ends) - asked_at).total_seconds() if ends else None
    return Token(str(given["token"]), life)
