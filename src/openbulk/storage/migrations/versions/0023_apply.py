"""Plans may be carried out, and records that have changed since are counted."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add the columns. The plans that are made were made when their jobs ended."""
    op.add_column("jobs", sa.Column("planned_at", sa.BigInteger()))
    op.add_column("jobs", sa.Column("apply", sa.JSON(none_as_null=True)))
    op.add_column("jobs", sa.Column("drifted", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE jobs SET planned_at = finished_at WHERE status = 'PLANNED'")
