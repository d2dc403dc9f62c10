"""Files can be sent before there is a job for them, and several jobs may use one."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table of files, and the column of jobs that use one."""
    op.create_table(
        "files",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization_id", ID, sa.ForeignKey("organizations.id"), nullable=False),
        sa.Column("instance_id", sa.BigInteger(), nullable=False),
        sa.Column("file", sa.String(32), nullable=False, unique=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("file_format", sa.Text(), nullable=False),
        sa.Column("takes_events", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.Column("key", sa.String(255), nullable=True),
        sa.Column("key_digest", sa.String(64), nullable=True),
        sa.UniqueConstraint("organization_id", "instance_id", "key"),
        sqlite_autoincrement=True,
    )
    op.create_index("files_by_use", "files", ["used_at"])
    op.add_column("jobs", sa.Column("uploaded_file", sa.String(32), nullable=True))
    op.create_index("jobs_by_uploaded_file", "jobs", ["uploaded_file"])
