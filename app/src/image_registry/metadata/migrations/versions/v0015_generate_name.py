"""What name a client wanted to have completed, which Kubernetes keeps in the object.

Empty where nobody said it, and in what processes of the previous version make.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_KINDS = ("image_streams", "images")


def upgrade() -> None:
    """Add the columns."""
    for table in _KINDS:
        op.add_column(table, sa.Column("generate_name", sa.String, nullable=True))


def downgrade() -> None:
    """Remove them."""
    for table in _KINDS:
        op.drop_column(table, "generate_name")
