"""Signatures that the signatures extension keeps beside a manifest.

They belong to a manifest of one repository and go with it, so nobody can fill or read them through another namespace
that holds the same digest.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
NAME = sa.String(255, collation="C").with_variant(sa.String(255), "sqlite")


def upgrade() -> None:
    """Add the table; processes of the previous version do not notice it."""
    op.create_table(
        "signatures",
        sa.Column("stream_id", BIG_ID, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "digest", "name", name="pk_signatures"),
        sa.ForeignKeyConstraint(
            ["stream_id", "digest"],
            ["held_manifests.stream_id", "held_manifests.digest"],
            name="fk_signatures_stream_id",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("signatures")
