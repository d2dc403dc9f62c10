"""Rows that wait for others of their file, and the later rows that overtake them.

A row that refers to a row further on in the file is refused at first, and sent again. Meanwhile a
later row of the same key may have been written, which it must not undo. Only the database knows
which keys are equal. So the keys of the rows that wait are kept in the write log; each batch that
is written is compared with them, by the database, in its own transaction; and a waiting row whose
key it has is refused there and then.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import count
from time import time as now
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.sql.rows import Row

_ROWS_AT_ONCE = 5_000
_TYPES = (str, int, float, bytes, Decimal, datetime, date, time, UUID)
"""The types of values that a key can have to be kept."""


class WaitingRows:
    """The waiting rows of one run, on a connection whose transaction has begun."""

    def __init__(
        self, connection: AsyncConnection, table: sa.Table, run: str, identifiers: Sequence[str]
    ) -> None:
        self._connection = connection
        self._table = table
        self._run = f"{run}/waiting"
        self._identifiers = identifiers

    async def before(self, last: int) -> AsyncIterator[list[Row]]:
        """The waiting rows up to a row, some thousands at a time: their numbers and their keys."""
        columns = self._table.c
        after = 0
        for _ in count():
            chosen = (
                sa.select(columns.first_row, columns.outcomes)
                .where(columns.run == self._run, columns.first_row.between(after + 1, last))
                .order_by(columns.first_row)
                .limit(_ROWS_AT_ONCE)
            )
            rows = [self._row(*one) for one in await self._connection.execute(chosen)]
            if rows:
                yield rows
            if len(rows) < _ROWS_AT_ONCE:
                return
            after = rows[-1].number

    def _row(self, number: int, text: str) -> Row:
        identity = tuple(map(_decode_value, orjson.loads(text)))
        return Row(number, dict(zip(self._identifiers, identity, strict=True)), identity)

    async def add(self, rows: Sequence[Row]) -> None:
        """Keep the keys of rows that wait."""
        entries = [
            {
                "run": self._run,
                "first_row": row.number,
                "last_row": row.number,
                "outcomes": orjson.dumps([_encode_value(value) for value in row.identity]).decode(),
                "written_at": now(),
            }
            for row in rows
        ]
        if entries:
            await self._connection.execute(sa.insert(self._table), entries)

    async def remove(self, numbers: Collection[int]) -> None:
        """Forget rows that do not wait any more."""
        ordered = sorted(numbers)
        for begin in range(0, len(ordered), _ROWS_AT_ONCE):
            some = ordered[begin : begin + _ROWS_AT_ONCE]
            chosen = (self._table.c.run == self._run, self._table.c.first_row.in_(some))
            await self._connection.execute(sa.delete(self._table).where(*chosen))


def has_plain_key(row: Row) -> bool:
    """Whether the key of a row can be kept. A row without a key needs none: it is new."""
    return all(isinstance(value, _TYPES) for value in row.identity)


def _encode_value(value: Any) -> Any:
    """A value for JSON, from which the database reads the same value again."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, str | int | float):
        return value
    return str(value)


def _decode_value(kept: Any) -> Any:
    if isinstance(kept, dict):
        return bytes.fromhex(kept["hex"])
    return kept
