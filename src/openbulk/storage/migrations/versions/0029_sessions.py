"""People have passwords, second factors and sessions; links let them choose a password."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables. Nobody has a password yet."""
    op.add_column("users", sa.Column("password_hash", sa.Text()))
    op.add_column("users", sa.Column("sealed_totp_key", sa.LargeBinary()))
    op.add_column("users", sa.Column("totp_step", sa.BigInteger()))
    op.create_table(
        "sessions",
        sa.Column("id", ID, primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False, unique=True),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("user_secret_id", ID),
        sa.Column("organization_secret_id", ID),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.ForeignKeyConstraint(["user_secret_id"], ["secrets.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["organization_secret_id"], ["secrets.id"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("sessions_of_user", "sessions", ["user_id"])
    op.create_index("sessions_by_end", "sessions", ["expires_at"])
    op.create_table(
        "links",
        sa.Column("id", ID, primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False, unique=True),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("user_id", ID),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sqlite_autoincrement=True,
    )
    op.create_index("links_of_organization", "links", ["organization_id"])
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", ID, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "fingerprint"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
    )
