"""Queries of who goes through everything: which digests images are made of, page by page."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, or_, select, tuple_

from image_registry.metadata.tables import Record, image_streams, images

_page = (
    select(images.c.digest, images.c.config, images.c.layers, images.c.manifests)
    .where(images.c.digest > bindparam("after"))
    .order_by(images.c.digest)
    .limit(bindparam("at_most"))
)


_names = (
    select(image_streams.c.namespace, image_streams.c.name)
    .where(
        or_(bindparam("in_namespace") == "", image_streams.c.namespace == bindparam("in_namespace")),
        tuple_(image_streams.c.namespace, image_streams.c.name) > tuple_(bindparam("after"), bindparam("after_name")),
    )
    .order_by(image_streams.c.namespace, image_streams.c.name)
    .limit(bindparam("at_most"))
)


def names(connection: Connection, namespace: str, *, after: tuple[str, str], limit: int) -> Sequence[Record]:
    """``namespace`` and ``name`` of streams behind ``after``; of all namespaces where none is given."""
    where = {"in_namespace": namespace, "after": after[0], "after_name": after[1], "at_most": limit}
    return connection.execute(_names, where).all()


def contents(connection: Connection, *, after: str, limit: int) -> Sequence[Record]:
    """``digest``, ``config``, ``layers`` and ``manifests`` of images, by digest, those behind ``after``."""
    return connection.execute(_page, {"after": after, "at_most": limit}).all()
