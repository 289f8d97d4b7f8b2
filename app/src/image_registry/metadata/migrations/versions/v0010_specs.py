"""What people want of streams: tag specs, conditions, and the metadata that only writers through the API bring.

Every new column may be empty and every new table too, so processes of the previous version go on writing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Name = sa.String(255, collation="C").with_variant(sa.String(255), "sqlite")
Text = sa.String()

_KINDS = ("image_streams", "images")
_METADATA = ("owner_references", "finalizers", "managed_fields")


def upgrade() -> None:
    """Add the columns and the tables."""
    for table in _KINDS:
        for column in _METADATA:
            op.add_column(table, sa.Column(column, sa.JSON(none_as_null=True), nullable=True))
        op.add_column(table, sa.Column("deleted", sa.DateTime(timezone=True), nullable=True))
    op.add_column("image_streams", sa.Column("source_repository", Text, nullable=True))
    op.create_table(
        "tag_specs",
        sa.Column("stream_id", BigId, nullable=False),
        sa.Column("tag", Name, nullable=False),
        sa.Column("annotations", sa.JSON, nullable=False),
        sa.Column("from_kind", sa.String(32), nullable=False),
        sa.Column("from_namespace", Name, nullable=False),
        sa.Column("from_name", Text, nullable=False),
        sa.Column("reference", sa.Boolean, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("insecure", sa.Boolean, nullable=False),
        sa.Column("scheduled", sa.Boolean, nullable=False),
        sa.Column("import_mode", sa.String(32), nullable=False),
        sa.Column("reference_policy", sa.String(16), nullable=False),
        sa.Column("follows", Name, nullable=True),
        sa.PrimaryKeyConstraint("stream_id", "tag", name="pk_tag_specs"),
        sa.ForeignKeyConstraint(["stream_id"], ["image_streams.id"], name="fk_tag_specs_stream_id", ondelete="CASCADE"),
    )
    op.create_index("ix_tag_specs_follows", "tag_specs", ["stream_id", "follows"])
    op.create_table(
        "tag_conditions",
        sa.Column("stream_id", BigId, nullable=False),
        sa.Column("tag", Name, nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("transitioned", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", Text, nullable=False),
        sa.Column("message", Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "tag", "type", name="pk_tag_conditions"),
        sa.ForeignKeyConstraint(
            ["stream_id"], ["image_streams.id"], name="fk_tag_conditions_stream_id", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("tag_conditions")
    op.drop_index("ix_tag_specs_follows", "tag_specs")
    op.drop_table("tag_specs")
    # not as a batch: SQLite would make the table anew, and removing the old one would remove all rows that refer to it
    op.drop_column("image_streams", "source_repository")
    for table in _KINDS:
        for column in ("deleted", *_METADATA):
            op.drop_column(table, column)
