"""Every cell of the client matrix that runs, against ``image-registry serve`` with TLS, users and tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.matrix import MATRIX, OPERATIONS, Bench, checks
from tests.clients.programs import Registry

CHECKS = checks()


@pytest.mark.slow
@pytest.mark.parametrize("cell", CHECKS)
def test_the_client_matrix(cell: str, registry: Registry, home: Path, tmp_path: Path) -> None:
    CHECKS[cell](Bench(registry, "matrix", home, tmp_path))


def test_every_client_has_a_check_or_a_reason_for_every_operation() -> None:
    for client, cells in MATRIX.items():
        assert set(cells) == set(OPERATIONS), client
