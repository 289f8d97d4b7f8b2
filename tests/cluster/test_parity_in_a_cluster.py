"""Points of the list of parity that only a whole cluster can show: its proxy, its controllers, its roles."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.api.cluster import client_certificate
from image_registry.operator import certificates
from image_registry_lab.places import Places, cache
from tests.clients.curl import Curl
from tests.clients.layout import image
from tests.clients.programs import Crane
from tests.cluster.informer import Informer
from tests.cluster.kubernetes import NAMESPACE, CommandFailed, Kubectl, Team
from tests.cluster.raw import RawApi

pytestmark = pytest.mark.lab

GROUP = "/apis/image.alauda.io/v1"
SERVICE = "apiservice/v1.image.alauda.io"
AUTHENTICATION = ("-n", "kube-system", "configmap/extension-apiserver-authentication")
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
SOON = 60
"""Seconds in which the cluster's controllers and our watches come round to everything here."""


def until(what: Callable[[], Any], seconds: float = SOON) -> Any:
    """What the question is answered with, as soon as that is something."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds:g} seconds"
        time.sleep(0.3)
    return found


def stream(name: str, **metadata: Any) -> dict[str, Any]:
    head = {"apiVersion": "image.alauda.io/v1", "kind": "ImageStream"}
    return {**head, "metadata": {"name": name, **metadata}, "spec": {}}


@pytest.mark.parity(1)
def test_the_api_is_available_within_a_minute_of_having_no_server(kubectl: Kubectl) -> None:
    kubectl("-n", NAMESPACE, "delete", "pods", "-l", "app.kubernetes.io/name=image-api-server", "--wait=false", "--now")
    began = time.monotonic()
    kubectl("-n", NAMESPACE, "rollout", "status", "deployment/image-api-server", f"--timeout={SOON}s")
    kubectl("wait", SERVICE, "--for=condition=Available", f"--timeout={SOON}s")
    until(lambda: answers(kubectl, "get", "imagestreams", "-A"))
    assert time.monotonic() - began < SOON


def answers(kubectl: Kubectl, *arguments: str) -> bool:
    try:
        kubectl(*arguments)
    except CommandFailed:
        return False
    return True


@pytest.mark.parity(3)
def test_both_discoveries_of_the_cluster_agree_about_the_group(kubectl: Kubectl, tmp_path: Path) -> None:
    api = RawApi(kubectl.kubeconfig, tmp_path)
    legacy = api("GET", GROUP).json()["resources"]
    aggregated = api("GET", "/apis", Accept=AGGREGATED).json()["items"]
    [group] = [item for item in aggregated if item["metadata"]["name"] == "image.alauda.io"]
    [version] = group["versions"]
    assert version["freshness"] == "Current"
    found = {}
    for resource in version["resources"]:
        found[resource["resource"]] = (set(resource["verbs"]), tuple(resource.get("shortNames", ())))
        for part in resource.get("subresources", ()):
            found[f"{resource['resource']}/{part['subresource']}"] = (set(part["verbs"]), ())
    assert found == {
        resource["name"]: (set(resource["verbs"]), tuple(resource.get("shortNames", ()))) for resource in legacy
    }


# who calls


def directly(kubectl: Kubectl, pair: Path | None) -> int:
    """The status of a request past the proxy by somebody who says to be an administrator; 0 without an answer."""
    host = kubectl.json("-n", NAMESPACE, "get", "service", "image-api-server")["spec"]["clusterIP"]
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE  # who they are is not the question here
    if pair is not None:
        trust.load_cert_chain(pair)
    connection = http.client.HTTPSConnection(host, 443, context=trust, timeout=10)
    try:
        said = {"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}
        connection.request("GET", f"{GROUP}/imagestreams", headers=said)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


@pytest.mark.parity(2)
def test_a_new_ca_of_the_proxy_is_trusted_and_an_old_one_forgotten_without_a_restart(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    authority = certificates.make_authority("another front proxy", datetime.now(UTC))
    trusted = kubectl.json("get", *AUTHENTICATION[:2], AUTHENTICATION[2])["data"]
    names = json.loads(trusted["requestheader-allowed-names"])
    pair = tmp_path / "proxy.pem"
    pair.touch(mode=0o600)
    pair.write_bytes(client_certificate(authority, names[0] if names else "anybody", datetime.now(UTC)))
    pods = kubectl.names("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=image-api-server")
    assert directly(kubectl, None) in (401, 403)
    assert directly(kubectl, pair) != 200

    def trust(bundle: str) -> None:
        change = {"data": {"requestheader-client-ca-file": bundle}}
        kubectl(*AUTHENTICATION[:2], "patch", AUTHENTICATION[2], "--type=merge", "-p", json.dumps(change))

    before = trusted["requestheader-client-ca-file"]
    try:
        trust(before.rstrip("\n") + "\n" + authority.certificate.decode())
        until(lambda: directly(kubectl, pair) == 200, 3 * SOON)
        kubectl("get", "imagestreams", "-A")
    finally:
        trust(before)
    # every process of every server forgets it by itself
    until(lambda: all(directly(kubectl, pair) != 200 for _ in range(12)), 3 * SOON)
    kubectl("get", "imagestreams", "-A")
    assert kubectl.names("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=image-api-server") == pods


# the cluster's controllers


@pytest.mark.parity(6)
def test_the_garbage_collector_deletes_streams_whose_owner_is_gone_and_complains_of_nothing(
    kubectl: Kubectl, team: Team
) -> None:
    log = Places(cache()).logs / "kube-controller-manager.log"
    began = log.stat().st_size
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": team.namespace}}
    kubectl.apply(owner)
    uid = kubectl.json("-n", team.namespace, "get", "configmap", "owner")["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    kubectl.apply(
        stream("owned", namespace=team.namespace, ownerReferences=[reference]), stream("free", namespace=team.namespace)
    )
    kubectl("-n", team.namespace, "delete", "configmap", "owner")
    until(lambda: kubectl.names("-n", team.namespace, "imagestreams") == {"free"}, 2 * SOON)
    with log.open("rb") as lines:
        lines.seek(began)
        said = lines.read().decode(errors="replace")
    about_us = [line for line in said.splitlines() if "garbagecollector" in line and "image.alauda.io" in line]
    assert [line for line in about_us if re.match(r"[EF]\d{4} ", line)] == []


@pytest.mark.parity(7)
def test_an_informer_that_is_told_410_lists_again_and_misses_nothing(
    kubectl: Kubectl, team: Team, tmp_path: Path
) -> None:
    api = RawApi(kubectl.kubeconfig, tmp_path)
    path = f"{GROUP}/namespaces/{team.namespace}/imagestreams"
    for name in ("a", "b"):
        assert api("POST", path, stream(name)).status == 201
    informer = Informer(api, path)
    informer.start()
    until(lambda: set(informer.objects) == {"a", "b"})
    too_long_ago = (
        "INSERT INTO revisions (revision, kind, namespace, name, event, created) "
        "SELECT max(revision) + 150000, 'Schema', '', 'a test', 'ADDED', now() FROM revisions; "
        "SELECT setval(pg_get_serial_sequence('revisions', 'revision'), (SELECT max(revision) FROM revisions));"
    )
    ours = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
    script = f'psql -h /tmp -U postgres -v ON_ERROR_STOP=1 -d "$(psql -h /tmp -U postgres -Atc "{ours}")" -c "$0"'
    kubectl("-n", NAMESPACE, "exec", "statefulset/image-registry-db", "--", "sh", "-c", script, too_long_ago)
    assert api("DELETE", f"{path}/a").status == 200
    assert api("POST", path, stream("c")).status == 201
    until(lambda: set(informer.objects) == {"b", "c"}, 2 * SOON)
    informer.leave()
    assert informer.objects == {item["metadata"]["name"]: item for item in api("GET", path).json()["items"]}
    assert informer.doubled == []


# who may


@pytest.mark.parity(13)
def test_a_tag_from_another_namespace_needs_the_right_to_pull_there(
    kubectl: Kubectl, crane: Crane, team: Team, other_team: Team, tmp_path: Path
) -> None:
    digest = crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")
    kubectl("-n", other_team.namespace, "create", "rolebinding", "edits", "--clusterrole=edit", *account(other_team))
    as_builder = f"--as=system:serviceaccount:{other_team.namespace}:builder"
    source = {"kind": "ImageStreamTag", "name": "app:v1", "namespace": team.namespace}
    wanted = {**stream("taken", namespace=other_team.namespace), "spec": {"tags": [{"name": "v1", "from": source}]}}
    with pytest.raises(CommandFailed, match=r"(?s)spec\.tags\[v1\]\.from: Forbidden"):
        kubectl("create", as_builder, "-f", "-", stdin=json.dumps(wanted))
    assert not kubectl.names("-n", other_team.namespace, "imagestreams")
    role = "--clusterrole=system:image-puller"
    kubectl("-n", team.namespace, "create", "rolebinding", "others-pull", role, *account(other_team))
    until(lambda: made(kubectl, as_builder, wanted))
    tag = kubectl.json("-n", other_team.namespace, "get", "istag", "taken:v1")
    assert tag["image"]["metadata"]["name"] == digest


def account(team: Team) -> tuple[str, ...]:
    return (f"--serviceaccount={team.namespace}:builder",)


def made(kubectl: Kubectl, who: str, document: dict[str, Any]) -> bool:
    try:
        kubectl("create", who, "-f", "-", stdin=json.dumps(document))
    except CommandFailed:
        return False
    return True


@pytest.mark.parity(14)
def test_a_binding_for_everybody_lets_nobody_in_particular_pull_and_not_push(
    kubectl: Kubectl, crane: Crane, curl: Curl, team: Team, tmp_path: Path
) -> None:
    crane.push(image(tmp_path / "image"), f"{team.namespace}/app:v1")
    pull = f"/v2/{team.namespace}/app/manifests/v1"
    assert curl(pull).status == 401
    everybody = ("--clusterrole=system:image-puller", "--group=system:unauthenticated")
    kubectl("-n", team.namespace, "create", "rolebinding", "everybody-pulls", *everybody)

    def anonymous(path: str, *arguments: str) -> int:
        challenge = curl("/v2/").headers["www-authenticate"]
        parts = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        scope = f"repository:{team.namespace}/app:pull,push"
        token = json.loads(curl(f"{parts['realm']}?service={parts['service']}&scope={scope}").body)["token"]
        return curl(path, *arguments, config=f'header = "Authorization: Bearer {token}"\n').status

    until(lambda: anonymous(pull) == 200)
    assert anonymous(f"/v2/{team.namespace}/app/blobs/uploads/", "-X", "POST", "-d", "") in (401, 403)


# what a tag means


@pytest.mark.parity(11)
def test_a_tag_that_comes_back_to_an_image_is_an_event_of_its_own(
    kubectl: Kubectl, crane: Crane, team: Team, tmp_path: Path
) -> None:
    layouts = [image(tmp_path / name) for name in ("one", "two")]
    pushed = [crane.push(layouts[number], f"{team.namespace}/app:v1") for number in (0, 1, 1, 0)]
    (tag,) = kubectl.json("-n", team.namespace, "get", "is", "app")["status"]["tags"]
    assert [event["image"] for event in tag["items"]] == [pushed[3], pushed[1], pushed[0]]
    change = {"metadata": {"labels": {"changed": "yes"}}}
    kubectl("-n", team.namespace, "patch", "is", "app", "--type=merge", "-p", json.dumps(change))
    (same,) = kubectl.json("-n", team.namespace, "get", "is", "app")["status"]["tags"]
    assert same == tag
