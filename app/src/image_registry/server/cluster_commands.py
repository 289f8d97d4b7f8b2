"""Commands that look after an installation from inside of the cluster: the chart's hook Jobs and its DaemonSet.

Their work is in the room :mod:`image_registry.operator`; here are only their options.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_registry.server.logs import configure
from image_registry.server.settings import LogLevel

if TYPE_CHECKING:
    from image_registry.kube.client import ClusterClient

FILE = click.Path(path_type=Path)
NAMESPACE = click.option("--namespace", required=True, help="Namespace of the release.")
KUBECONFIG = click.option(
    "--kubeconfig", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Default: the Pod's own account."
)


@click.group()
def bootstrap() -> None:
    """Make what a template must not make: keys, certificates, passwords. Safe to repeat."""


@bootstrap.command()
@NAMESPACE
@KUBECONFIG
@click.option("--hostname", "hostnames", multiple=True, help="Further name or address in the registry's certificate.")
@click.option("--cluster-domain", help="Domain of the cluster's Services; default: this Pod's, else cluster.local.")
@click.option("--issued", is_flag=True, help="cert-manager makes the certificates that clients see.")
@click.option("--wait", default=0, help="Seconds to wait for them.")
def secrets(
    *,
    namespace: str,
    kubeconfig: Path | None,
    hostnames: tuple[str, ...],
    cluster_domain: str | None,
    issued: bool,
    wait: int,
) -> None:
    """Make missing Secrets (CA, certificates, token key, database password), renew old ones."""
    from image_registry.kube import dns
    from image_registry.operator.bootstrap import BootstrapOptions, ensure_secrets

    # another cluster's domain is not that of the Pod we may be in
    domain = cluster_domain or ("" if kubeconfig else dns.cluster_domain()) or "cluster.local"
    options = BootstrapOptions(namespace=namespace, hostnames=hostnames, cluster_domain=domain, issued=issued)
    for line in ensure_secrets(_cluster(kubeconfig), options, wait=wait):
        click.echo(line)


@bootstrap.command("api-service")
@NAMESPACE
@KUBECONFIG
@click.option("--timeout", default=120, show_default=True, help="Seconds to wait until the Image API answers.")
def api_service(namespace: str, kubeconfig: Path | None, timeout: int) -> None:
    """Write the CA bundle into the APIService and wait until the Image API answers."""
    from image_registry.operator.bootstrap import publish_api_service_ca

    for line in publish_api_service_ca(_cluster(kubeconfig), namespace, timeout):
        click.echo(line)


@click.command("node-ca")
@click.option("--service-host", required=True, metavar="HOST:PORT", help="Pull address inside of the cluster.")
@click.option("--ca-file", type=FILE, required=True, help="The CAs that the registry's certificate comes from, PEM.")
@click.option("--certs-dir", type=FILE, default=Path("/etc/containerd/certs.d"), show_default=True)
@click.option("--hosts-file", type=FILE, default=Path("/etc/hosts"), show_default=True)
@click.option("--daemonset", metavar="NAMESPACE/NAME", help="Undo everything at the end if this DaemonSet is going.")
@click.option(
    "--further-cas", type=FILE, multiple=True, help="Folder of authorities in files named HOST or HOST..PORT."
)
@click.option("--host", "hosts", multiple=True, help="Host of such a file, kept as it is while the file is missing.")
@click.option("--docker-certs-dir", type=FILE, help="The certs.d that Docker and CRI-O read.")
@click.option("--containerd-dir", type=FILE, help="Folder of containerd's config.toml, looked at.")
@click.option("--containerd-place", type=FILE, default=Path("/etc/containerd"), help="The same as the node sees it.")
@click.option("--certs-place", default="/etc/containerd/certs.d", help="--certs-dir as the node sees it.")
@click.option("--node", default="", help="Name of this node, for its line in ConfigMap image-registry-nodes.")
@click.option("--remove", is_flag=True, help="Undo what was written to this node, then end.")
def node_ca(
    *,
    service_host: str,
    ca_file: Path,
    certs_dir: Path,
    hosts_file: Path,
    daemonset: str | None,
    further_cas: tuple[Path, ...],
    hosts: tuple[str, ...],
    docker_certs_dir: Path | None,
    containerd_dir: Path | None,
    containerd_place: Path,
    certs_place: str,
    node: str,
    remove: bool,
) -> None:
    """Let this node's container runtime find and trust the registry, and keep it so."""
    from image_registry.operator import node_trust

    configure(LogLevel.NORMAL)
    options = node_trust.NodeTrustOptions(
        service_host=service_host,
        ca_file=ca_file,
        certs_dir=certs_dir,
        hosts_file=hosts_file,
        daemonset=daemonset,
        further_cas=further_cas,
        hosts=hosts,
        docker_certs_dir=docker_certs_dir,
        containerd_dir=containerd_dir,
        containerd_place=containerd_place,
        certs_place=certs_place,
        node=node,
    )
    if remove:
        for line in node_trust.remove(options) or ["nothing to undo: this node has no files of the registry"]:
            click.echo(line)
        return
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    node_trust.run(options, stop)


@click.command("image-triggers")
@NAMESPACE
@KUBECONFIG
@click.option(
    "--lease", default="image-triggers", show_default=True, help="Lease by which one replica works at a time."
)
def image_triggers(namespace: str, kubeconfig: Path | None, lease: str) -> None:
    """Keep images of workloads at what their tags mean (annotation image.alauda.io/triggers)."""
    import secrets as randomness
    import socket

    from image_registry.kube.lease import Lease
    from image_registry.operator import image_triggers as triggers

    configure(LogLevel.NORMAL)
    client = _cluster(kubeconfig)
    candidate = Lease(client, namespace, lease, f"{socket.gethostname()}_{randomness.token_hex(4)}")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    keeping = threading.Thread(target=candidate.keep, args=(stop,), name="lease")
    keeping.start()
    try:
        triggers.run(client, candidate.held, stop)
    finally:
        stop.set()
        keeping.join()


@click.command()
@click.option("--namespace", required=True, help="Namespace of the operator and of the registry.")
@KUBECONFIG
@click.option("--chart", type=FILE, default=Path("/opt/image-registry/chart"), show_default=True, help="Operand chart.")
@click.option("--values", type=FILE, help="Values of that chart below every Config, YAML.")
@click.option("--helm", default="helm", show_default=True, help="The helm program.")
@click.option("--home", type=FILE, default=Path("/tmp/helm"), show_default=True, help="Folder that Helm may write.")  # noqa: S108
@click.option("--listen", default=":8080", show_default=True, metavar="[HOST]:PORT", help="Health and metrics.")
@click.option("--log-level", type=click.Choice([*map(str, LogLevel)]), default="Normal", show_default=True)
@click.option("--pull-secrets", is_flag=True, help="Make pull Secrets for ServiceAccounts.")
@click.option(
    "--pull-secret-calls-per-second", type=click.FloatRange(1), default=100, show_default=True, help="At most."
)
@click.option(
    "--system-namespace", multiple=True, help="A namespace without pull Secrets unless Config wants them there."
)
def operator(
    *,
    namespace: str,
    kubeconfig: Path | None,
    chart: Path,
    values: Path | None,
    helm: str,
    home: Path,
    listen: str,
    log_level: str,
    pull_secrets: bool,
    pull_secret_calls_per_second: float,
    system_namespace: tuple[str, ...],
) -> None:
    """Make the cluster what Config/cluster says, while this process leads."""
    from image_registry.kube import dns
    from image_registry.operator.pull_secret_settings import SYSTEM_NAMESPACES, PullSecretOptions
    from image_registry.server import operator_process

    configure(LogLevel(log_level))
    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        raise click.BadParameter(f"{listen!r}: write HOST:PORT, or :PORT", param_hint="--listen")
    options = operator_process.OperatorOptions(
        namespace=namespace,
        chart=chart,
        values=values,
        helm=helm,
        home=home,
        kubeconfig=kubeconfig,
        listen=(host, int(port)),
        log_level=LogLevel(log_level),
        pull_secrets=PullSecretOptions(
            namespace=namespace,
            cluster_domain=dns.cluster_domain() or "cluster.local",
            system_namespaces=system_namespace or SYSTEM_NAMESPACES,
            calls_per_second=pull_secret_calls_per_second,
        )
        if pull_secrets
        else None,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sys.exit(operator_process.run(options, stop))


def _cluster(kubeconfig: Path | None) -> ClusterClient:
    from image_registry.kube.client import ClusterClient

    return ClusterClient.from_kubeconfig(kubeconfig) if kubeconfig else ClusterClient.from_pod()
