"""Many machines: live workers, owners of slices, changes of instances, the master key in use."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables and columns."""
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("beat", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "seal",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("jobs", sa.Column("worker", sa.Text(), nullable=True))
    op.add_column("parts", sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column(
        "instances", sa.Column("version", sa.BigInteger(), server_default="0", nullable=False)
    )
