"""How many records to delete were not found, and which options of a job have no effect."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns. The jobs that are there count such records among `unchanged`."""
    count = sa.Column("not_found", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("jobs", count)
    op.add_column("jobs", sa.Column("unused_options", sa.JSON(), nullable=True))
