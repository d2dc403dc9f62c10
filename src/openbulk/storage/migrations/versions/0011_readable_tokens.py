"""The token of an instance may be kept sealed, so that answers can show it again."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column. Tokens that are there are known by their fingerprints alone."""
    op.add_column("instances", sa.Column("sealed_token", sa.LargeBinary(), nullable=True))
