"""Which versions can work with this schema, said by the version that made it to those that do not know it."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; it is filled when all steps are done."""
    op.create_table(
        "schema_reach",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("oldest", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("schema_reach")
