"""Seals what a column holds again, with the first master key."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.security import Sealer

_SEALED_AT_ONCE = 500
"""Rows that one statement reseals."""


async def reseal_rows(
    connection: AsyncConnection, sealer: Sealer, column: Column[Any], context: Callable[[int], str]
) -> int:
    """Reseal the rows of a column that another key has sealed; return their number.

    `context` is the place that a row's bytes are sealed for, by its id. Raises SealBroken or
    KeyMissing if one cannot be opened.
    """
    table = column.table
    others = (
        select(table.c.id, column.label("sealed"))
        .where(func.substr(column, 1, len(sealer.key_id)) != sealer.key_id)
        .order_by(table.c.id)
        .limit(_SEALED_AT_ONCE)
        .with_for_update()
    )
    change = (
        update(table).where(table.c.id == bindparam("of")).values({column: bindparam("resealed")})
    )
    changed = 0
    while rows := (await connection.execute(others)).all():
        opened = [(row.id, sealer.open(row.sealed, context(row.id))) for row in rows]
        await connection.execute(
            change,
            [{"of": id_, "resealed": sealer.seal(plain, context(id_))} for id_, plain in opened],
        )
        changed += len(rows)
    return changed
