# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an installation keeps its promises, asked from outside: every broken one is a finding.

Private to this collection.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from ansible_collections.alauda.registry.plugins.module_utils import _installation, _readiness
from ansible_collections.alauda.registry.plugins.module_utils._cluster import Cluster, ClusterError
from ansible_collections.alauda.registry.plugins.module_utils._findings import Finding, errors
from ansible_collections.alauda.registry.plugins.module_utils._helm import Helm, HelmError
from ansible_collections.alauda.registry.plugins.module_utils._trial import Trial
from ansible_collections.alauda.registry.plugins.module_utils._wire import Wire, WireError

LEAST = ("Deployment", "image-registry"), ("Deployment", "image-api-server")


def verify(cluster: Cluster, helm: Helm, timeout: float, *, push: bool, helm_test: bool) -> list[Finding]:
    """Wait for readiness, then ask; raises ClusterError, HelmError."""
    current = helm.status()
    if current is None:
        return [
            Finding(
                "release",
                f"there is no release {helm.release} in namespace {helm.namespace}",
                "install it (playbooks/install.yml), or set registry_namespace and "
                "registry_release_name to where it is",
            )
        ]
    found: list[Finding] = []
    status = str(current["info"]["status"])
    if status != "deployed":
        found.append(
            Finding("release", f"revision {current['version']} of the release is {status}", "run the install again")
        )
    view, image_api = _settled(cluster, helm, timeout)
    found += _readiness.problems(view)
    for kind, name in LEAST:
        if _readiness.workload(view, kind, name) is None:
            found.append(Finding("release", f"{kind} {name} does not exist", "run the install again"))
    if view.api_service is None:
        found.append(Finding("release", "APIService v1.image.alauda.io does not exist", "run the install again"))
    found += image_api
    found += _data_plane(cluster, helm, view, push=push)
    if helm_test and not errors(found):
        try:
            helm.test(int(timeout))
        except HelmError as error:
            found.append(
                Finding("helm-test", str(error), f"kubectl -n {helm.namespace} logs image-registry-test says which")
            )
    return found


def _settled(cluster: Cluster, helm: Helm, timeout: float) -> tuple[_readiness.View, list[Finding]]:
    """A look when everything is ready, or the last one before the time is over, and what is wrong with the Image API.

    An APIService is called available before every API server leads callers there, so being asked is part of readiness.
    """
    deadline = time.monotonic() + timeout
    while True:
        view = _readiness.look(cluster, helm.namespace, helm.release)
        found = _readiness.problems(view)
        image_api = list(_image_api(cluster))
        if not errors([*found, *image_api]) or _readiness.hopeless(found) or time.monotonic() > deadline:
            return view, image_api
        time.sleep(2)


def _image_api(cluster: Cluster) -> Iterator[Finding]:
    try:
        kinds = {each["name"] for each in cluster.get("/apis/image.alauda.io/v1").get("resources", [])}
    except ClusterError as error:
        yield Finding(
            "image-api", f"image.alauda.io/v1 does not answer: {error}", "look at Deployment image-api-server"
        )
        return
    missing = {"images", "imagestreams", "imagestreamtags"} - kinds
    if missing:
        yield Finding(
            "image-api", f"image.alauda.io/v1 does not serve {', '.join(sorted(missing))}", "upgrade the image"
        )


def _data_plane(cluster: Cluster, helm: Helm, view: _readiness.View, *, push: bool) -> Iterator[Finding]:
    pods = [
        pod["metadata"]["name"]
        for pod in view.pods
        if (pod["metadata"].get("labels") or {}).get("app.kubernetes.io/name") == "image-registry"
        and any(
            each.get("type") == "Ready" and each.get("status") == "True"
            for each in (pod.get("status") or {}).get("conditions") or []
        )
    ]
    authority = _installation.certificate_authority(cluster, helm.namespace)
    if "BEGIN CERTIFICATE" not in authority:
        yield Finding(
            "tls", "ConfigMap image-registry-ca has no certificate", "run the install again: its hook makes it"
        )
        return
    for pod in pods:
        wire = Wire(cluster, helm.namespace, pod, authority)
        try:
            answer = wire.ask("GET", "/v2/")
        except WireError as error:
            yield Finding("tls", str(error), f"look at the log of Pod {pod}")
            continue
        if answer.status != 401 or "www-authenticate" not in answer.headers:
            yield Finding(
                "access",
                f"{wire.host}:5000/v2/ of Pod {pod} answered {answer.status} to a caller without a "
                "token, instead of 401",
                "check extraEnv: REGISTRY_AUTH must be left to the chart",
            )
    if push and pods:
        yield from Trial(cluster, Wire(cluster, helm.namespace, pods[0], authority)).findings()
