"""When tags were last imported, so that every process knows which are due.

Processes of the previous version import only when they are told to, and know nothing of this.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Name = sa.String(255, collation="C").with_variant(sa.String(255), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "import_attempts",
        sa.Column("stream_id", BigId, nullable=False),
        sa.Column("tag", Name, nullable=False),
        sa.Column("attempted", sa.DateTime(timezone=True), nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("again", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "tag", name="pk_import_attempts"),
        sa.ForeignKeyConstraint(
            ["stream_id"], ["image_streams.id"], name="fk_import_attempts_stream_id", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("import_attempts")
