"""What is measured, under which names, and how a request is counted.

The names are a contract (``docs/reference/metrics.md``, tested): dashboards and alert rules stand on them.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple, TypeAlias

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
GIVEN_AGAIN = Family(
    "imageregistry_http_answers_given_again_total", "counter", "Requests answered from memory, without the application."
)
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
DIGEST_CACHE = Family(
    "imageregistry_digest_cache_requests_total",
    "counter",
    "Manifests and blobs that were served: again from memory (hit), or by looking them up (miss).",
    ("type",),
)
RUNNING = Family("imageregistry_requests_running", "gauge", "Requests that hold a place of the limiter.", ("kind",))
QUEUED = Family("imageregistry_requests_queued", "gauge", "Requests that wait for a place.", ("kind",))
REJECTED = Family("imageregistry_requests_rejected_total", "counter", "Requests answered with 429.", ("kind", "reason"))
LIMIT_DENIALS = Family(
    "imageregistry_limit_denials_total",
    "counter",
    "Writes refused by a LimitRange or a ResourceQuota.",
    ("resource",),
)
PULL_THROUGH = Family(
    "imageregistry_pullthrough_fetches_total",
    "counter",
    "Fetches of content of imported images from other registries.",
    ("type", "result"),
)
READ_ONLY = Family("imageregistry_read_only", "gauge", "Workers that refuse pushes and deletes for the moment.")
UPKEEP_SUCCESS = Family(
    "imageregistry_upkeep_last_success_timestamp_seconds",
    "gauge",
    "When the newest run of this kind ended well, dry runs of the collector not counted; 0: none is remembered.",
    ("kind",),
    combine="max",
)
UPKEEP_SECONDS = Family(
    "imageregistry_upkeep_last_success_duration_seconds", "gauge", "How long that run took.", ("kind",), combine="max"
)
GARBAGE_BYTES = Family(
    "imageregistry_garbage_last_freed_bytes", "gauge", "Bytes that the newest collection removed.", combine="max"
)
GARBAGE_BLOBS = Family(
    "imageregistry_garbage_last_removed_blobs", "gauge", "Blobs that the newest collection removed.", combine="max"
)
SCRUB_CORRUPT = Family(
    "imageregistry_scrub_last_corrupt_blobs",
    "gauge",
    "Blobs that the newest scrub could not read, or whose bytes were not what their digest says.",
    combine="max",
)
QUARANTINED = Family(
    "imageregistry_quarantined_blobs", "gauge", "Blobs that lay aside when the newest scrub ended.", combine="max"
)
VERIFY_FAULTS = Family(
    "imageregistry_verify_last_faults", "gauge", "Faults that the newest verification found.", combine="max"
)
LOG_LINES_LOST = Family("imageregistry_log_lines_lost_total", "counter", "Lines that standard output did not take.")
BUILD = Family("imageregistry_build_info", "gauge", "Workers by process and version.", ("process", "version"))

FAMILIES = (
    REQUEST_DURATION,
    HTTP_REQUESTS,
    HTTP_DURATION,
    HTTP_REQUEST_SIZE,
    HTTP_RESPONSE_SIZE,
    HTTP_IN_FLIGHT,
    GIVEN_AGAIN,
    INCOMPLETE,
    DECISIONS,
    REFUSALS,
    STORAGE_DURATION,
    STORAGE_ERRORS,
    DIGEST_CACHE,
    RUNNING,
    QUEUED,
    REJECTED,
    LIMIT_DENIALS,
    PULL_THROUGH,
    READ_ONLY,
    UPKEEP_SUCCESS,
    UPKEEP_SECONDS,
    GARBAGE_BYTES,
    GARBAGE_BLOBS,
    SCRUB_CORRUPT,
    QUARANTINED,
    VERIFY_FAULTS,
    LOG_LINES_LOST,
    BUILD,
)

METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"})
"""Others are counted as one: a client must not be able to make new series."""


_Kind: TypeAlias = tuple[str, int, str, str, bool]


class _Series(NamedTuple):
    """The numbers that requests of one kind add to."""

    requests: list[float]
    duration: list[float]
    operation: list[float] | None
    received: list[float]
    sent: list[float]
    decision: list[float] | None
    cache: list[float] | None


class RequestMeter:
    """Counts requests; see :class:`~image_registry.server.observation.Meter`."""

    def __init__(self, numbers: Numbers, process: str = "image-registry") -> None:
        self._numbers = numbers
        self._known: dict[_Kind, _Series] = {}
        numbers.watch(BUILD, (process, __version__), lambda: 1)

    def count(self, record: Record) -> None:
        """One request that has ended."""
        kind = (record.method, record.status, record.route, record.decision, record.kept)
        series = self._known.get(kind) or self._begin(record, kind)
        seconds = record.seconds
        bucket = bisect_left(SECONDS, seconds)
        with self._numbers.lock:
            series.requests[0] += 1
            series.duration[bucket] += 1
            series.duration[-2] += 1
            series.duration[-1] += seconds
            if series.operation is not None:
                series.operation[bucket] += 1
                series.operation[-2] += 1
                series.operation[-1] += seconds
            if record.received:
                series.received[0] += 1
                series.received[1] += record.received
            if record.sent:
                series.sent[0] += 1
                series.sent[1] += record.sent
            if series.decision is not None:
                series.decision[0] += 1
            if series.cache is not None:
                series.cache[0] += 1
        if record.error:
            self._numbers.add(REFUSALS, (record.error.partition(":")[0],))
        if record.limit:
            self._numbers.add(LIMIT_DENIALS, (record.limit,))
        if not record.complete:
            self._numbers.add(INCOMPLETE, (_method(record),))

    def lost(self, lines: int) -> None:
        """Lines that the log did not take."""
        self._numbers.add(LOG_LINES_LOST, (), lines)

    def _begin(self, record: Record, kind: _Kind) -> _Series:
        value, method = self._numbers.value, _method(record)
        series = _Series(
            requests=value(HTTP_REQUESTS, (str(record.status), method)),
            duration=value(HTTP_DURATION, (method,)),
            operation=value(REQUEST_DURATION, (operation(record),)) if record.route else None,
            received=value(HTTP_REQUEST_SIZE, (method,)),
            sent=value(HTTP_RESPONSE_SIZE, (method,)),
            decision=value(DECISIONS, (record.decision,)) if record.decision else None,
            cache=value(DIGEST_CACHE, ("hit" if record.kept else "miss",)) if _is_content(record) else None,
        )
        if record.method in METHODS:  # what a client makes up is looked up each time, not remembered
            self._known[kind] = series
        return series


def _is_content(record: Record) -> bool:
    return record.status == 200 and record.route in {"manifests.get", "blobs.get"}


def _method(record: Record) -> str:
    return record.method if record.method in METHODS else "other"
