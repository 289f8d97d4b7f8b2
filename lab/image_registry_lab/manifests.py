"""What is applied to the cluster: our own manifests with names filled in, and three files read out of Go modules.

The modules' files are read at build time, edited and kept in the cache: a copy in the repository would age apart from
the program it belongs to. Each edit must match exactly once, so a new version that looks different is noticed here.
"""

from __future__ import annotations

import hashlib
import string
from pathlib import Path

from image_registry_lab import addresses, archives, places, programs
from image_registry_lab.report import LabError

OWN = places.SOURCES / "manifests"
INGRESS_NAMESPACE = "ingress"
TRAEFIK_REFERENCE = "docs/content/reference/dynamic-configuration"

LOCAL_PATH_EDITS = (
    ("image: rancher/local-path-provisioner:v" + programs.LOCAL_PATH, f"image: {archives.LOCAL_PATH}"),
    ("            - local-path-provisioner\n            - --debug\n", "            - /local-path-provisioner\n"),
    ("        image: busybox\n", f"        image: {archives.BUSYBOX}\n"),
    (
        "metadata:\n  name: local-path\n",
        'metadata:\n  name: local-path\n  annotations: {storageclass.kubernetes.io/is-default-class: "true"}\n',
    ),
)
"""Our images, and the default class; volumes are made by a Pod of busybox."""

TRAEFIK_EDITS = (("    namespace: default", f"    namespace: {INGRESS_NAMESPACE}"),)


def edit(text: str, edits: tuple[tuple[str, str], ...], origin: str) -> str:
    """Replace each text that must occur exactly once. Raises :class:`LabError`."""
    for old, new in edits:
        if text.count(old) != 1:
            raise LabError(
                f"{origin} has {text.count(old)} places that read {old.strip()!r} where one was expected: "
                "the pinned version looks different; put the edits in lab/image_registry_lab/manifests.py right"
            )
        text = text.replace(old, new)
    return text


def fill(text: str) -> str:
    """Our own manifests name images and addresses as ``${COREDNS_IMAGE}``."""
    values = {
        "COREDNS_IMAGE": archives.COREDNS,
        "TRAEFIK_IMAGE": archives.TRAEFIK,
        "DNS_SERVICE": addresses.DNS_SERVICE,
        "INGRESS_NAMESPACE": INGRESS_NAMESPACE,
    }
    return string.Template(text).substitute(values)


def ensure(folder: Path) -> bool:
    """Read the modules' files into ``folder`` unless it was done for these versions; true if something was done."""
    stamp = folder / ".key"
    wanted = hashlib.sha256(
        repr((LOCAL_PATH_EDITS, TRAEFIK_EDITS, programs.LOCAL_PATH, programs.TRAEFIK)).encode()
    ).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    source = programs.module_folder("github.com/rancher/local-path-provisioner", "tools")
    origin = source / "deploy/local-path-storage.yaml"
    (folder / "local-path.yaml").write_text(edit(origin.read_text("utf-8"), LOCAL_PATH_EDITS, str(origin)), "utf-8")
    reference = programs.module_folder("github.com/traefik/traefik/v3", "ingress") / TRAEFIK_REFERENCE
    origin = reference / "kubernetes-crd-rbac.yml"
    (folder / "traefik-rbac.yaml").write_text(edit(origin.read_text("utf-8"), TRAEFIK_EDITS, str(origin)), "utf-8")
    definitions = (reference / "kubernetes-crd-definition-v1.yml").read_text("utf-8")
    (folder / "traefik-definitions.yaml").write_text(definitions, "utf-8")
    stamp.write_text(wanted, encoding="ascii")
    return True


def texts(folder: Path) -> list[str]:
    """Everything to apply, in order: definitions before what uses them."""
    names = ("traefik-definitions.yaml", "local-path.yaml")
    own = [fill((OWN / name).read_text("utf-8")) for name in ("cluster.yaml", "coredns.yaml", "traefik.yaml")]
    upstream = [(folder / name).read_text("utf-8") for name in names]
    return [*upstream, *own, (folder / "traefik-rbac.yaml").read_text("utf-8")]
