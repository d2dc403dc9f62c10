"""What several migrations do."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from openbulk.domain.errors import CannotStart

FRESH_SECONDS = 5
"""A process whose last heartbeat is older than this is dead (engine/queue/heartbeat.py)."""
READ_AT_ONCE = 10_000


def pages_of(table: sa.TableClause) -> Iterator[Sequence[Any]]:
    """All rows of a table, by job and row, some at a time: there may be more than memory holds."""
    place = sa.tuple_(table.c.job_id, table.c.row)
    ordered = sa.select(table).order_by(table.c.job_id, table.c.row).limit(READ_AT_ONCE)
    question = ordered
    while page := op.get_bind().execute(question).all():
        yield page
        question = ordered.where(place > sa.tuple_(page[-1].job_id, page[-1].row))


def stop_earlier_processes(heartbeat: str) -> None:
    """Keep processes of an earlier version from working while the tables change, on PostgreSQL.

    `heartbeat` is the column's name in that version. Raises CannotStart while any of them works.
    """
    if op.get_context().dialect.name != "postgresql":
        return
    workers = sa.table("workers", sa.column(heartbeat))
    now: sa.ColumnElement[float] = sa.literal_column("extract(epoch FROM clock_timestamp())")
    fresh = workers.c[heartbeat] > now - FRESH_SECONDS
    running = op.get_bind().scalar(sa.select(sa.func.count()).select_from(workers).where(fresh))
    if running:
        raise CannotStart(
            f"{running} process(es) of an earlier version work on this ledger; stop all of them, "
            f"wait {FRESH_SECONDS} seconds, and start this version again"
        )
    # A slice of an earlier version locks `jobs` before other tables. In another order, the two
    # would wait for each other.
    op.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")


def number_once(*tables: str, referring: str) -> None:
    """On SQLite, never give the number of a deleted row of these tables again.

    The tables are made again with AUTOINCREMENT. `referring` is the table whose rows refer to one
    of them: a table that rows refer to cannot be dropped. PostgreSQL's sequences never go back.
    """
    if op.get_context().dialect.name != "sqlite":
        return
    op.execute(f"CREATE TEMP TABLE kept AS SELECT * FROM {referring}")  # noqa: S608 - our own name
    op.execute(f"DELETE FROM {referring}")  # noqa: S608
    for table in tables:
        with op.batch_alter_table(
            table, recreate="always", table_kwargs={"sqlite_autoincrement": True}
        ):
            pass
    op.execute(f"INSERT INTO {referring} SELECT * FROM kept")  # noqa: S608
    op.execute("DROP TABLE kept")
