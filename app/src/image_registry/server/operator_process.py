"""``image-registry operator``: how the process begins, works while it leads, tells how it is, and ends."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import structlog
import yaml
from prometheus_client import generate_latest

from image_registry.kube.client import ClusterClient, object_path
from image_registry.kube.errors import ClusterUnreachable, KubeError
from image_registry.kube.lease import BELIEVED, DURATION, Lease
from image_registry.kube.watch import Watch
from image_registry.operator import related_images
from image_registry.operator.config_values import merged
from image_registry.operator.helm import Helm
from image_registry.operator.known_fields import Language
from image_registry.operator.operand import GROUP_VERSION, Operand
from image_registry.operator.operator_events import Events
from image_registry.operator.operator_metrics import OperatorMetrics
from image_registry.operator.pruner import Pruner
from image_registry.operator.pruner_metrics import PrunerMetrics
from image_registry.operator.pull_secret_settings import PullSecretOptions
from image_registry.operator.pull_secrets import PullSecrets
from image_registry.operator.reconciler import PERIOD, Reconciler
from image_registry.server import logs
from image_registry.server.settings import LogLevel

STUCK = 180.0
"""Seconds without a pass, or without any watch that tells changes, after which the process is to be restarted."""

SETTLE = 0.5
"""Seconds after the first of several changes: one pass for all of them."""

AFTER_ERROR = 5.0

LEASE = "cluster-image-registry-operator"

NAMESPACED = (
    ("v1", "services"),
    ("v1", "configmaps"),
    ("v1", "persistentvolumeclaims"),
    ("apps/v1", "deployments"),
    ("apps/v1", "statefulsets"),
    ("apps/v1", "daemonsets"),
    ("batch/v1", "cronjobs"),
    ("batch/v1", "jobs"),
    ("networking.k8s.io/v1", "ingresses"),
)
CLUSTER_WIDE = (
    (GROUP_VERSION, "configs"),
    (GROUP_VERSION, "imagepruners"),
    ("apiregistration.k8s.io/v1", "apiservices"),
)
"""Collections whose changes wake the operator at once; what is not here is seen at the next pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorOptions:
    """``chart`` is the operand chart that this operator brings, ``values`` what its own chart passes on to it."""

    namespace: str
    chart: Path
    values: Path | None = None
    helm: str = "helm"
    home: Path = Path("/tmp/helm")  # noqa: S108 - an emptyDir of the Pod
    kubeconfig: Path | None = None
    listen: tuple[str, int] = ("", 8080)
    pull_secrets: PullSecretOptions | None = None
    """``None``: nobody makes pull Secrets."""
    log_level: LogLevel = LogLevel.NORMAL
    """What counts while Config does not say."""


class Pulse:
    """Whether the process still works: passes happen and watches tell."""

    def __init__(self) -> None:
        self.leads = False
        self._beat = time.monotonic()
        self._told = time.monotonic()

    def beat(self, watches: Iterable[Watch] = ()) -> int:
        """A turn was made, well or not; returns how many watches tell of changes."""
        now = time.monotonic()
        following = [watch.following.is_set() for watch in watches]
        self._beat = now
        if all(following):
            self._told = now
        return sum(following)

    def stuck(self) -> str:
        """Why the process should be restarted; empty if it should not."""
        now = time.monotonic()
        if not self.leads:
            return ""
        if now - self._beat > STUCK:
            return f"no pass for {now - self._beat:.0f} s"
        if now - self._told > STUCK:
            return f"a watch has told nothing for {now - self._told:.0f} s"
        return ""


class Loudness:
    """How much this process tells: what Config says, else what it was started with."""

    def __init__(self, started_with: LogLevel) -> None:
        self._started_with = started_with
        self._now = started_with

    def follow(self, said: str) -> None:
        """From the next line on; a word that is not known changes nothing."""
        wanted = LogLevel(said) if said in set(LogLevel) else self._started_with
        if wanted is not self._now:
            structlog.get_logger().info("the log level changes", before=str(self._now), now=str(wanted))
            logs.configure(wanted)
            self._now = wanted


def base_values(options: OperatorOptions) -> dict[str, Any]:
    """Values below every specification, with the digest of the chart: another chart is a change like any other."""
    there = options.values is not None and options.values.exists()  # in a bundle of OLM it is only there if wanted
    given = yaml.safe_load(options.values.read_text(encoding="utf-8")) if there and options.values else None
    told = merged(related_images.values(os.environ), given or {})
    return merged(told, {"global": {"operator": {"chart": chart_digest(options.chart)}}})


def chart_digest(chart: Path) -> str:
    """SHA-256 over names and contents. Raises OSError if there is no chart."""
    total = hashlib.sha256((chart / "Chart.yaml").read_bytes())
    for file in sorted(path for path in chart.rglob("*") if path.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{file.relative_to(chart)} {content}\n".encode())
    return f"sha256:{total.hexdigest()}"


def run(options: OperatorOptions, stop: threading.Event) -> int:
    """Work until told to stop; the exit status is 1 if leadership was lost."""
    client = ClusterClient.from_kubeconfig(options.kubeconfig) if options.kubeconfig else ClusterClient.from_pod()
    metrics, pulse = OperatorMetrics(), Pulse()
    options.home.mkdir(parents=True, exist_ok=True)
    helm = Helm(options.helm, options.chart, options.namespace, options.home, options.kubeconfig)
    operand = Operand(client, options.namespace)
    events = Events(client)
    language = Language.of_chart(options.chart)
    pruner = Pruner(client, options.namespace, events, PrunerMetrics(metrics.registry), language)
    reconciler = Reconciler(operand, helm, events, metrics, base_values(options), pruner, language)
    reconciler.talk = Loudness(options.log_level).follow
    server = serve(options.listen, pulse, metrics)
    identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
    lease = Lease(client, options.namespace, LEASE, identity)
    over, lost, wake = threading.Event(), threading.Event(), threading.Event()
    beside: threading.Thread | None = None
    keeping = threading.Thread(target=lease.keep, args=(over,), name="lease")
    keeping.start()
    try:
        while not stop.is_set() and not lease.held():
            stop.wait(0.2)
        if stop.is_set():
            return 0
        structlog.get_logger().info("this process leads", identity=identity)
        metrics.leads(leader=True)
        pulse.beat()
        pulse.leads = True
        threading.Thread(target=guard, args=(lease, stop, lost), name="guard", daemon=True).start()
        if options.pull_secrets is not None:
            keeper = PullSecrets(client.apart(), options.pull_secrets, metrics.registry, wake.set)
            reconciler.pull_secrets = keeper.condition
            beside = threading.Thread(target=keeper.run, args=(stop,), name="pull secrets")
            beside.start()
        work(reconciler, watches(client, options.namespace, wake), pulse, metrics, stop, wake)
    finally:
        stop.set()
        reconciler.stop()
        if beside is not None:
            beside.join()
        over.set()
        keeping.join()
        server.shutdown()
        server.server_close()
    return int(lost.is_set())


def guard(lease: Lease, stop: threading.Event, lost: threading.Event) -> None:
    """End the process when it does not lead any more, and Helm with it, before another one begins."""
    while not stop.is_set():
        if not lease.held():
            structlog.get_logger().error("the lease could not be renewed, so this process ends")
            lost.set()
            stop.set()
            time.sleep(DURATION - BELIEVED - 1)
            os._exit(1)  # a pass that hangs must not go on; what it left pending is healed by the next leader
        stop.wait(0.5)


def watches(client: ClusterClient, namespace: str, wake: threading.Event) -> list[Watch]:
    """Begin to be told of changes."""
    paths = [object_path(version, resource, namespace=namespace) for version, resource in NAMESPACED]
    paths += [object_path(version, resource) for version, resource in CLUSTER_WIDE]
    found = [Watch(client, path, lambda _: wake.set(), wake.set) for path in paths]
    for watch in found:
        watch.start()
    return found


def work(
    reconciler: Reconciler,
    told: list[Watch],
    pulse: Pulse,
    metrics: OperatorMetrics,
    stop: threading.Event,
    wake: threading.Event,
) -> None:
    """Pass after pass, at the latest after :data:`~image_registry.operator.reconciler.PERIOD` seconds."""
    while not stop.is_set():
        wake.clear()
        pause = PERIOD
        try:
            pause = reconciler.turn()
            metrics.passed()
        except (KubeError, ClusterUnreachable, OSError) as error:
            structlog.get_logger().warning("a pass failed and is tried again", reason=str(error))
            metrics.failed()
            pause = AFTER_ERROR
        metrics.watches(pulse.beat(told))
        until = time.monotonic() + pause
        while not stop.is_set() and time.monotonic() < until:
            if wake.wait(min(1.0, pause)):  # a signal does not wake it
                stop.wait(SETTLE)
                break
    for watch in told:
        watch.stop()


def serve(listen: tuple[str, int], pulse: Pulse, metrics: OperatorMetrics) -> ThreadingHTTPServer:
    """``/healthz``, ``/readyz`` and ``/metrics``, without secrets and without TLS, for kubelet and Prometheus."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(metrics.registry))
            elif path in ("/healthz", "/readyz"):
                why = pulse.stuck()
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK, f"{why or 'ok'}\n".encode())
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"")

        def _answer(self, status: HTTPStatus, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Nothing: kubelet asks every few seconds."""

    server = ThreadingHTTPServer(listen, Answers)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
