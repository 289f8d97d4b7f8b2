"""``image-registry bootstrap``: makes what a template must not make, once (design, D10).

Run as a hook Job of the chart or by the operator, any number of times, even twice at once: whoever comes second reads
again and finds the work done.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.operator.release_secrets import AUTHORITY, BUNDLE_KEY, OWNER, SECRETS, BootstrapFailed
from image_registry.operator.secret_plan import BootstrapOptions, Change, Found, Plan, plan

__all__ = ["BootstrapFailed", "BootstrapOptions", "apply", "ensure_secrets", "publish_api_service_ca", "read"]

API_SERVICE = "v1.image.alauda.io"
DISCOVERY = "/apis/image.alauda.io/v1"

ROUNDS = 10
"""Plans made before we give up on others that write the same objects at the same time."""

POLL = 1.0
"""Seconds between two looks at something that is waited for."""


def ensure_secrets(
    client: ClusterClient,
    options: BootstrapOptions,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    *,
    wait: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Create what is missing, renew what grows old; returns one line for each thing done or left alone.

    ``wait`` is how many seconds others (cert-manager) get for what they make. A second run after a failure goes on from
    there. Raises :class:`BootstrapFailed`, KubeError, ClusterUnreachable.
    """
    done: list[str] = []
    rounds, left = 0, wait
    while rounds < ROUNDS:
        proposal = plan(read(client, options.namespace), options, clock())
        try:
            done.extend(apply(client, options.namespace, proposal))
        except KubeError as error:
            # created or written by another bootstrap in between: what it made is as good as ours
            if error.conflict:
                rounds += 1
                continue
            raise
        if wait and proposal.awaited:
            if left <= 0:
                names = " and ".join(proposal.awaited)
                raise BootstrapFailed(
                    f"cert-manager has not made Secret {names} in {wait:g} s: see kubectl -n {options.namespace} "
                    f"describe certificates.cert-manager.io {proposal.awaited[0]}"
                )
            left -= POLL
            sleep(POLL)
            continue
        return [*done, *proposal.notes] or ["nothing to do: every Secret exists and is good for a while"]
    raise BootstrapFailed(f"others keep changing the Secrets of namespace {options.namespace}: stop them and run again")


def read(client: ClusterClient, namespace: str) -> Found:
    """What there is now."""
    found = {name: client.find(object_path("v1", "secrets", name, namespace=namespace)) for name in SECRETS}
    return Found(
        {name: secret for name, secret in found.items() if secret is not None},
        client.find(object_path("v1", "configmaps", AUTHORITY, namespace=namespace)),
    )


def apply(client: ClusterClient, namespace: str, proposal: Plan) -> Iterator[str]:
    """Carry out a plan in its order, yielding what was done; stops at the first error."""
    for change in proposal.changes:
        _write(client, namespace, change)
        yield change.sentence


def publish_api_service_ca(
    client: ClusterClient,
    namespace: str,
    timeout: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Put the CA bundle into the APIService and wait until the API really answers; ``timeout`` in seconds.

    *Available* alone says little: kube-apiserver does not verify the certificate when it probes, only when it serves.
    So the last step is a request through it. Raises :class:`BootstrapFailed`, KubeError, ClusterUnreachable.
    """
    deadline = clock() + timeout
    path = object_path("apiregistration.k8s.io/v1", "apiservices", API_SERVICE)
    config_map = client.find(object_path("v1", "configmaps", AUTHORITY, namespace=namespace))
    trusted = str(((config_map or {}).get("data") or {}).get(BUNDLE_KEY, ""))
    if "BEGIN CERTIFICATE" not in trusted:
        raise BootstrapFailed(
            f"ConfigMap {AUTHORITY} in namespace {namespace} has no {BUNDLE_KEY}: "
            "run `image-registry bootstrap secrets` first"
        )
    wanted = base64.b64encode(trusted.encode()).decode()
    done: list[str] = []
    why = f"APIService {API_SERVICE} does not exist"
    while True:
        try:
            service = client.find(path)
            if service is not None:
                if (service.get("spec") or {}).get("caBundle") != wanted:
                    body = {
                        "apiVersion": "apiregistration.k8s.io/v1",
                        "kind": "APIService",
                        "metadata": {"name": API_SERVICE},
                        "spec": {"caBundle": wanted},
                    }
                    service = client.apply(path, body, owner=OWNER)
                    done.append(f"updated APIService {API_SERVICE}: the certificate authorities to trust")
                why = _unavailable(service)
                if not why:
                    client.get(DISCOVERY)
                    return [*done, f"APIService {API_SERVICE} is available and answers"]
        except ClusterUnreachable as error:
            why = str(error)
        except KubeError as error:
            # what is aggregated answers 404 and 503 until its servers and their certificates are found
            if not (error.passing or error.not_found or error.conflict):
                raise
            why = f"the API does not answer through kube-apiserver yet: {error}"
        if clock() >= deadline:
            raise BootstrapFailed(
                f"APIService {API_SERVICE} is not available after {timeout:g} s: {why}. Look at the Pods of Deployment "
                f"image-api-server in namespace {namespace} and their logs"
            )
        sleep(POLL)


def _unavailable(service: dict[str, object]) -> str:
    """Why kube-apiserver does not use the APIService; empty if it does."""
    status = service.get("status")
    conditions = status.get("conditions") if isinstance(status, dict) else None
    for condition in conditions or []:
        if condition.get("type") == "Available":
            if condition.get("status") == "True":
                return ""
            return f"{condition.get('reason')}: {condition.get('message')}"
    return "kube-apiserver has not looked at it yet"


def _write(client: ClusterClient, namespace: str, change: Change) -> None:
    query = {"fieldManager": OWNER}
    if change.action == "create":
        client.create(object_path("v1", change.resource, namespace=namespace), change.body, query=query)
    else:
        client.replace(object_path("v1", change.resource, change.name, namespace=namespace), change.body, query=query)
