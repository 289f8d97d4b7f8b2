"""Streams, tags with their history, images, upload sessions, the revision log and the outbox.

Written out instead of taken from ``tables``: a migration must keep making what it made when it was released.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
NAME = sa.String(255, collation="C").with_variant(sa.String(255), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create every table of the first release."""
    op.create_table(
        "image_streams",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("uid", sa.String(36), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("annotations", sa.JSON, nullable=False),
        sa.Column("lookup_local", sa.Boolean, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("resource_version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_image_streams"),
        sa.UniqueConstraint("namespace", "name", name="uq_image_streams_namespace"),
    )
    op.create_table(
        "images",
        sa.Column("digest", NAME, nullable=False),
        sa.Column("uid", sa.String(36), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("annotations", sa.JSON, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("resource_version", sa.BigInteger, nullable=False),
        sa.Column("reference", sa.String, nullable=False),
        sa.Column("media_type", sa.String, nullable=False),
        sa.Column("manifest_size", sa.BigInteger, nullable=False),
        sa.Column("content_size", sa.BigInteger, nullable=False),
        sa.Column("config", NAME, nullable=True),
        sa.Column("layers", sa.JSON, nullable=False),
        sa.Column("manifests", sa.JSON, nullable=False),
        sa.Column("docker_metadata", sa.JSON, nullable=False),
        sa.Column("artifact_type", sa.String, nullable=False),
        sa.Column("subject", NAME, nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_images"),
    )
    op.create_index("ix_images_subject", "images", ["subject"])
    op.create_table(
        "held_manifests",
        sa.Column("stream_id", BIG_ID, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("media_type", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("pushed", TIME, nullable=False),
        sa.Column("pushed_by", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "digest", name="pk_held_manifests"),
        sa.ForeignKeyConstraint(
            ["stream_id"], ["image_streams.id"], name="fk_held_manifests_stream_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["digest"], ["images.digest"], name="fk_held_manifests_digest"),
    )
    op.create_index("ix_held_manifests_digest", "held_manifests", ["digest"])
    op.create_table(
        "tags",
        sa.Column("stream_id", BIG_ID, nullable=False),
        sa.Column("tag", NAME, nullable=False),
        sa.Column("image", NAME, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "tag", name="pk_tags"),
        sa.ForeignKeyConstraint(["stream_id"], ["image_streams.id"], name="fk_tags_stream_id", ondelete="CASCADE"),
    )
    op.create_index("ix_tags_image", "tags", ["stream_id", "image"])
    op.create_table(
        "tag_events",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("stream_id", BIG_ID, nullable=False),
        sa.Column("tag", NAME, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("image", NAME, nullable=False),
        sa.Column("reference", sa.String, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tag_events"),
        sa.ForeignKeyConstraint(
            ["stream_id"], ["image_streams.id"], name="fk_tag_events_stream_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_tag_events_stream_id", "tag_events", ["stream_id", "tag", "id"])
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("hash_state", sa.LargeBinary, nullable=False),
        sa.Column("started", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
    )
    op.create_index("ix_uploads_started", "uploads", ["started"])
    log = op.create_table(
        "revisions",
        sa.Column("revision", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("event", sa.String(8), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("last_state", sa.JSON, nullable=True),
        sa.PrimaryKeyConstraint("revision", name="pk_revisions"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "cleanups",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("requested", TIME, nullable=False),
        sa.Column("blobs_before", TIME, nullable=True),
        sa.PrimaryKeyConstraint("namespace", "name", name="pk_cleanups"),
    )
    op.create_index("ix_cleanups_requested", "cleanups", ["requested"])
    # an empty registry has a revision too: Kubernetes gives resourceVersion 0 a meaning of its own
    first = {"kind": "Schema", "namespace": "", "name": revision, "event": "ADDED", "created": datetime.now(UTC)}
    op.bulk_insert(log, [first])


def downgrade() -> None:
    """Remove every table of the first release."""
    for table in (
        "cleanups",
        "revisions",
        "uploads",
        "tag_events",
        "tags",
        "held_manifests",
        "images",
        "image_streams",
    ):
        op.drop_table(table)
