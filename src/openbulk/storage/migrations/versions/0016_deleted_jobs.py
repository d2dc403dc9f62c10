"""Jobs can be deleted. On SQLite, the numbers of deleted ones are never given again."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Make the table of deleted jobs, and two tables again with AUTOINCREMENT."""
    op.create_table(
        "deleted_jobs",
        sa.Column("job_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("file", sa.Text(), nullable=False),
    )
    if op.get_context().dialect.name == "sqlite":
        _number_once()
    op.create_index("jobs_by_end", "jobs", ["finished_at"])


def _number_once() -> None:
    # A table that rows refer to cannot be dropped.
    op.execute("CREATE TEMP TABLE kept AS SELECT * FROM idempotency_keys")
    op.execute("DELETE FROM idempotency_keys")
    for table in ("jobs", "deliveries"):
        with op.batch_alter_table(
            table, recreate="always", table_kwargs={"sqlite_autoincrement": True}
        ):
            pass
    op.execute("INSERT INTO idempotency_keys SELECT * FROM kept")
    op.execute("DROP TABLE kept")
