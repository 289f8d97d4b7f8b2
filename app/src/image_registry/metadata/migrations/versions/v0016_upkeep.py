"""Runs of the collector and of whoever looks after the bytes, which the registry makes when it is asked.

Processes of the previous version are not asked, and know nothing of this.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "upkeep",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("asked", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_by", sa.String, nullable=False),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("stop", sa.Boolean, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("cursor", sa.String, nullable=False),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.Column("error", sa.String, nullable=False),
        sa.Column("report", sa.JSON, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_upkeep"),
    )
    op.create_index("ix_upkeep_kind", "upkeep", ["kind", "ended"])


def downgrade() -> None:
    """Remove it."""
    op.drop_table("upkeep")
