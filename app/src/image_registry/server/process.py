"""How a process serves: one gunicorn profile, gthread workers, the pure-Python parser (design, decision 21).

The application is built inside each worker after the fork, so no connection, lock or thread is shared by accident.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from image_registry.server import lean
from image_registry.server.hot_worker import HotWorker
from image_registry.server.peer import PeerMiddleware, WSGIApplication, remember_headers
from image_registry.server.refusals import InvalidSettings

EVERY_ADDRESS = "[::]:"
"""What a listening address begins with that means IPv6 and IPv4 alike."""

KEEPALIVE = 75
"""Seconds a connection without a request stays open: longer than the idle time of common reverse proxies."""

LEAVING = 4.0
"""Seconds in which the workers of a killed process notice that and give its address back."""

IDLE_WORKER_TIMEOUT = 120
"""Seconds without a sign of life from a worker's main loop (never blocked by a request) until it is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What differs between the processes."""

    name: str
    bind: str
    workers: int
    threads: int
    build: Callable[[], WSGIApplication]
    max_headers: int = 500
    """Headers of a request: the front proxy sends one for each group of a user."""
    max_header_bytes: int = 16380
    """Bytes of one header: registry tokens with many scopes and groups are long."""
    graceful_timeout: int = 25
    """Seconds for running requests after SIGTERM."""
    tls: Callable[[], SSLContext] | None = None
    ready: Callable[[], None] | None = None
    """Called once in the parent when the socket listens."""


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        super().__init__()

    def load_config(self) -> None:
        profile = self._profile
        options: dict[str, Any] = {
            "bind": listening_address(profile.bind),
            "proc_name": profile.name,
            "workers": profile.workers,
            "threads": profile.threads,
            "worker_class": HotWorker,
            "worker_connections": 2000,
            "worker_tmp_dir": "/dev/shm",  # noqa: S108 - a heartbeat file that must not wait for a slow disk
            "timeout": IDLE_WORKER_TIMEOUT,
            "graceful_timeout": profile.graceful_timeout,
            "keepalive": KEEPALIVE,
            "http_parser": "python",
            "control_socket_disable": True,  # it would be written below a read-only root
            "accesslog": None,  # the application writes its own access log with request ids
            "errorlog": "-",
            "loglevel": "warning",
            "limit_request_line": 8190,
            "limit_request_fields": profile.max_headers,
            "limit_request_field_size": profile.max_header_bytes,
            "pre_request": remember_headers,
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            "pre_fork": lambda _arbiter, _worker: lean.share(),
        }
        options["when_ready"] = lambda _arbiter: _begin_to_wait(profile)
        if profile.tls is not None:
            tls = profile.tls
            # gunicorn decides "is this TLS" by these two; the hook below supplies the context itself
            options["certfile"] = options["keyfile"] = "/dev/null"
            options["ssl_context"] = lambda _config, _default: tls()
            options["do_handshake_on_connect"] = False
        for key, value in options.items():
            self.cfg.set(key, value)

    def load(self) -> WSGIApplication:
        return PeerMiddleware(self._profile.build())


def _begin_to_wait(profile: Profile) -> None:
    """From now on the parent only looks after its workers."""
    if profile.ready is not None:
        profile.ready()
    lean.let_go_of_files()


def listening_address(wanted: str) -> str:
    """``[::]:PORT`` takes IPv4 as well, so it fits every cluster; a machine without any IPv6 gets ``0.0.0.0:PORT``."""
    if not wanted.startswith(EVERY_ADDRESS):
        return wanted
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return f"0.0.0.0:{wanted.removeprefix(EVERY_ADDRESS)}"
    return wanted


def require_address(wanted: str) -> None:
    """Raise :class:`InvalidSettings` where nobody can listen; workers of a process that was killed go in a moment."""
    host, _, port = wanted.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    deadline = time.monotonic() + LEAVING
    while True:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            raise InvalidSettings(
                f"cannot listen at {wanted}: {error.strerror}; end what listens there, or choose another address "
                "(REGISTRY_HTTP_ADDR, --listen)"
            ) from None
        return


def run(profile: Profile) -> None:
    """Serve until SIGTERM; does not return. Raises :class:`InvalidSettings` if the address is no good."""
    require_address(listening_address(profile.bind))
    _Server(profile).run()
