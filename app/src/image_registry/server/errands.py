"""What goes on however many clients are slow: handshakes, and the probes that decide whether the Pod lives.

Every thread of a worker can be held for minutes by clients that send or read slowly: hundreds of nodes that pull a
large layer do it, without any ill will. If liveness waited behind them, kubelet would end the process in the middle of
all those pulls. So these few errands have threads of their own, and none of them lets a client hold its thread: a
handshake gives it back while the client thinks, and a probe is a head without a body on a connection that ends with
it, so the kernel takes its answer at once. Storage that does not answer holds those who ask for readiness, nobody else.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

HANDSHAKE, LIVE, READY = "handshake", "live", "ready"

_THREADS = {HANDSHAKE: 2, LIVE: 1, READY: 2}
_PROBE = re.compile(rb"GET /(livez|healthz|readyz) HTTP/1\.[01]\r\n((?:[A-Za-z-]+:[ -~]*\r\n)*)\r\n")
_BODY = re.compile(rb"(?:content-length|transfer-encoding|expect|upgrade):", re.IGNORECASE)


def pools() -> dict[str, ThreadPoolExecutor]:
    """The threads of a process for each kind; they are made when they are needed."""
    return {kind: ThreadPoolExecutor(threads, thread_name_prefix=kind) for kind, threads in _THREADS.items()}


def probe(head: bytes) -> str | None:
    """Which errand a request is, given as all bytes that there are; ``None`` for one that is to wait its turn."""
    match = _PROBE.fullmatch(head)
    if match is None or _BODY.search(match[2]):
        return None
    return LIVE if match[1] == b"livez" else READY
