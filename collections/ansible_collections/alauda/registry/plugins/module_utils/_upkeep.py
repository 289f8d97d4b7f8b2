# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to the registry's upkeep: by an address, or through the API server to a Pod, with TLS to the end.

Private to this collection. Runs are begun and followed by the Python package, as ``ac adm registry`` does it; here is
who asks, and what the report means to a task.
"""

from __future__ import annotations

import json
import tempfile
import traceback
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.alauda.registry.plugins.module_utils import _installation, _library
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._objects import collection
from ansible_collections.alauda.registry.plugins.module_utils._wire import Wire, WireError

IMPORT_ERROR: str | None = None
try:
    import click

    from image_registry.cli.failures import RightsError, Unreachable, Wrong
    from image_registry.cli.registry_door import Refused, open_door
    from image_registry.cli.registry_runs import follow
    from image_registry.garbage.report import clean
    from image_registry.kube.client import ClusterClient
    from image_registry.kube.errors import KubeconfigError
except ImportError:
    IMPORT_ERROR = traceback.format_exc()

TEN_MINUTES = 600
FAILING, REFUSED, FINE = 500, (401, 403), 300


class UpkeepError(Exception):
    """What cannot be done, and what to do about it."""


@dataclass(frozen=True)
class Told:
    """The result of the task; ``faults`` is a sentence if something is wrong."""

    result: dict[str, Any]
    faults: str


class Forwarded:
    """A door like that of the package, through the API server."""

    def __init__(self, wire: Wire, token: str) -> None:
        self.url = f"https://{wire.host}"
        self._wire, self._token = wire, token

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The object that the registry answers. Raises what the package's door raises."""
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token}"}
        content = b"" if body is None else json.dumps(body).encode()
        if content:
            headers["Content-Type"] = "application/json"
        try:
            answer = self._wire.ask(method, path, content, headers)
        except WireError as error:
            raise Unreachable(str(error)) from None
        if answer.status < FINE:
            return answer.document
        errors = answer.document.get("errors") or [{}]
        message = str(errors[0].get("message") or f"{method} {path} was answered with status {answer.status}")
        if answer.status >= FAILING:
            raise Unreachable(f"the registry cannot do it now: {message}")
        if answer.status in REFUSED:
            raise RightsError(f"the registry refused: {message}")
        raise Refused(f"the registry refused: {message}", errors[0].get("detail") or {})


def need_package(module: AnsibleModule) -> None:
    """Name the Python package that is missing."""
    if IMPORT_ERROR:
        module.fail_json(msg=_library.missing(), exception=IMPORT_ERROR)


def door(cluster: Cluster | None, asked: dict[str, Any]) -> Any:
    """Where the registry is asked. Raises :class:`UpkeepError`."""
    try:
        token = asked["token"] or _token(cluster, asked)
        if asked["registry_url"]:
            return _by_address(asked, token)
        if cluster is None:
            raise UpkeepError("without registry_url the registry is asked through the cluster: name its kubeconfig")
        authority = _installation.certificate_authority(cluster, asked["namespace"])
        if "BEGIN CERTIFICATE" not in authority:
            raise UpkeepError(
                f"ConfigMap image-registry-ca of namespace {asked['namespace']} has no certificate: is the registry "
                "installed there (namespace)?"
            )
        return Forwarded(Wire(cluster, asked["namespace"], _pod(cluster, asked["namespace"]), authority), token)
    except ClusterError as error:
        raise UpkeepError(str(error)) from None
    except click.ClickException as error:
        raise UpkeepError(error.format_message()) from None


def _by_address(asked: dict[str, Any], token: str) -> Any:
    """The package's own door; it reads the token from a file, which is ours alone and gone at once."""
    from pathlib import Path

    with tempfile.NamedTemporaryFile("w", encoding="ascii", prefix="image-registry-") as file:
        file.write(token)
        file.flush()
        given = {
            "registry_url": asked["registry_url"],
            "token_file": Path(file.name),
            "kubeconfig": None,
            "context": None,
            "certificate_authority": Path(asked["ca_path"]) if asked["ca_path"] else None,
            "insecure": False,
        }
        return open_door(given)


def _token(cluster: Cluster | None, asked: dict[str, Any]) -> str:
    if cluster is None:
        return ""
    if asked["service_account"]:
        place, _slash, name = asked["service_account"].rpartition("/")
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": TEN_MINUTES},
        }
        path = f"{collection('v1', 'serviceaccounts', place or asked['namespace'])}/{name}/token"
        return str(cluster.create(path, request)["status"]["token"])
    from pathlib import Path

    try:
        found = ClusterClient.from_kubeconfig(Path(asked["kubeconfig"]), asked["context"]).token()
    except KubeconfigError as error:
        raise UpkeepError(str(error)) from None
    if not found:
        raise UpkeepError(
            "this user of the kubeconfig has no token, and a registry knows no client certificates: name a service "
            f"account that may (service_account: {asked['namespace']}/pruner), or give a token"
        )
    return found


def _pod(cluster: Cluster, namespace: str) -> str:
    """A Pod of the registry that is ready."""
    selector = "app.kubernetes.io/name=image-registry"
    for pod in cluster.items(collection("v1", "pods", namespace), labelSelector=selector):
        conditions = (pod.get("status") or {}).get("conditions") or []
        if any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions):
            return str(pod["metadata"]["name"])
    raise UpkeepError(
        f"no Pod of Deployment image-registry in namespace {namespace} is ready: registry_info says why, or name the "
        "registry by registry_url"
    )


def ended(where: Any, asked: dict[str, Any], *, confirm: bool) -> dict[str, Any]:
    """The run at its end. Raises :class:`UpkeepError`."""
    namespace, _slash, repository = asked["scope"].partition("/")
    task = asked["task"]
    rate = asked["rate"] if asked["rate"] is not None else (50.0 if task == "scrub" else 0.0)
    options: dict[str, dict[str, Any]] = {
        "gc": {"confirm": confirm, "grace": asked["grace"], "trash": asked["trash"], "atMost": asked["at_most"]},
        "verify": {"namespace": namespace, "repository": repository, "deep": asked["deep"]},
        "scrub": {"confirm": confirm},
    }
    try:
        return follow(where, task, {**options[task], "rate": rate})
    except (RightsError, Wrong) as error:
        raise UpkeepError(
            f"{error.format_message()} (the ClusterRole system:image-pruner has the rights: registry_access with role "
            "pruner)"
            if isinstance(error, RightsError)
            else error.format_message()
        ) from None
    except click.ClickException as error:
        raise UpkeepError(error.format_message()) from None


def told(run: dict[str, Any], *, confirm: bool) -> Told:
    """What a run means to its task. ``confirm`` is what the task asked for, also where a check ran in its place."""
    kind, report = run["kind"], run["report"]
    gone: dict[str, Any] = {}
    if kind == "gc":
        totals = report["totals"]
        numbers = {name: totals[name] for name in ("links", "thrownAway", "takenBack", "removed")}
        something = any(number["blobs"] if isinstance(number, dict) else number for number in numbers.values())
        gone = numbers if something else {}
        good = clean(report)
    else:
        if kind == "scrub" and report["totals"]["corrupt"]:
            gone = {"putAside": report["totals"]["corrupt"]}
        good = bool(report["clean"])
    changed = confirm and bool(gone)
    faults = (
        ""
        if good
        else f"the run {run['id']} ({kind}) ended and found something wrong: {json.dumps(report['totals'])}; the "
        "report has every finding"
    )
    result = {
        "changed": changed,
        "report": report,
        "run": {key: value for key, value in run.items() if key not in ("report", "progress")},
        "diff": {"before": {kind: gone}, "after": {kind: {}}} if changed else {},
    }
    return Told(result, faults)
