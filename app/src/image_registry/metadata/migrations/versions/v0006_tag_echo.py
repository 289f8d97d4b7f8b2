"""Which tags mean something that their links in storage may not say yet.

Processes of the previous version write those links before they commit and leave the column empty, which says so.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and an index of the few rows that have it."""
    op.add_column("tags", sa.Column("unechoed", sa.String(32), nullable=True))
    some = sa.text("unechoed IS NOT NULL")
    op.create_index("ix_tags_unechoed", "tags", ["unechoed"], sqlite_where=some, postgresql_where=some)


def downgrade() -> None:
    """Remove both."""
    op.drop_index("ix_tags_unechoed", "tags")
    op.drop_column("tags", "unechoed")
