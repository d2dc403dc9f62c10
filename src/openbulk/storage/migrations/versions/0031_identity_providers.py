"""People sign in at the OpenID provider of their organization."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table. No organization has a provider yet."""
    op.create_table(
        "identity_providers",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization_id", ID, nullable=False, unique=True),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary()),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("role_claim", sa.Text(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("default_role", sa.String(16)),
        sa.Column("email_domains", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
    )
    op.add_column("users", sa.Column("identity_issuer", sa.Text()))
    op.add_column("users", sa.Column("identity_subject", sa.Text()))
    op.create_index(
        "users_by_identity",
        "users",
        ["organization_id", "identity_issuer", "identity_subject"],
        unique=True,
    )
