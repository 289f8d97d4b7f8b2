# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong, what was found, and what to do about it: the one form in which this collection reports.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Finding:
    """One unmet need. ``need`` is a short stable name, listed in docs/how-to/install.md."""

    need: str
    found: str
    cure: str
    severity: str = "error"

    def as_dict(self) -> dict[str, str]:
        """For a module's result."""
        return asdict(self)

    def sentence(self) -> str:
        """For a person."""
        return f"{self.found}: {self.cure}" if self.cure else self.found


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Those that forbid to go on."""
    return [finding for finding in findings if finding.severity == "error"]


def report(findings: Iterable[Finding], heading: str) -> str:
    """A heading and one numbered line for each."""
    lines = [f"{number}. [{finding.need}] {finding.sentence()}" for number, finding in enumerate(findings, 1)]
    return "\n".join([heading, *lines])
