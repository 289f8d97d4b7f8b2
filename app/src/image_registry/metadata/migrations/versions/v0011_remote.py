"""What was imported from other registries, and who is fetching it.

Processes of the previous version know nothing of these tables and go on without them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Name = sa.String(255, collation="C").with_variant(sa.String(255), "sqlite")
Text = sa.String()


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "remote_manifests",
        sa.Column("stream_id", BigId, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("origin", Text, nullable=False),
        sa.Column("insecure", sa.Boolean, nullable=False),
        sa.Column("imported", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "digest", name="pk_remote_manifests"),
        sa.ForeignKeyConstraint(
            ["stream_id", "digest"],
            ["held_manifests.stream_id", "held_manifests.digest"],
            name="fk_remote_manifests_stream_id",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "remote_blobs",
        sa.Column("stream_id", BigId, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("manifest", Name, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "digest", "manifest", name="pk_remote_blobs"),
        sa.ForeignKeyConstraint(
            ["stream_id", "manifest"],
            ["remote_manifests.stream_id", "remote_manifests.digest"],
            name="fk_remote_blobs_stream_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_remote_blobs_manifest", "remote_blobs", ["stream_id", "manifest"])
    op.create_table(
        "fetches",
        sa.Column("namespace", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "name", "digest", name="pk_fetches"),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("fetches")
    op.drop_index("ix_remote_blobs_manifest", "remote_blobs")
    op.drop_table("remote_blobs")
    op.drop_table("remote_manifests")
