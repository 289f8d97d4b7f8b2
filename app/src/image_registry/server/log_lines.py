"""The lines of the access log and of the audit log: JSON made by hand, because one is written for every request.

Their fields are documented in ``docs/reference/logs.md`` (tested).
"""

from __future__ import annotations

import time
from enum import StrEnum
from json.encoder import encode_basestring_ascii as quoted  # the C function that json.dumps calls for every string
from typing import NamedTuple

from image_registry.auth import trail

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

SHOWN = 120
"""Characters of a client's name for itself that are worth keeping."""


class Audit(StrEnum):
    """Which requests leave an audit record."""

    NONE = "none"
    WRITES = "writes"
    """What changes something, and what was refused."""
    ALL = "all"
    """Pulls, lists and tokens too."""


class AccessLog(StrEnum):
    """Which requests leave a line in the access log."""

    NONE = "none"
    FAILURES = "failures"
    """What ended with a status of 400 or above, or not at all."""
    ALL = "all"


class Record(NamedTuple):
    """What one request was and how it ended; made once, when its last byte is sent."""

    method: str
    path: str
    status: int
    seconds: float
    request_id: str
    route: str = ""
    """Endpoint that served it, ``manifests.get``; empty where no route took it."""
    received: int = 0
    """Bytes of the request's body."""
    sent: int = 0
    """Bytes of the answer's body."""
    remote: str = ""
    agent: str = ""
    caller: str = ""
    uid: str = ""
    repository: str = ""
    reference: str = ""
    """Tag, digest or upload as the client named it."""
    digest: str = ""
    """Of the content that was served, stored or deleted."""
    decision: str = ""
    error: str = ""
    """Code and text of a refusal."""
    kept: bool = False
    """True for an answer that was given again from memory."""
    limit: str = ""
    """Resource whose limit refused the request."""
    complete: bool = True
    """False when the client went away before the end."""


class Clock:
    """Points in time as RFC 3339 text; the part down to seconds is made once for each second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self, moment: float) -> str:
        second = int(moment)
        if second != self._second:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._text}.{int(moment % 1 * 1000):03}+00:00"


def access(record: Record, when: str) -> str:
    """One line of the access log."""
    cut = "" if record.complete else ', "complete": false'
    return (
        f'{{"time": "{when}", "event": "request", "request_id": "{record.request_id}", '
        f'"remote": {quoted(record.remote)}, "caller": {quoted(record.caller)}, "method": {quoted(record.method)}, '
        f'"path": {quoted(record.path)}, "route": "{record.route}", "repository": {quoted(record.repository)}, '
        f'"digest": {quoted(record.digest)}, "status": {record.status}, "received": {record.received}, '
        f'"bytes": {record.sent}, "ms": {record.seconds * 1000:.1f}, "agent": {quoted(record.agent[:SHOWN])}'
        f"{cut}}}\n"
    )


def audit(record: Record, when: str, *, begin: bool = False) -> str:
    """One line of the audit log, for the beginning of a request or for its end."""
    outcome = "begin" if begin else "success" if record.status < 400 and record.complete else "error"
    end = "" if begin else f', "status": {record.status}, "received": {record.received}, "bytes": {record.sent}'
    reason = record.error or ("" if record.complete else "the client went away")
    error = f', "error": {quoted(reason)}' if reason and not begin else ""
    return (
        f'{{"time": "{when}", "event": "audit", "outcome": "{outcome}", "request_id": "{record.request_id}", '
        f'"user": {quoted(record.caller)}, "userid": {quoted(record.uid)}, "remote": {quoted(record.remote)}, '
        f'"agent": {quoted(record.agent[:SHOWN])}, "operation": "{operation(record)}", '
        f'"method": {quoted(record.method)}, "repository": {quoted(record.repository)}, '
        f'"reference": {quoted(record.reference)}, "digest": {quoted(record.digest)}, '
        f'"decision": "{record.decision}"{end}{error}}}\n'
    )


def operation(record: Record) -> str:
    """What was done, ``manifests.get``; looking without reading is an operation of its own."""
    if record.method == "HEAD" and record.route:
        return record.route.partition(".")[0] + ".head"
    return record.route


def logged(record: Record, wanted: AccessLog) -> bool:
    """Whether this request belongs into the access log."""
    if wanted is AccessLog.ALL:
        return True
    return wanted is AccessLog.FAILURES and (record.status >= 400 or not record.complete)


def audited(record: Record, wanted: Audit) -> bool:
    """Whether the end of this request belongs into the audit log. To be asked who one is, is no event."""
    if wanted is Audit.NONE or not record.route or record.decision == "":
        return False
    if wanted is Audit.ALL:
        return True
    if record.decision == trail.CHALLENGED:
        return False
    return record.method not in SAFE or record.decision != trail.ALLOWED
