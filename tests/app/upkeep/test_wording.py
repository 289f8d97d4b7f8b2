"""What people read of a report is true of it."""

from __future__ import annotations

from image_registry.upkeep import verifying, wording
from image_registry.upkeep.verifying import Finding, Verified


def test_a_report_that_was_cut_says_how_to_see_the_rest() -> None:
    found = Verified(findings=[Finding("missing", "team/app", str(number)) for number in range(3)])
    whole, cut = (verifying.document(found, "", 0.0, None, at_most=most) for most in (None, 2))
    assert list(wording.verified(whole, wide=False))[-1].endswith("`-o json` has every finding")
    assert list(wording.verified(cut, wide=False))[-1].endswith(
        "`-o json` has 2 of them, faults first: verify single namespaces for the rest"
    )
    assert (
        list(wording.verified(verifying.document(Verified(), "", 0.0, None), wide=False))[-1] == "everything is there"
    )
