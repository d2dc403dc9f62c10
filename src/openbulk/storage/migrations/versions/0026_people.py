"""Organizations have names and users; secrets have names, scopes, an end, and a last use."""

import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table of secrets, and keep those that hold. The users that are there are first."""
    now = int(time.time() * 1000)
    secrets = op.create_table(
        "secrets",
        sa.Column("id", ID, primary_key=True),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("user_id", ID),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON()),
        sa.Column("from_settings", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.UniqueConstraint("kind", "fingerprint"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"]),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sqlite_autoincrement=True,
    )
    op.create_index("secrets_of_user", "secrets", ["user_id"])
    op.create_index("secrets_of_organization", "secrets", ["organization_id"])
    assert secrets is not None
    rows = [{**row, "created_at": now} for row in _secrets_before()]
    if rows:
        op.bulk_insert(secrets, rows)
    op.drop_table("organization_secrets")
    op.drop_table("user_secrets")
    _name("organizations", "name", "'Organization ' || id", now)
    _name("users", "login", "lower(email)", now)
    op.add_column("users", sa.Column("role", sa.String(16), server_default="installation"))
    op.add_column("users", sa.Column("first_name", sa.Text(), server_default=""))
    op.add_column("users", sa.Column("last_name", sa.Text(), server_default=""))
    op.create_index("users_of_organization", "users", ["organization_id"])


def _name(table: str, column: str, first: str, now: int) -> None:
    """Give rows a name. It takes the place of the column of the first secret, which is unique."""
    op.execute(f"ALTER TABLE {table} RENAME COLUMN secret_fingerprint TO {column}")
    if op.get_context().dialect.name == "postgresql":
        op.alter_column(table, column, type_=sa.Text())
    op.add_column(table, sa.Column("active", sa.Boolean(), server_default=sa.true()))
    op.add_column(table, sa.Column("created_at", sa.BigInteger()))
    op.execute(f"UPDATE {table} SET {column} = {first}, created_at = {now}")  # noqa: S608


def _secrets_before() -> Iterator[dict[str, Any]]:
    for kind, question in (
        (
            "organization",
            "SELECT id AS organization_id, NULL AS user_id, secret_fingerprint AS fingerprint "
            "FROM organizations UNION "
            "SELECT owner_id, NULL, fingerprint FROM organization_secrets",
        ),
        (
            "user",
            "SELECT organization_id, id AS user_id, secret_fingerprint AS fingerprint FROM users "
            "UNION SELECT users.organization_id, users.id, user_secrets.fingerprint "
            "FROM user_secrets JOIN users ON users.id = user_secrets.owner_id",
        ),
    ):
        for row in op.get_bind().execute(sa.text(question)):
            yield {
                "kind": kind,
                "fingerprint": row.fingerprint,
                "organization_id": row.organization_id,
                "user_id": row.user_id,
                "name": "set at the start of the server",
                "scopes": None,
                "from_settings": True,
                "expires_at": None,
                "last_used_at": None,
            }
