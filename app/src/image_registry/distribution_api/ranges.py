"""Which bytes of a blob a request asks for (RFC 9110 section 14); for the door and for whoever repeats its answers."""

from __future__ import annotations

import re

from image_registry.oci.errors import RangeInvalid

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII | re.IGNORECASE)


def asked(header: str | None, size: int) -> range | None:
    """The bytes to send; ``None`` for all: no range, several ranges, or another unit.

    Raises :class:`RangeInvalid` for a range that a blob of ``size`` bytes does not have.
    """
    match = _RANGE.fullmatch(header.replace(" ", "")) if header and len(header) < 64 else None
    if match is None or not any(match.groups()):
        return None
    start, end = match.groups()
    if not start:
        first, stop = max(size - int(end), 0), size
    else:
        first, stop = int(start), min(int(end) + 1, size) if end else size
    if first >= stop:
        raise RangeInvalid(
            f"the range {header} does not fit a blob of {size} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    return range(first, stop)
