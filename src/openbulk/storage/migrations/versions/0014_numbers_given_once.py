"""On SQLite, the number of a deleted instance or custom connector is never given again."""

import sqlalchemy as sa
from alembic import op

from openbulk.storage.migrations.steps import number_once

revision = "0014"
down_revision = "0013"

KEEP_NUMBERS = ("jobs", "runs", "schedules", "deliveries", "bookmarks")
"""Tables that may still have the number of a deleted instance."""


def upgrade() -> None:
    """Make the tables again with AUTOINCREMENT, and go on behind the highest number."""
    number_once("instances", "custom_elements", referring="transformations")
    if op.get_context().dialect.name == "sqlite":
        _skip_numbers_of_instances()


def _skip_numbers_of_instances() -> None:
    columns: list[sa.ColumnClause[int]] = [sa.table("instances", sa.column("id")).c.id]
    columns += [sa.table(name, sa.column("instance_id")).c.instance_id for name in KEEP_NUMBERS]
    found = [op.get_bind().scalar(sa.select(sa.func.max(column))) for column in columns]
    highest = max([number for number in found if number is not None], default=0)
    sequence = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
    op.execute(sequence.delete().where(sequence.c.name == "instances"))
    op.execute(sequence.insert().values(name="instances", seq=highest))
