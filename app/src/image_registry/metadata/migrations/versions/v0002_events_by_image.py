"""An index from a digest to the events that mention it.

Deleting a manifest takes it out of the history of every tag of its stream; without the index each such deletion reads
the whole history of the stream, and pruning a stream of many thousand tags reads it many thousand times.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index; processes of the previous version do not notice it."""
    op.create_index("ix_tag_events_image", "tag_events", ["stream_id", "image"])


def downgrade() -> None:
    """Remove the index."""
    op.drop_index("ix_tag_events_image", "tag_events")
