"""What was left out of a job's rows."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column; the jobs that are there have no remarks."""
    op.add_column("jobs", sa.Column("remarks", sa.JSON(), nullable=True))
