"""The audit log: deeds under way, the chain of each organization, and its end."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "audit_attempts",
        sa.Column("id", ID, primary_key=True),
        sa.Column("request_id", sa.String(32), nullable=False, unique=True),
        *_deed(),
        sa.Column("outcome", sa.String(8)),
    )
    op.create_table(
        "audit_entries",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.String(32), nullable=False),
        *_deed(),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "number"),
    )
    op.create_index("audit_entries_by_time", "audit_entries", ["organization_id", "at"])
    op.create_table(
        "audit_chains",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary()),
    )


def _deed() -> list[sa.Column[object]]:
    return [
        sa.Column("organization_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger()),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("secret_id", sa.BigInteger()),
        sa.Column("instance_id", sa.BigInteger()),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("detail", sa.Text(), nullable=False),
    ]
