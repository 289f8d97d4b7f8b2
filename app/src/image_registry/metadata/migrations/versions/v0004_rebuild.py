"""How far the tables have been made from storage, and what could not be taken into them.

The one row of ``rebuild`` begins unfinished: whoever has a database that is new may have a storage that is not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
NAME = sa.String(255, collation="C").with_variant(sa.String(255), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables; processes of the previous version do not notice them."""
    rebuild = op.create_table(
        "rebuild",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("started", TIME, nullable=True),
        sa.Column("finished", TIME, nullable=True),
        sa.Column("after_namespace", NAME, nullable=False),
        sa.Column("after_name", NAME, nullable=False),
        sa.Column("counts", sa.JSON, nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("held_until", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_rebuild"),
    )
    op.create_table(
        "rebuilt",
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.PrimaryKeyConstraint("namespace", "name", name="pk_rebuilt"),
    )
    op.create_table(
        "rebuild_findings",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("namespace", NAME, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("detail", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rebuild_findings"),
    )
    op.create_index("ix_rebuild_findings_namespace", "rebuild_findings", ["namespace", "name"])
    first = {"id": 1, "generation": 1, "after_namespace": "", "after_name": "", "counts": {}, "holder": ""}
    op.bulk_insert(rebuild, [first])


def downgrade() -> None:
    """Remove the tables."""
    for table in ("rebuild_findings", "rebuilt", "rebuild"):
        op.drop_table(table)
