"""Jobs may be undone: what their writes have overwritten is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
_COUNTS = ("reversed", "kept", "gone_already", "not_reversible")


def upgrade() -> None:
    """Add the columns and the tables. The jobs that are there have kept nothing."""
    op.add_column("jobs", sa.Column("undo_of", sa.BigInteger()))
    op.add_column("jobs", sa.Column("undo", sa.JSON(none_as_null=True)))
    for name in _COUNTS:
        op.add_column("jobs", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("jobs_by_undo", "jobs", ["undo_of"])
    if op.get_context().dialect.name == "postgresql":  # SQLite does not count characters
        op.alter_column("problems", "kind", type_=sa.String(16))
    op.create_table(
        "undo_parts",
        sa.Column("job_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("first_row", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("last_row", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.JSON(none_as_null=True)),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "before_images",
        sa.Column("job_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("row", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
