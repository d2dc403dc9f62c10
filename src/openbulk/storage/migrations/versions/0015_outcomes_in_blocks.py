"""Outcomes are kept in blocks, and problems in a table of their own (docs/decisions/0046).

A process of an earlier version cannot work beside this one: CHANGELOG.md says that this version is
started alone.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

from openbulk.storage.migrations.steps import pages_of, stop_earlier_processes

revision = "0015"
down_revision = "0014"

ROWS_OF_A_BLOCK = 1_000

outcomes = sa.table(
    "outcomes",
    *map(sa.column, ("job_id", "row", "line", "kind", "record_id")),
    *map(sa.column, ("problem", "field", "provider_message")),
)


def upgrade() -> None:
    """Make the tables, pack what is in the old one, and drop it.

    Raises CannotStart while processes of an earlier version work on the ledger.
    """
    stop_earlier_processes("heartbeat_at")
    blocks = op.create_table(
        "outcome_blocks",
        sa.Column("job_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("first_row", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("last_row", sa.BigInteger(), nullable=False),
        sa.Column("ranges", sa.JSON(none_as_null=True)),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )
    problems = op.create_table(
        "problems",
        sa.Column("job_id", sa.BigInteger(), primary_key=True),
        sa.Column("row", sa.BigInteger(), primary_key=True),
        sa.Column("line", sa.BigInteger()),
        sa.Column("kind", sa.String(9), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("field", sa.Text()),
        sa.Column("provider_message", sa.Text()),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    for packed in _blocks():
        connection.execute(sa.insert(blocks).values(packed))
    names = [column.name for column in problems.columns]
    chosen = sa.select(*(outcomes.c[name] for name in names)).where(outcomes.c.problem.is_not(None))
    connection.execute(sa.insert(problems).from_select(names, chosen))
    op.drop_table("outcomes")


def _blocks() -> Iterator[dict[str, Any]]:
    for page in pages_of(outcomes):
        for job_id, of_job in groupby(page, key=lambda row: int(row.job_id)):
            rows = list(of_job)
            for start in range(0, len(rows), ROWS_OF_A_BLOCK):
                yield _block(job_id, rows[start : start + ROWS_OF_A_BLOCK])


def _block(job_id: int, rows: Sequence[Any]) -> dict[str, Any]:
    numbers = [row.row for row in rows]
    ranges = [
        (run[0], run[-1])
        for _, found in groupby(enumerate(numbers), key=lambda one: one[1] - one[0])
        if (run := [number for _, number in found])
    ]
    ids = [row.record_id for row in rows]
    content = {
        "kinds": _runs(row.kind for row in rows),
        "line - row": _runs(None if row.line is None else row.line - row.row for row in rows),
        "ids": ids if any(one is not None for one in ids) else None,
    }
    return {
        "job_id": job_id,
        "first_row": numbers[0],
        "last_row": numbers[-1],
        "ranges": ranges if len(ranges) > 1 else None,
        "content": zlib.compress(json.dumps(content, separators=(",", ":")).encode()),
    }


def _runs(values: Iterable[Any]) -> list[tuple[Any, int]]:
    return [(value, len(list(run))) for value, run in groupby(values)]
