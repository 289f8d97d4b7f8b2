"""What gates compare with, asked of this registry and of the cluster: many at once, each thing once, all of them."""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.kube.listing import items
from image_registry.kube.reviews import AccessReviewer, ReviewedUser
from image_registry.migration.actions import RegistryDoor
from image_registry.migration.gates import Question, Seen
from image_registry.migration.limit_conversion import NAME as LIMITS
from image_registry.migration.registry_access import Registry, digest_of
from image_registry.mirroring.limits import Limits
from image_registry.remote.asking import Access
from image_registry.remote.credentials import Keyring, Login, UnreadableCredentials
from image_registry.remote.errors import Forbidden, NotFound, RemoteError, Unauthorized
from image_registry.remote.reference import RemoteReference

AT_ONCE, PAGE = 8, 200
PATIENCE = 10.0
SYSTEM = "system:serviceaccount:"
ATTRIBUTES = {
    "pull": {"verb": "get", "resource": "imagestreams", "subresource": "layers"},
    "push": {"verb": "update", "resource": "imagestreams", "subresource": "layers"},
    "delete": {"verb": "delete", "resource": "imagestreamtags"},
}
_KEYS = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}

K = TypeVar("K")


def read_each(keys: Sequence[K], look: Callable[[K], Seen]) -> dict[K, Seen]:
    """Each of them, a few at a time; what fails says why."""
    found: dict[K, Seen] = {}

    def one(key: K) -> None:
        try:
            found[key] = look(key)
        except (RemoteError, KubeError, ClusterUnreachable, OSError) as error:
            found[key] = Seen(error=str(error))

    Limits(AT_ONCE, 1).each(keys, lambda _key: ("here",), one)
    return found


def tag(registry: Registry, repository: str, name: str) -> Seen:
    """The digest that a tag means here."""
    return Seen(str(registry.digest(repository, name) or ""))


def manifest(registry: Registry, repository: str, digest: str) -> Seen:
    """The digest again, if its bytes come and are right."""
    wanted = digest_of(digest)
    if wanted is None:
        return Seen(error=f"{digest} is no digest")
    try:
        registry.read_manifest(repository, wanted)
    except NotFound:
        return Seen()
    return Seen(digest)


def blob(registry: Registry, repository: str, digest: str) -> Seen:
    """How many bytes it has."""
    wanted = digest_of(digest)
    size = registry.blob_size(repository, wanted) if wanted is not None else None
    return Seen("" if size is None else str(size))


def image(registry: Registry, reference: str) -> Seen:
    """What an image that a workload names means here, whichever host it names."""
    named = RemoteReference.parse(f"{registry.name}/{reference.partition('/')[2]}")
    return Seen(str(registry.digest(named.path, named.digest or named.wanted) or ""))


def host(client: ClusterClient, door: RegistryDoor, name: str) -> Seen:
    """Whether a registry answers by a name: a Service by its Pods, another one by itself."""
    parts = name.partition(":")[0].split(".")
    if len(parts) >= 3 and parts[2] == "svc":
        return _service(client, parts[0], parts[1])
    try:
        there = Registry.of(replace(door, url=f"https://{name}", access=replace(door.access, patience=PATIENCE)))
        with there._put("GET", "/v2/"):  # noqa: SLF001 - one door
            return Seen(name)
    except (Unauthorized, Forbidden):
        return Seen(name)


def _service(client: ClusterClient, service: str, namespace: str) -> Seen:
    found = client.find(object_path("v1", "services", service, namespace=namespace))
    if found is None:
        return Seen(error=f"there is no Service {namespace}/{service}")
    path = object_path("discovery.k8s.io/v1", "endpointslices", namespace=namespace)
    slices = items(client, path, selectors={"labelSelector": f"kubernetes.io/service-name={service}"}, limit=PAGE)
    ready = [
        address
        for entry in slices
        for endpoint in entry.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in endpoint.get("addresses") or ()
    ]
    return Seen(ready[0]) if ready else Seen(error=f"no Pod of Service {namespace}/{service} is ready")


def may(reviewer: AccessReviewer, question: Question) -> Seen:
    """What the cluster decides about a subject of a binding."""
    kind, _, name = question.subject.partition(" ")
    if kind == "ServiceAccount":
        namespace, _, account = name.rpartition("/")
        namespace = namespace or question.namespace
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        user = ReviewedUser(f"{SYSTEM}{namespace}:{account}", groups=groups)
    elif kind == "Group":
        user = ReviewedUser("", groups=(name,))
    else:
        user = ReviewedUser(name, groups=("system:authenticated",))
    attributes = {"group": "image.alauda.io", "namespace": question.namespace, **ATTRIBUTES[question.action]}
    return Seen("yes" if reviewer.review(user, attributes).allowed else "")


def logins(client: ClusterClient, namespaces: Iterable[str]) -> dict[tuple[str, str], list[Keyring]]:
    """Pull Secrets by namespace and name; what they say stays in this process."""
    wanted, found = set(namespaces), defaultdict[tuple[str, str], list[Keyring]](list)
    for kind, key in _KEYS.items():
        for secret in items(
            client, object_path("v1", "secrets"), selectors={"fieldSelector": f"type={kind}"}, limit=PAGE
        ):
            namespace = secret["metadata"]["namespace"]
            if namespace in wanted:
                found[namespace, secret["metadata"]["name"]] += _keyrings((secret.get("data") or {}).get(key, ""))
    return found


def accounts(client: ClusterClient, namespaces: Iterable[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Names of the pull Secrets of every ServiceAccount, by its namespace and name."""
    found = {}
    for namespace in set(namespaces):
        for account in items(client, object_path("v1", "serviceaccounts", namespace=namespace), limit=PAGE):
            names = tuple(str(entry.get("name", "")) for entry in account.get("imagePullSecrets") or ())
            found[namespace, str(account["metadata"]["name"])] = names
    return found


def _keyrings(encoded: str) -> Iterator[Keyring]:
    try:
        yield Keyring.parse(base64.b64decode(encoded, validate=True))
    except (UnreadableCredentials, binascii.Error, ValueError):
        return


def login(registry: Registry, keyrings: Iterable[Keyring], name: str, image: str) -> Seen:
    """Whether one of the logins for a host is taken by this registry; ``image`` is one of the namespace, if known."""
    try:
        reference = RemoteReference.parse(f"{name}/{image.partition('/')[2] or 'any/image'}")
    except RemoteError as error:
        return Seen(error=str(error))
    found = [entry for keyring in keyrings for entry in keyring.logins(reference)]
    why = ""
    for entry in found:
        why = _refused(registry, entry, image)
        if not why:
            return Seen(name)
    return Seen(error=f"this registry does not take its login: {why}") if found else Seen()


def _refused(registry: Registry, login_: Login, image: str) -> str:
    door = replace(registry.door, access=Access(login=login_, insecure=registry.access.insecure, patience=PATIENCE))
    asked = Registry.of(door)
    if not image:
        return asked.lets_in()
    named = RemoteReference.parse(f"{registry.name}/{image.partition('/')[2]}")
    try:
        asked.digest(named.path, named.digest or named.wanted)
    except RemoteError as error:
        return str(error)
    return ""


def limit_ranges(client: ClusterClient, wanted: Iterable[str]) -> dict[str, Seen | Mapping[str, Any]]:
    """LimitRanges by namespace, as they are."""
    found: dict[str, Seen | Mapping[str, Any]] = {}
    for namespace in wanted:
        try:
            there = client.find(object_path("v1", "limitranges", LIMITS, namespace=namespace))
        except (KubeError, ClusterUnreachable) as error:
            found[namespace] = Seen(error=str(error))
        else:
            found[namespace] = Seen() if there is None else there
    return found
