"""Reservations: bytes of pushes that are on their way, so that parallel pushes cannot pass a quota together."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME = sa.String(255, collation="C").with_variant(sa.String(255), "sqlite")


def upgrade() -> None:
    """Add the table; processes of the previous version do not notice it."""
    op.create_table(
        "reservations",
        sa.Column("id", NAME, nullable=False),
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("digest", NAME, nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reservations"),
    )
    op.create_index("ix_reservations_namespace", "reservations", ["namespace"])


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("reservations")
