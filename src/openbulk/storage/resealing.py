"""Seals the columns of a table again, with the first master key."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Column, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.security import Sealer

_SEALED_AT_ONCE = 500
"""Rows that one statement reseals."""


async def reseal_rows(
    connection: AsyncConnection,
    sealer: Sealer,
    contexts: Mapping[Column[Any], Callable[[int], str]],
) -> int:
    """Reseal the rows of a table of which another key has sealed a column; return their number.

    `contexts` has, for each column, the place that a row's bytes are sealed for, by the row's id. A
    column may be empty in a row. Raises SealBroken or KeyMissing if one cannot be opened.
    """
    table = next(iter(contexts)).table
    others = (
        select(table.c.id, *contexts)
        .where(or_(*(func.substr(one, 1, len(sealer.key_id)) != sealer.key_id for one in contexts)))
        .order_by(table.c.id)
        .limit(_SEALED_AT_ONCE)
        .with_for_update()
    )
    change = (
        update(table)
        .where(table.c.id == bindparam("of"))
        .values({one: bindparam(f"resealed_{one.name}") for one in contexts})
    )

    def sealed_again(sealed: bytes | None, context: str) -> bytes | None:
        if sealed is None:
            return None
        return sealer.seal(sealer.open(sealed, context), context)

    changed = 0
    while rows := (await connection.execute(others)).mappings().all():
        values = [
            {
                "of": row["id"],
                **{
                    f"resealed_{one.name}": sealed_again(row[one], context(row["id"]))
                    for one, context in contexts.items()
                },
            }
            for row in rows
        ]
        await connection.execute(change, values)
        changed += len(rows)
    return changed
