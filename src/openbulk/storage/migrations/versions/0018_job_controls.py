"""Jobs can be paused, slowed down, and put before others (engine/job_controls.py)."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add what callers may want of a job that has begun."""
    op.add_column(
        "jobs", sa.Column("paused", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("jobs", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("calls_per_minute", sa.Integer()))
