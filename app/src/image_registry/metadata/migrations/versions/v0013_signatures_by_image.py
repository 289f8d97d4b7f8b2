"""Signatures of an image, whichever stream keeps them."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_signatures_digest", "signatures", ["digest"])


def downgrade() -> None:
    """Remove it."""
    op.drop_index("ix_signatures_digest", "signatures")
