"""A real registry notes a real pull, by itself, and tells since when the others were not pulled."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, select

from image_registry.metadata.tables import pulls, pulls_noted
from tests.serve.pushing import REPOSITORY, ask, push_image

if TYPE_CHECKING:
    from tests.serve.conftest import Served


def test_a_pull_is_noted_within_a_minute_and_a_look_is_not(served: Served) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=1)
    pulled, again, looked_at = (push_image(served.host, tag, 100) for tag in ("v1", "v2", "v3"))
    ask(served.host, "GET", f"{REPOSITORY}/manifests/v1").expect(200)
    for _ in range(3):  # the later ones are given from memory
        ask(served.host, "GET", f"{REPOSITORY}/manifests/{again}").expect(200)
    ask(served.host, "HEAD", f"{REPOSITORY}/manifests/{looked_at}").expect(200)
    database = next(path for path in served.root.rglob("*.db"))
    engine, deadline = create_engine(f"sqlite:///{database}"), time.monotonic() + 60
    while True:
        with engine.connect() as connection:
            found = {row.digest: row.pulled for row in connection.execute(select(pulls))}
            noted = connection.execute(select(pulls_noted)).first()
        if (noted is not None and len(found) >= 2) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    engine.dispose()
    assert set(found) == {pulled, again}
    assert noted is not None
    assert all(begun <= moment.replace(tzinfo=UTC) <= datetime.now(UTC) for moment in [*found.values(), noted.since])
