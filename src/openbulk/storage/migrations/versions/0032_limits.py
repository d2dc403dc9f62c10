"""Organizations have limits of their own; the bytes of kept files and the calls are counted."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns. A download that is there already counts as no bytes: nobody knows them."""
    for name in ("max_jobs", "max_bytes", "max_calls_per_minute"):
        op.add_column("organizations", sa.Column(name, sa.BigInteger()))
    op.add_column(
        "jobs", sa.Column("kept_bytes", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.execute(
        "UPDATE jobs SET kept_bytes = file_size WHERE uploaded_file IS NULL "
        "AND records_of IS NULL AND first_file IS NULL AND undo_of IS NULL"
    )
    op.create_index(
        "kept_files_of_organization",
        "jobs",
        ["organization_id", "kept_bytes"],
        postgresql_where=sa.text("has_file"),
        sqlite_where=sa.text("has_file"),
    )
    op.create_table(
        "api_calls",
        sa.Column("organization_id", ID, primary_key=True, autoincrement=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    )
