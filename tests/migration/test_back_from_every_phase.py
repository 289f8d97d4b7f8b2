"""``playbooks/rollback.yml`` from behind every phase before ``finalize``: the legacy state again, object by object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.migration.moving import ROLLBACK, Moving, moving

pytestmark = pytest.mark.long
PHASES = ("prepare", "freeze", "attach", "backfill", "gates", "cutover", "observe")
"""Of a migration that keeps the storage, in order."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    """One for all phases: what is taken back leaves nothing that the next one would stumble over."""
    with moving(tmp_path_factory.mktemp("site"), registry_migrate_way="reuse") as found:
        found.move("plan")
        yield found


@pytest.fixture(scope="module")
def before(site: Moving) -> tuple[dict[str, Any], dict[str, str]]:
    """Objects and images."""
    return site.objects(), site.whole.before()


@pytest.mark.parametrize("last", PHASES)
def test_a_phase_is_taken_back_to_the_last_label(
    last: str, site: Moving, before: tuple[dict[str, Any], dict[str, str]]
) -> None:
    objects, images = before
    assert [phase for phase in site.history.phases() if phase != "finalize"] == list(PHASES), "one is not tested"
    with site.pulled():
        site.move(*PHASES[: PHASES.index(last) + 1], **site.last())
        changed = site.objects()
        assert changed != objects
        assert site.lease() is not None
        assert site.controller.play(ROLLBACK).changed == 0
        assert site.objects() == changed, "without a confirmation it is only shown"
        site.back()
        assert site.objects() == objects
        assert site.left_of_this_registry() == set()
        assert site.lease() is None
        assert site.whole.before() == images
    assert site.back().changed == 0, "there is nothing left to take back"
