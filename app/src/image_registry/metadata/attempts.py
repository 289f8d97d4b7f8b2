"""Queries about when tags were last imported, and which may be due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, false, insert, or_, select

from image_registry.metadata.tables import Record, image_streams, import_attempts, tag_specs

_candidates = (
    select(
        image_streams.c.namespace,
        image_streams.c.name,
        tag_specs,
        import_attempts.c.attempted,
        import_attempts.c.failures,
        import_attempts.c.again,
        import_attempts.c.generation.label("tried_generation"),
    )
    .select_from(tag_specs)
    .join(image_streams, image_streams.c.id == tag_specs.c.stream_id)
    .outerjoin(
        import_attempts,
        (import_attempts.c.stream_id == tag_specs.c.stream_id) & (import_attempts.c.tag == tag_specs.c.tag),
    )
    .where(
        tag_specs.c.from_kind == "DockerImage",
        tag_specs.c.reference == false(),
        image_streams.c.deleted.is_(None),
        or_(
            import_attempts.c.attempted.is_(None),
            import_attempts.c.generation < tag_specs.c.generation,
            (tag_specs.c.scheduled | import_attempts.c.again) & (import_attempts.c.attempted < bindparam("before")),
        ),
    )
    .order_by(import_attempts.c.attempted.is_not(None), import_attempts.c.attempted, tag_specs.c.stream_id)
    .limit(bindparam("at_most"))
)
_this = (import_attempts.c.stream_id == bindparam("stream")) & (import_attempts.c.tag == bindparam("at_tag"))
_find = select(import_attempts.c.failures).where(_this)
_forget = delete(import_attempts).where(_this)


def candidates(connection: Connection, before: datetime, limit: int) -> Sequence[Record]:
    """Wanted tags that were never tried as they are wanted now, or not since ``before`` although they are to be again.

    A row of ``tag_specs`` with ``namespace``, ``name``, ``attempted``, ``failures``, ``again``, ``tried_generation``.
    """
    return connection.execute(_candidates, {"before": before, "at_most": limit}).all()


def failures(connection: Connection, stream: int, tag: str) -> int:
    """How often it failed in a row."""
    return int(connection.execute(_find, {"stream": stream, "at_tag": tag}).scalar() or 0)


def note(connection: Connection, stream: int, tag: str, values: Mapping[str, Any]) -> None:
    """It was tried: ``attempted``, ``generation``, ``failures``, ``again``."""
    connection.execute(_forget, {"stream": stream, "at_tag": tag})
    connection.execute(insert(import_attempts), {"stream_id": stream, "tag": tag, **values})
