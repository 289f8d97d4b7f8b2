"""Where the Pod template is in each kind of workload, and where the images are in a Pod template.

Whoever lists the images that run, resolves their names or follows a tag asks here, so that no place of an image is
known to one and forgotten by another. Documents are plain dictionaries as the API server sends them; what has not the
shape it should have holds no image, and raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""Keys and indices from the root of a document down to a value."""

CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
"""The lists of containers of a Pod, in the order in which they start."""

VOLUMES = "volumes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A kind of object that holds a Pod, or the template of one."""

    group_version: str
    kind: str
    resource: str
    pod: tuple[str, ...]
    """The way to what has the Pod's ``metadata`` and ``spec``; a Pod is its own."""

    @property
    def group(self) -> str:
        """Its API group; empty for the core."""
        group, slash, _ = self.group_version.partition("/")
        return group if slash else ""


_TEMPLATE = ("spec", "template")

WORKLOADS = (
    Workload(group_version="v1", kind="Pod", resource="pods", pod=()),
    Workload(group_version="v1", kind="ReplicationController", resource="replicationcontrollers", pod=_TEMPLATE),
    Workload(group_version="apps/v1", kind="Deployment", resource="deployments", pod=_TEMPLATE),
    Workload(group_version="apps/v1", kind="ReplicaSet", resource="replicasets", pod=_TEMPLATE),
    Workload(group_version="apps/v1", kind="StatefulSet", resource="statefulsets", pod=_TEMPLATE),
    Workload(group_version="apps/v1", kind="DaemonSet", resource="daemonsets", pod=_TEMPLATE),
    Workload(group_version="batch/v1", kind="Job", resource="jobs", pod=_TEMPLATE),
    Workload(group_version="batch/v1", kind="CronJob", resource="cronjobs", pod=("spec", "jobTemplate", *_TEMPLATE)),
)
"""Every kind of Kubernetes itself that runs Pods."""


@dataclass(frozen=True, slots=True)
class ImageField:
    """One place where an image is named."""

    path: Path
    """From the root of the document; its last key is ``image``, or ``reference`` for a volume."""
    section: str
    """One of :data:`CONTAINERS`, or :data:`VOLUMES`."""
    name: str
    """Of the container or volume: what it is recognised by after the list was reordered."""
    image: str
    """What stands there; empty if nothing does."""

    @property
    def pointer(self) -> str:
        """As a JSON pointer (RFC 6901)."""
        return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in self.path)

    @property
    def words(self) -> str:
        """As messages write it: ``spec.template.spec.containers[0].image``."""
        return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.path).lstrip(".")


def workload(group_version: str, kind: str) -> Workload | None:
    """The kind, if it holds Pods."""
    return next((known for known in WORKLOADS if (known.group_version, known.kind) == (group_version, kind)), None)


def pod_of(known: Workload, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What has the ``metadata`` and ``spec`` of the Pod; empty if there is none."""
    found = read(document, known.pod)
    return found if isinstance(found, dict) else {}


def image_fields(known: Workload, document: Mapping[str, Any]) -> Iterator[ImageField]:
    """Every place of an image: containers in the order in which they start, then volumes made of images."""
    spec = pod_of(known, document).get("spec")
    if not isinstance(spec, dict):
        return
    root: Path = (*known.pod, "spec")
    for section in CONTAINERS:
        for index, container in _objects(spec.get(section)):
            path: Path = (*root, section, index, "image")
            yield ImageField(path, section, _text(container.get("name")), _text(container.get("image")))
    for index, volume in _objects(spec.get(VOLUMES)):
        if isinstance(volume.get("image"), dict):
            path = (*root, VOLUMES, index, "image", "reference")
            yield ImageField(path, VOLUMES, _text(volume.get("name")), _text(volume["image"].get("reference")))


def read(document: object, path: Path) -> Any:
    """What is at ``path``; ``None`` if the way ends before."""
    for key in path:
        if isinstance(key, int):
            document = document[key] if isinstance(document, list) and -1 < key < len(document) else None
        else:
            document = document.get(key) if isinstance(document, dict) else None
    return document


def with_image(document: Mapping[str, Any], path: Path, image: str) -> dict[str, Any]:
    """The document with another image at a path that :func:`image_fields` gave; the one that was given stays as it was.

    What is not on the way is shared between the two.
    """
    changed: dict[str, Any] = _replaced(dict(document), path, image)
    return changed


def has_controller(document: Mapping[str, Any]) -> bool:
    """True if another object made this one and keeps it as it is: a ReplicaSet of a Deployment, a Pod of a Job."""
    owners = read(document, ("metadata", "ownerReferences"))
    return any(owner.get("controller") is True for _, owner in _objects(owners))


def _replaced(value: Any, path: Path, image: str) -> Any:
    if not path:
        return image
    copy = value.copy()
    copy[path[0]] = _replaced(value.get(path[0]) if isinstance(value, dict) else value[path[0]], path[1:], image)
    return copy


def _objects(value: object) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, dict):
            yield index, item


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
