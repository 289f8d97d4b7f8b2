"""Logs: one JSON object per line on standard error, fit for the platform's log stack.

Values under names that look like secrets are dropped before anything is written, so a careless ``log.info(token=…)``
cannot leak.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from image_registry.server.settings import LogLevel

_LEVELS = {
    LogLevel.NORMAL: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.TRACE: logging.DEBUG,
    LogLevel.TRACE_ALL: logging.DEBUG,
}
_SECRET_NAMES = ("password", "token", "authorization", "secret", "private_key")


def configure(level: LogLevel, *, human: bool = False) -> None:
    """Set up structlog and the standard library's root logger; ``human`` for a terminal (``image-registry serve``)."""
    threshold = _LEVELS[level]
    renderer: Any = structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_secrets,
    ]
    rendered: list[Any] = [renderer] if human else [structlog.processors.format_exc_info, renderer]
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.WARNING) if level is LogLevel.NORMAL else threshold)


def _without_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in [key for key in event if any(name in key.lower() for name in _SECRET_NAMES)]:
        event[key] = "***"
    return event
