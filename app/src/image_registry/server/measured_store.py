"""A storage that is timed: every operation of the seam, whichever backend is behind it."""

from __future__ import annotations

import errno
import inspect
import time
from collections.abc import Callable
from typing import Any, cast

from image_registry.server.metrics import STORAGE_DURATION, STORAGE_ERRORS
from image_registry.server.numbers import Numbers
from image_registry.storage.blob_store import (
    BlobMissing,
    BlobStore,
    OffsetMismatch,
    OutOfSpace,
    StorageFault,
    UploadBusy,
    UploadMissing,
)

FAILURES = (BlobMissing, UploadMissing, OffsetMismatch, UploadBusy, StorageFault)
"""What a storage says; anything else that passes through it is somebody else's, the client's for example."""

_NUMBERS = {errno.EROFS: "READ_ONLY_FILESYSTEM", errno.EFBIG: "FILE_TOO_LARGE", errno.ENOSPC: "DEVICE_OUT_OF_SPACE"}


def operations() -> list[str]:
    """Names of what is timed; a walk over all repositories is not, it lasts as long as its caller wants."""
    return [name for name, _ in inspect.getmembers(BlobStore, inspect.isfunction) if name[0] != "_"]


def measured(store: BlobStore, numbers: Numbers) -> BlobStore:
    """``store``, timed."""
    return cast("BlobStore", _Measured(store, numbers))


def code(failure: BaseException) -> str:
    """The label of a failure."""
    match failure:
        case OutOfSpace():
            return "DEVICE_OUT_OF_SPACE"
        case BlobMissing() | UploadMissing():
            return "PATH_NOT_FOUND"
        case OffsetMismatch():
            return "INVALID_OFFSET"
        case UploadBusy():
            return "UPLOAD_BUSY"
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NUMBERS:
            return _NUMBERS[cause.errno]
        cause = cause.__cause__ or cause.__context__
    return "UNKNOWN"


class _Measured:
    """Has every method that the store has, those beyond the seam untimed."""

    def __init__(self, store: BlobStore, numbers: Numbers) -> None:
        self._store = store
        for name in operations():
            method = getattr(store, name)
            setattr(self, name, method if inspect.isgeneratorfunction(method) else _timed(name, method, numbers))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _timed(name: str, method: Callable[..., Any], numbers: Numbers) -> Callable[..., Any]:
    labels = (name,)

    def call(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return method(*arguments, **options)
        except FAILURES as failure:
            numbers.add(STORAGE_ERRORS, (name, code(failure)))
            raise
        finally:
            numbers.observe(STORAGE_DURATION, labels, time.perf_counter() - started)

    return call
