"""What is measured, under which names, and how a request is counted.

The names are a contract (``docs/reference/metrics.md``, tested): dashboards and alert rules stand on them.
"""

from __future__ import annotations

from image_registry import __version__
from image_registry.server.log_lines import Record, operation
from image_registry.server.numbers import Family, Numbers

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds: a small manifest takes a millisecond, a large layer over a slow line minutes."""

REQUEST_DURATION = Family(
    "imageregistry_request_duration_seconds",
    "histogram",
    "Seconds from the head of a request to the last byte of its answer, by what was done.",
    ("operation",),
    SECONDS,
)
HTTP_REQUESTS = Family("imageregistry_http_requests_total", "counter", "Requests that have ended.", ("code", "method"))
HTTP_DURATION = Family(
    "imageregistry_http_request_duration_seconds", "histogram", "The same by method.", ("method",), SECONDS
)
HTTP_REQUEST_SIZE = Family(
    "imageregistry_http_request_size_bytes", "summary", "Bytes of the bodies of requests.", ("method",)
)
HTTP_RESPONSE_SIZE = Family(
    "imageregistry_http_response_size_bytes", "summary", "Bytes of the bodies of answers.", ("method",)
)
HTTP_IN_FLIGHT = Family("imageregistry_http_in_flight_requests", "gauge", "Requests that are being served.")
INCOMPLETE = Family(
    "imageregistry_http_incomplete_total", "counter", "Requests whose client went away before the end.", ("method",)
)
DECISIONS = Family(
    "imageregistry_access_decisions_total",
    "counter",
    "Decisions about callers: allowed, denied, unauthenticated, challenged.",
    ("decision",),
)
REFUSALS = Family(
    "imageregistry_refusals_total", "counter", "Refused requests by the code in the answer's body.", ("code",)
)
STORAGE_DURATION = Family(
    "imageregistry_storage_duration_seconds",
    "histogram",
    "Seconds of a storage operation; append includes waiting for the client's bytes.",
    ("operation",),
    SECONDS,
)
STORAGE_ERRORS = Family(
    "imageregistry_storage_errors_total", "counter", "Storage operations that failed.", ("operation", "code")
)
RUNNING = Family("imageregistry_requests_running", "gauge", "Requests that hold a place of the limiter.", ("kind",))
QUEUED = Family("imageregistry_requests_queued", "gauge", "Requests that wait for a place.", ("kind",))
REJECTED = Family("imageregistry_requests_rejected_total", "counter", "Requests answered with 429.", ("kind", "reason"))
LIMIT_DENIALS = Family(
    "imageregistry_limit_denials_total",
    "counter",
    "Pushes refused by a LimitRange or a ResourceQuota.",
    ("resource",),
)
READ_ONLY = Family("imageregistry_read_only", "gauge", "Workers that refuse pushes and deletes for the moment.")
LOG_LINES_LOST = Family("imageregistry_log_lines_lost_total", "counter", "Lines that standard output did not take.")
BUILD = Family("imageregistry_build_info", "gauge", "Workers by process and version.", ("process", "version"))

FAMILIES = (
    REQUEST_DURATION,
    HTTP_REQUESTS,
    HTTP_DURATION,
    HTTP_REQUEST_SIZE,
    HTTP_RESPONSE_SIZE,
    HTTP_IN_FLIGHT,
    INCOMPLETE,
    DECISIONS,
    REFUSALS,
    STORAGE_DURATION,
    STORAGE_ERRORS,
    RUNNING,
    QUEUED,
    REJECTED,
    LIMIT_DENIALS,
    READ_ONLY,
    LOG_LINES_LOST,
    BUILD,
)

METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"})
"""Others are counted as one: a client must not be able to make new series."""


class RequestMeter:
    """Counts requests; see :class:`~image_registry.server.observation.Meter`."""

    def __init__(self, numbers: Numbers, process: str = "image-registry") -> None:
        self._numbers = numbers
        numbers.watch(BUILD, (process, __version__), lambda: 1)

    def count(self, record: Record) -> None:
        """One request that has ended."""
        numbers = self._numbers
        method = record.method if record.method in METHODS else "other"
        by_method = (method,)
        numbers.add(HTTP_REQUESTS, (str(record.status), method))
        numbers.observe(HTTP_DURATION, by_method, record.seconds)
        if record.route:
            numbers.observe(REQUEST_DURATION, (operation(record),), record.seconds)
        if record.received:
            numbers.observe(HTTP_REQUEST_SIZE, by_method, record.received)
        if record.sent:
            numbers.observe(HTTP_RESPONSE_SIZE, by_method, record.sent)
        if record.decision:
            numbers.add(DECISIONS, (record.decision,))
        if record.error:
            numbers.add(REFUSALS, (record.error.partition(":")[0],))
        if record.limit:
            numbers.add(LIMIT_DENIALS, (record.limit,))
        if not record.complete:
            numbers.add(INCOMPLETE, by_method)

    def lost(self, lines: int) -> None:
        """Lines that the log did not take."""
        self._numbers.add(LOG_LINES_LOST, (), lines)
