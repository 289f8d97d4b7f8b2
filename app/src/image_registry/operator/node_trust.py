"""``image-registry node-ca``: keeps one node's container runtime finding and trusting the registry.

Every 15 seconds it looks at the Service's address and at the CA, and writes when one has changed
(:mod:`~image_registry.operator.node_files`).

The address comes from the cluster's DNS, not from the API: it needs no permission, and a thousand nodes that ask every
15 seconds are nothing to the DNS, which answers from its cache, but would be a constant load on the API server. The
environment that Kubernetes gives to Pods would be older than a re-created Service. The name is asked for with its
cluster domain, so that no wildcard of an outer domain can answer in its place when the Service is gone.
"""

from __future__ import annotations

import errno
import socket
import threading
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import structlog

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.dns import RESOLV_CONF, cluster_domain
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.operator import node_files
from image_registry.operator.node_files import HostsFileReplaced, Wanted

INTERVAL = 15.0
"""Seconds between two looks."""

Resolve = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTrustOptions:
    """``service_host`` is the pull address inside of the cluster, HOST:PORT; the paths are as this process sees them.

    ``daemonset`` (NAMESPACE/NAME) is asked about at the end: only if it is going, too, the node is cleaned.
    ``containerd_config`` is looked at if it exists, to say when containerd would not read ``certs_dir``.
    """

    service_host: str
    ca_file: Path
    certs_dir: Path = Path("/etc/containerd/certs.d")
    hosts_file: Path = Path("/etc/hosts")
    daemonset: str | None = None
    containerd_config: Path = Path("/etc/containerd/config.toml")

    @property
    def host(self) -> str:
        """The host of the pull address."""
        return self.service_host.rpartition(":")[0] or self.service_host

    @property
    def port(self) -> int:
        """The port of the pull address; 443 if it names none."""
        port = self.service_host.rpartition(":")[2]
        return int(port) if ":" in self.service_host and port.isdigit() else 443

    @property
    def authority(self) -> str:
        """The folder's name, always with its port."""
        return f"{self.host}:{self.port}"


def run(
    options: NodeTrustOptions,
    stop: threading.Event,
    *,
    client: Callable[[], ClusterClient] = ClusterClient.from_pod,
    resolve: Resolve | None = None,
) -> None:
    """Look and write until ``stop``; then clean the node if the DaemonSet is going.

    Raises :class:`HostsFileReplaced`, which only a restart of the container cures. Other errors are logged and tried
    again: a node is better served late than not at all.
    """
    log = structlog.get_logger()
    if remark := containerd_remark(options.containerd_config):
        log.warning(remark)
    said: tuple[str, ...] = ()
    while not stop.is_set():
        try:
            done, notes = once(options, resolve or cluster_addresses)
        except HostsFileReplaced:
            raise
        except OSError as error:
            done, notes = [], (f"cannot keep the node's files: {error}{_cure(error)}",)
        for sentence in done:
            log.info(sentence)
        for note in notes:
            if note not in said:
                log.warning(note)
        said = notes
        stop.wait(INTERVAL)
    if options.daemonset and is_going(options.daemonset, client):
        remove(options)


def once(options: NodeTrustOptions, resolve: Resolve) -> tuple[list[str], tuple[str, ...]]:
    """One look: what was written, and what stands in the way. Raises :class:`OSError`."""
    notes: list[str] = []
    try:
        address = next(iter(resolve(options.host)), None)
        if address is None:
            notes.append(f"{options.host} has no address")
    except OSError as error:
        address = None
        notes.append(f"{options.host} does not resolve ({error.strerror or error}); the last address stays")
    ca: str | None = None
    try:
        text = options.ca_file.read_text(encoding="ascii")
        if "BEGIN CERTIFICATE" in text:
            ca = text
        else:
            notes.append(f"{options.ca_file} holds no certificate; the last CA stays")
    except (OSError, UnicodeDecodeError) as error:
        notes.append(f"cannot read the CA {options.ca_file}: {error}; the last CA stays")
    found = node_files.read(options.certs_dir, options.hosts_file, options.authority)
    proposal = node_files.plan(found, Wanted(options.host, options.port, address, ca))
    node_files.apply(proposal.steps, options.certs_dir, options.hosts_file, options.authority)
    return [step.sentence for step in proposal.steps], (*notes, *proposal.notes)


def remove(options: NodeTrustOptions) -> list[str]:
    """Undo exactly what was written to this node; returns what was done. Raises :class:`OSError`."""
    found = node_files.read(options.certs_dir, options.hosts_file, options.authority)
    proposal = node_files.plan_removal(found, options.authority)
    node_files.apply(proposal.steps, options.certs_dir, options.hosts_file, options.authority)
    done = [step.sentence for step in proposal.steps]
    log = structlog.get_logger()
    for sentence in done:
        log.info(sentence)
    return done


def is_going(daemonset: str, client: Callable[[], ClusterClient]) -> bool:
    """True if the DaemonSet is deleted, so that no other Pod follows on this node.

    An uninstall deletes the ServiceAccount and its binding within the same second, so "you may not ask any more" means
    going, too. If that is wrong, the next Pod of the DaemonSet writes the files again within seconds. An API server
    that does not answer means no: a node that shuts down must keep what its next start needs.
    """
    namespace, _, name = daemonset.partition("/")
    try:
        found = client().find(object_path("apps/v1", "daemonsets", name, namespace=namespace), timeout=5.0)
    except KubeError as error:
        return error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    except (ClusterUnreachable, KubeconfigError):
        return False
    return found is None or bool(found["metadata"].get("deletionTimestamp"))


def _cure(error: OSError) -> str:
    """What an administrator changes so that the node's files can be written; empty if nobody knows."""
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return (
                ". Where SELinux or another policy protects them, allow it: with SELinux, "
                "set nodeCA.securityContext.seLinuxOptions.type to spc_t"
            )
        case errno.EROFS:
            return (
                ". This node keeps them read-only: name writable places by nodeCA.certsDir and nodeCA.hostsFile, or "
                "set nodeCA.enabled to false and give the node the name and the CA by its own configuration"
            )
        case errno.ENOSPC | errno.EDQUOT:
            return ". Its disk is full: make room, the next try follows by itself"
        case _:
            return ""


def cluster_addresses(host: str, resolv_conf: Path = RESOLV_CONF) -> list[str]:
    """The addresses of a Service by DNS, IPv4 first; a ``….svc`` name is asked for with its cluster domain.

    Raises :class:`OSError`.
    """
    name = host
    if host.endswith(".svc") and (domain := cluster_domain(resolv_conf)):
        name = f"{host}.{domain}."
    found = {
        (family, str(address[0]))
        for family, _, _, _, address in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    }
    return [address for _, address in sorted(found, key=lambda item: (item[0] != socket.AF_INET, item[1]))]


def containerd_remark(config: Path) -> str:
    """What to change in containerd's configuration so that it reads ``certs.d``; empty if nothing."""
    try:
        document = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    version = document.get("version", 1)
    plugins = document.get("plugins")
    for name in ("io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri", "cri"):
        plugin = plugins.get(name) if isinstance(plugins, dict) else None
        registry = plugin.get("registry") if isinstance(plugin, dict) else None
        if isinstance(registry, dict) and registry.get("config_path"):
            return ""
    if document.get("imports") or (isinstance(version, int) and version >= 3):
        return ""  # set elsewhere, or by containerd's own default
    plugin_name = "io.containerd.grpc.v1.cri"
    return (
        f"{config} sets no registry config_path, so containerd does not read certs.d and pulls from the registry will "
        f'fail: add [plugins."{plugin_name}".registry] with config_path = "/etc/containerd/certs.d", restart containerd'
    )
