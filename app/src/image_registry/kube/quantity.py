"""Quantities as Kubernetes writes them (``resource.Quantity``): ``100Mi``, ``1.5Gi``, ``2k``, ``1e3``, ``500m``."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal, InvalidOperation

_NUMBER, _UNIT, _EXPONENT = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", "[KMGTPE]i|[numkMGTPE]", "[+-]?[0-9]{1,3}"
_FORM = re.compile(f"({_NUMBER})(?:({_UNIT})|[eE]({_EXPONENT}))?", re.ASCII)
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_LARGEST = (1 << 63) - 1


def whole(text: object) -> int:
    """The quantity, rounded up to a whole number and cut at the largest that Kubernetes knows.

    Raises :class:`ValueError`.
    """
    match = _FORM.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{str(text)[:40]!r} is no quantity")
    number, unit, exponent = match.groups()
    try:
        value = Decimal(number)
        if unit in _BINARY:
            value *= 1024 ** _BINARY[unit]
        elif unit:
            value = value.scaleb(_DECIMAL[unit])
        elif exponent:
            value = value.scaleb(int(exponent))
        return min(int(value.to_integral_value(ROUND_CEILING)), _LARGEST)
    except (InvalidOperation, OverflowError):
        raise ValueError(f"{str(text)[:40]!r} is no quantity") from None
