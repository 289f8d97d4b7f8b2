"""``playbooks/rollback.yml`` from behind every phase before ``finalize``: the legacy state again, object by object."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.migration.moving import ROLLBACK, Moving, moving

pytestmark = pytest.mark.long
PHASES = {
    "reuse": ("prepare", "freeze", "attach", "backfill", "gates", "cutover", "observe"),
    "copy": ("prepare", "freeze", "copy", "gates", "cutover", "observe"),
}
"""Of a migration that keeps the storage, and of one that copies; in order."""


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    """One for all phases of a way: what is taken back leaves nothing that the next one would stumble over."""
    with moving(tmp_path_factory.mktemp("site"), registry_migrate_way=request.param) as found:
        found.move("plan")
        yield found


@pytest.fixture(scope="module")
def before(site: Moving) -> tuple[dict[str, Any], dict[str, str]]:
    """Objects and images."""
    return site.objects(), site.whole.before()


@pytest.mark.parametrize(
    ("site", "way", "last"),
    [(way, way, last) for way, phases in PHASES.items() for last in phases],
    indirect=["site"],
    ids=[f"{way}-{last}" for way, phases in PHASES.items() for last in phases],
)
def test_a_phase_is_taken_back_to_the_last_label(
    way: str, last: str, site: Moving, before: tuple[dict[str, Any], dict[str, str]], tell: Callable[[str], None]
) -> None:
    objects, images = before
    phases = PHASES[way]
    assert tuple(phase for phase in site.history.phases() if phase != "finalize") == phases, "one is not tested"
    with site.pulled() as pulls:
        site.move(*phases[: phases.index(last) + 1], **site.last())
        changed = site.objects()
        assert changed != objects
        assert site.lease() is not None
        if last == phases[-1]:
            assert site.controller.play(ROLLBACK).changed == 0
            assert site.objects() == changed, "without a confirmation it is only shown"
        site.back()
        assert site.objects() == objects
        assert site.left_of_this_registry() == set()
        assert site.lease() is None
        assert site.whole.before() == images
    if last == phases[-1]:
        assert site.back().changed == 0, "there is nothing left to take back"
    tell(f"{len(objects)} objects as before, {pulls.done} pulls, 0 failed")
