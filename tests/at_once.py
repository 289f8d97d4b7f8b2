"""Calls that begin at one moment, for the promises about concurrency.

A call that raises fails its test with its own words, and one that never ends holds up neither the test nor the end of
the run: bare threads and barriers do both wrong.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

PATIENCE = 60.0
"""Seconds until a call counts as one that never ends."""


def at_once(calls: Sequence[Callable[[], Any]], patience: float = PATIENCE) -> list[Any]:
    """Start all calls at the same moment; their results in order.

    Raises:
        TimeoutError: some have not ended after ``patience`` seconds.
        BaseException: the first, in their order, that one of them raised.
    """
    start = threading.Barrier(len(calls))
    results: dict[int, Any] = {}
    errors: dict[int, BaseException] = {}

    def run(number: int) -> None:
        try:
            start.wait(patience)
            results[number] = calls[number]()
        except BaseException as error:  # noqa: BLE001 - it is raised again where the test sees it
            errors[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    end = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if errors:
        raise errors[min(errors)]
    if len(results) < len(calls):
        missing = sorted(set(range(len(calls))) - set(results))
        raise TimeoutError(f"calls {missing} of {len(calls)} did not end within {patience:.0f} s")
    return [results[number] for number in range(len(calls))]
