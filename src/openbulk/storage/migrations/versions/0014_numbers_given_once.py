"""On SQLite, the number of a deleted instance, connector or job is never given again."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

CHILDREN = {"instances": ("transformations",), "custom_elements": (), "jobs": ("idempotency_keys",)}
"""The tables whose numbers are given once, and those that refer to them."""
STILL_USED = {
    "instances": (
        ("jobs", "instance_id"),
        ("schedules", "instance_id"),
        ("runs", "instance_id"),
        ("deliveries", "instance_id"),
        ("bookmarks", "instance_id"),
    ),
    "jobs": (("deliveries", "job_id"), ("outcomes", "job_id")),
}
"""Where numbers of deleted rows may still be."""


def upgrade() -> None:
    """Make the tables again with AUTOINCREMENT. PostgreSQL's sequences never go back."""
    if op.get_context().dialect.name != "sqlite":
        return
    for table, children in CHILDREN.items():
        for child in children:
            # A table that rows refer to cannot be dropped.
            op.execute(f"CREATE TEMP TABLE kept_{child} AS SELECT * FROM {child}")  # noqa: S608
            op.execute(f"DELETE FROM {child}")  # noqa: S608
        with op.batch_alter_table(
            table, recreate="always", table_kwargs={"sqlite_autoincrement": True}
        ):
            pass
        for child in children:
            op.execute(f"INSERT INTO {child} SELECT * FROM kept_{child}")  # noqa: S608
            op.execute(f"DROP TABLE kept_{child}")
    for table, places in STILL_USED.items():
        _skip_numbers(table, places)


def _skip_numbers(table: str, places: tuple[tuple[str, str], ...]) -> None:
    connection = op.get_bind()
    columns: list[sa.ColumnClause[int]] = [
        sa.table(of, sa.column(name)).c[name] for of, name in ((table, "id"), *places)
    ]
    found = [connection.scalar(sa.select(sa.func.max(column))) for column in columns]
    highest = max([number for number in found if number is not None], default=0)
    sequence = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
    op.execute(sequence.delete().where(sequence.c.name == table))
    op.execute(sequence.insert().values(name=table, seq=highest))
