"""Jobs can be deleted. On SQLite, the numbers of deleted ones are never given again."""

import sqlalchemy as sa
from alembic import op

from openbulk.storage.migrations.steps import number_once

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Make the table of deleted jobs, and two tables again with AUTOINCREMENT."""
    op.create_table(
        "deleted_jobs",
        sa.Column("job_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("file", sa.Text(), nullable=False),
    )
    number_once("jobs", "deliveries", referring="idempotency_keys")
    op.create_index("jobs_by_end", "jobs", ["finished_at"])
