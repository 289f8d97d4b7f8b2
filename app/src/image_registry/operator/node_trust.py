"""``image-registry node-ca``: keeps one node's container runtime finding and trusting the registry.

Every 15 seconds it looks at the Service's address and at the authorities, of the registry and of further hosts, and
writes what has changed (:mod:`~image_registry.operator.node_files`, :mod:`~image_registry.operator.node_authorities`).
What it cannot do, and a containerd that would not read it, it says in a ConfigMap
(:mod:`~image_registry.operator.node_report`).

The address comes from the cluster's DNS, not from the API: it needs no permission, and a thousand nodes that ask every
15 seconds are nothing to the DNS, which answers from its cache, but would be a constant load on the API server. The
environment that Kubernetes gives to Pods would be older than a re-created Service. The name is asked for with its
cluster domain, so that no wildcard of an outer domain can answer in its place when the Service is gone.
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import structlog

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.dns import RESOLV_CONF, cluster_domain
from image_registry.kube.errors import ClusterUnreachable, KubeconfigError, KubeError
from image_registry.operator import containerd_config, node_authorities, node_files
from image_registry.operator.node_files import HostsFileReplaced, Wanted
from image_registry.operator.node_report import NodeReport, state_of

INTERVAL = 15.0
"""Seconds between two looks."""

Resolve = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTrustOptions:
    """``service_host`` is the pull address inside of the cluster, HOST:PORT; the paths are as this process sees them.

    ``daemonset`` (NAMESPACE/NAME) is asked about at the end: only if it is going, too, the node is cleaned.
    ``further_cas`` are folders of authorities in files named after their hosts; ``hosts`` are those that are wanted
    even while their file is missing. ``docker_certs_dir`` gets the same authorities. ``containerd_dir`` is containerd's
    ``containerd_place``, and ``certs_place`` is the node's name of ``certs_dir``: by them it is said when containerd
    would not read what is written. ``node`` is this node's name, under which its state is written down.
    """

    service_host: str
    ca_file: Path
    certs_dir: Path = Path("/etc/containerd/certs.d")
    hosts_file: Path = Path("/etc/hosts")
    daemonset: str | None = None
    further_cas: tuple[Path, ...] = ()
    hosts: tuple[str, ...] = ()
    docker_certs_dir: Path | None = None
    containerd_dir: Path | None = Path("/etc/containerd")
    containerd_place: Path = Path("/etc/containerd")
    certs_place: str = "/etc/containerd/certs.d"
    node: str = ""

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
    report = _report(options, client)
    said: tuple[str, ...] = ()
    while not stop.is_set():
        failed = ""
        try:
            done, notes = once(options, resolve or cluster_addresses)
        except HostsFileReplaced:
            raise
        except OSError as error:
            failed = f"cannot keep the node's files: {error}{_cure(error)}"
            done, notes = [], (failed,)
        remark = _remark(options)
        for sentence in done:
            log.info(sentence)
        told = (*notes, *([remark] if remark else []))
        for note in told:
            if note not in said:
                log.warning(note)
        said = told
        if report:
            report.tell(state_of(remark, notes, failed))
        stop.wait(INTERVAL)
    if options.daemonset and is_going(options.daemonset, client):
        remove(options)
        if report:
            report.forget()


def _report(options: NodeTrustOptions, client: Callable[[], ClusterClient]) -> NodeReport | None:
    if not options.node or not options.daemonset:
        return None
    try:
        return NodeReport(client(), options.daemonset.partition("/")[0], options.node)
    except (ClusterUnreachable, KubeconfigError) as error:
        structlog.get_logger().warning("the node's state is not written down", reason=str(error))
        return None


def _remark(options: NodeTrustOptions) -> str:
    if options.containerd_dir is None:
        return ""
    return containerd_config.remark(options.containerd_dir, options.containerd_place, options.certs_place)


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
    done = [step.sentence for step in proposal.steps]
    try:
        further = node_authorities.wanted(options.further_cas)
    except OSError as error:
        return done, (*notes, *proposal.notes, f"cannot read further authorities: {error}; the last ones stay")
    kept = frozenset({options.authority, *options.hosts})
    further.pop(options.authority, None)
    sentences, more = _keep(options.certs_dir, further, kept, toml=True)
    done += sentences
    if options.docker_certs_dir is not None:
        everything = {**further, **({options.authority: ca} if ca is not None else {})}
        sentences, others = _keep(options.docker_certs_dir, everything, kept, toml=False)
        done += sentences
        more += others
    return done, (*notes, *proposal.notes, *more)


def _keep(
    certs_dir: Path, authorities: dict[str, str], kept: frozenset[str], *, toml: bool
) -> tuple[list[str], list[str]]:
    found = node_authorities.read(certs_dir)
    steps, notes = node_authorities.plan(found, authorities, kept=kept, toml=toml)
    node_authorities.apply(steps, certs_dir)
    return [f"{step.sentence} of {certs_dir}" for step in steps], notes


def remove(options: NodeTrustOptions) -> list[str]:
    """Undo exactly what was written to this node; returns what was done. Raises :class:`OSError`."""
    found = node_files.read(options.certs_dir, options.hosts_file, options.authority)
    proposal = node_files.plan_removal(found, options.authority)
    node_files.apply(proposal.steps, options.certs_dir, options.hosts_file, options.authority)
    done = [step.sentence for step in proposal.steps]
    for folder in (options.certs_dir, options.docker_certs_dir):
        if folder is not None:
            done += _keep(folder, {}, frozenset(), toml=True)[0]
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
