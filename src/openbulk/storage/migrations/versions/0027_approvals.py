"""Plans are approved: who has made a job, whose key it was, and what was decided about its plan."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns and the table. Of the jobs that are there, nobody knows who has made them."""
    op.add_column(
        "organizations",
        sa.Column("approvals", sa.String(16), nullable=False, server_default="agents"),
    )
    for table, name in (("secrets", "is_agent"), ("jobs", "by_agent")):
        op.add_column(
            table, sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        )
    op.add_column("jobs", sa.Column("created_by", sa.BigInteger()))
    op.create_table(
        "approvals",
        sa.Column("id", ID, primary_key=True),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(8), nullable=False),
        sa.Column("user_id", ID, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.Column("used_by", sa.BigInteger()),
        sa.Column("withdrawn_at", sa.BigInteger()),
        sa.Column("withdrawn_by", sa.BigInteger()),
        sqlite_autoincrement=True,
    )
    op.create_index("approvals_of_job", "approvals", ["job_id"])
