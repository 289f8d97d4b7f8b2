"""When manifests were last pulled, and since when that is noted.

Processes of the previous version note nothing; the gap that they leave shows in ``pulls_noted``.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
NAME = sa.String(255, collation="C").with_variant(sa.String(255), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "pulls",
        sa.Column("stream_id", BIG_ID, nullable=False),
        sa.Column("digest", NAME, nullable=False),
        sa.Column("pulled", TIME, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "digest", name="pk_pulls"),
        sa.ForeignKeyConstraint(
            ["stream_id", "digest"],
            ["held_manifests.stream_id", "held_manifests.digest"],
            name="fk_pulls_stream_id",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "pulls_noted",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("until", TIME, nullable=False),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("pulls_noted")
    op.drop_table("pulls")
