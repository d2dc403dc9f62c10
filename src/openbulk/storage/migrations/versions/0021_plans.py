"""Jobs may be planned before they write anything."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the column and the table. The jobs that are there have no plan."""
    op.add_column("jobs", sa.Column("planned_file", sa.String(64)))
    op.create_table(
        "plan_parts",
        sa.Column("job_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("first_row", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("last_row", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("ranges", sa.JSON(none_as_null=True)),
        sa.Column("summary", sa.JSON(), nullable=False),
        sqlite_with_rowid=False,
    )
