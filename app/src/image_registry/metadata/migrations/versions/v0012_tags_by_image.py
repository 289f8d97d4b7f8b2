"""Which tags mean an image: asked before the image is deleted."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_tags_meaning", "tags", ["image"])


def downgrade() -> None:
    """Remove it."""
    op.drop_index("ix_tags_meaning", "tags")
