"""The real ``image-api-server``, started as its Pod starts it but for one thing: where the cluster is, a file says.

Run as a program it is that process; imported, it is what starts and ends one.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.api import HOST

if TYPE_CHECKING:  # the server itself has no use for it
    from benchmarks.api.cluster import AgreeableCluster

START_TIMEOUT = 60.0


class ServerFailed(Exception):
    """It does not run; the text holds its last words."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A running one."""

    port: int
    pid: int
    log: Path


@contextmanager
def running(cluster: AgreeableCluster, folder: Path, database: str, *, threads: int = 256) -> Iterator[ApiServer]:
    """Serve the database until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REGISTRY_", "KUBE"))}
    environment = {
        **kept,
        "REGISTRY_HTTP_ADDR": f"127.0.0.1:{port}",
        "REGISTRY_HTTP_TLS_CERTIFICATE": str(cluster.kubeconfig.parent / "server.crt"),
        "REGISTRY_HTTP_TLS_KEY": str(cluster.kubeconfig.parent / "server.key"),
        "REGISTRY_HTTP_WORKERS": "1",
        "REGISTRY_HTTP_THREADS": str(threads),
        "REGISTRY_DATABASE_URL": database,
        "REGISTRY_INTERNAL_HOSTNAME": HOST,
    }
    log = folder / "image-api-server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.api.server", str(cluster.kubeconfig)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
    try:
        _wait(process, port, log)
        yield ApiServer(port, process.pid, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
            raise ServerFailed(f"image-api-server did not start; its last words:\n{last}")
        time.sleep(0.05)


def serve(kubeconfig: Path) -> None:
    """Be that process."""
    from image_registry.kube.client import ClusterClient
    from image_registry.server import starting
    from image_registry.server.settings import Settings

    def from_file() -> ClusterClient:
        return ClusterClient.from_kubeconfig(kubeconfig)

    setattr(ClusterClient, "from_pod", from_file)  # noqa: B010 - the one thing that is not as in a Pod
    starting.run_api_server(Settings.from_environment(os.environ))


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
