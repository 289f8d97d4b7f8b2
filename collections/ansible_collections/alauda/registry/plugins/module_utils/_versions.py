# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions of Kubernetes and Helm, and the constraint that a chart puts on the former.

Private to this collection.
"""

from __future__ import annotations

import operator
import re
from typing import NamedTuple

PATTERN = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
COMPARISONS = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    "": operator.eq,
}
TERM = re.compile(r"(>=|<=|!=|>|<|=|)\s*v?(\d+)\.(\d+)(?:\.(\d+))?(?:-[\w.]+)?")


class Version(NamedTuple):
    """Major, minor, patch; what follows (``-eks-1234``, ``+k3s1``) does not matter for a floor."""

    major: int
    minor: int
    patch: int

    @classmethod
    def find(cls, text: str) -> Version | None:
        """The first version in a text."""
        found = PATTERN.search(text)
        return cls(int(found[1]), int(found[2]), int(found[3] or 0)) if found else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def satisfies(version: Version, constraint: str) -> bool:
    """Whether a version meets a chart's ``kubeVersion``; what we can not read is left for Helm to judge."""
    for alternative in constraint.split("||"):
        terms = re.sub(r"([<>=!~^])\s+", r"\1", alternative).replace(",", " ").split()
        matches = [TERM.fullmatch(term.strip()) for term in terms]
        if not terms or None in matches:
            return True
        if all(
            COMPARISONS[found[1]](version, Version(int(found[2]), int(found[3]), int(found[4] or 0)))
            for found in matches
            if found
        ):
            return True
    return False
