"""Jobs that retry rows of earlier ones, and values that people have mended for them."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the columns and the tables; the jobs that are there retry nothing."""
    op.add_column("jobs", sa.Column("retry_of", sa.BigInteger(), nullable=True))
    op.add_column("jobs", sa.Column("first_file", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("earlier_files", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("retried_rows", sa.BigInteger(), nullable=True))
    op.create_index("jobs_by_first_file", "jobs", ["first_file"])
    op.create_table(
        "retries",
        sa.Column("job_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("of", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.LargeBinary(), nullable=False),
    )
    op.create_index("retries_of_job", "retries", ["of"])
    op.create_table(
        "mends",
        sa.Column("job_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("row", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
