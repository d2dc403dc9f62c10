"""Several secrets of one user or organization hold at once, while callers move to a new one."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables. Each user and organization that is there has one secret."""
    for owner in ("user", "organization"):
        op.create_table(
            f"{owner}_secrets",
            sa.Column("fingerprint", sa.String(64), nullable=False),
            sa.Column("owner_id", ID, nullable=False),
            sa.PrimaryKeyConstraint("fingerprint"),
            sa.ForeignKeyConstraint(["owner_id"], [f"{owner}s.id"]),
            sqlite_with_rowid=False,
        )
