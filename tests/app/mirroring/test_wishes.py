"""What a person wrote about images to be copied is read in one place, whichever door it came in by."""

from __future__ import annotations

import pytest

from image_registry.mirroring.wishes import InvalidPattern, Wishes, wishes


def test_who_asks_for_nothing_gets_everything_with_its_referrers() -> None:
    found = wishes()
    assert (found.filter, found.referrers, found.skip_missing, found.force) == (Wishes().filter, True, False, False)
    assert found.tags("anything")


def test_a_tag_is_meant_if_one_expression_fits_all_of_it() -> None:
    meant = wishes(tags=[r"v\d+", "latest"]).tags
    assert [tag for tag in ("v1", "v12", "v1-rc", "latest", "xlatest") if meant(tag)] == ["v1", "v12", "latest"]


@pytest.mark.parametrize(("given", "parameter"), [({"platforms": "("}, "platforms"), ({"tags": ["v1", "("]}, "tags")])
def test_what_is_no_expression_is_told_with_its_parameter(given: dict[str, object], parameter: str) -> None:
    with pytest.raises(InvalidPattern, match=r"'\(' is no regular expression: ") as caught:
        wishes(**given)  # type: ignore[arg-type]
    assert caught.value.parameter == parameter
