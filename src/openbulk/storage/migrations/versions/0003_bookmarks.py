"""The bookmarks that downloads leave in services' feeds of changes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create their table."""
    op.create_table(
        "bookmarks",
        sa.Column("instance_id", sa.BigInteger(), nullable=False),
        sa.Column("feed", sa.String(length=64), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", "feed", "taken_at"),
        sqlite_with_rowid=False,
    )
