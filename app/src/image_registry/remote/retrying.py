"""When to ask again: what a server says about it, and what to do when it says nothing."""

from __future__ import annotations

import email.utils
import random
from collections.abc import Mapping
from datetime import UTC, datetime

FIRST, MOST = 0.25, 8.0
"""Seconds before the second attempt, doubled each time, and at most."""

ATTEMPTS = 4


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds of ``Retry-After`` (RFC 9110 section 10.2.3), a number or a date; ``None`` without a usable one."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0)


def backoff(attempt: int) -> float:
    """Seconds before the next attempt after ``attempt`` failures; of random length, so that not all come at once."""
    pause: float = min(FIRST * 2.0 ** (attempt - 1), MOST)
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
