"""Objects and fields have names of the callers' own."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables. The jobs that are there use the services' names."""
    op.create_table(
        "definitions",
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("instance_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "instance_id", "name"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "transformations",
        sa.Column("instance_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("transformation", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", "name"),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"]),
        sqlite_with_rowid=False,
    )
    op.add_column("jobs", sa.Column("transformation", sa.JSON()))
