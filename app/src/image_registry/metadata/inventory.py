"""Queries of who goes through everything: which digests images are made of, page by page."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from image_registry.metadata.tables import Record, images

_page = (
    select(images.c.digest, images.c.config, images.c.layers, images.c.manifests)
    .where(images.c.digest > bindparam("after"))
    .order_by(images.c.digest)
    .limit(bindparam("at_most"))
)


def contents(connection: Connection, *, after: str, limit: int) -> Sequence[Record]:
    """``digest``, ``config``, ``layers`` and ``manifests`` of images, by digest, those behind ``after``."""
    return connection.execute(_page, {"after": after, "at_most": limit}).all()
