"""Jobs that verify what earlier ones have written."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Add the column; the jobs that are there verify nothing."""
    op.add_column("jobs", sa.Column("verify_of", sa.BigInteger(), nullable=True))
