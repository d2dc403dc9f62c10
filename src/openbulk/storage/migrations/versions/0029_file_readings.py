"""Files that are read in another way than when they arrived."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0026"


def upgrade() -> None:
    """Add the name of what was read last; that of the first time is empty."""
    op.add_column("files", sa.Column("reading", sa.String(32), nullable=False, server_default=""))
