"""Assessment: from what was found to what stands in the way. Pure, so that it can be repeated with other choices."""

from __future__ import annotations

from image_registry.migration.access_rules import access_findings
from image_registry.migration.case import Case
from image_registry.migration.content_rules import content_findings
from image_registry.migration.findings import Finding, accept, sorted_findings, warning
from image_registry.migration.source_rules import source_findings


def assess(case: Case) -> tuple[Finding, ...]:
    """Every finding, what blocks first; those that were accepted say so."""
    found = sorted_findings((*source_findings(case), *content_findings(case), *access_findings(case)))
    accepted, unused = accept(found, case.choices.accepted)
    strange = (
        warning(
            "accepted-nothing",
            pattern,
            "nothing of this name that can be accepted was found, so nothing was",
            "correct or drop it",
        )
        for pattern in unused
    )
    return sorted_findings((*accepted, *strange))
