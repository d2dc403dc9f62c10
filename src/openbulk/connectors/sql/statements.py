"""The statements of a batch: one for all of its rows, as each database has it.

Which of its rows a key means is for the database to say. Keys are compared in the statement, with
the type and the collation of the column: `citext`, `char(n)` and `COLLATE NOCASE` have their own
idea of what is equal.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, groupby
from typing import Any, NamedTuple, Protocol, runtime_checkable

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.sql.rows import Row
from openbulk.connectors.sql.schema import Reference, Table
from openbulk.domain.errors import OpenbulkError

ROWS = "openbulk_rows"
"""The alias of the batch."""
NUMBER = "openbulk_number"
"""The place of a row in the batch, from 1."""
TABLE = "openbulk_table"
"""The alias of the table."""
KEPT = "openbulk: it would be kept as "
"""In the error for a text that a column would keep in another way."""


@dataclass(slots=True)
class Found:
    """What the table has for one row."""

    first: int
    """The number of the first row of the batch whose identity is equal to this row's."""
    matches: list[Mapping[str, Any]] = field(default_factory=list)
    """The table's rows with its identity, each with the requested columns."""
    compared: Collection[str] = ()
    """Columns that the database itself has compared with the row: the matches do not have them."""
    is_same: bool = True
    """Whether all of these have the values of the row."""


class Deed(StrEnum):
    """What is done with a row."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


class RowWrite(NamedTuple):
    """A row, and what is to be done with it."""

    row: Row
    deed: Deed
    columns: tuple[str, ...] = ()
    """The columns that are inserted, or updated."""


Shape = tuple[Deed, tuple[str, ...]]
"""What is done with rows, and their columns: one statement can write all that have it in common."""
MAX_SHAPES = 50
"""How many different statements the rows of one trial may need."""


def shape_of(write: RowWrite) -> Shape:
    """The shape of a row that is to be written."""
    return write.deed, write.columns


class WrittenElsewhere(OpenbulkError):
    """The database wrote fewer rows than it got: a trigger or a policy held some back."""

    def __init__(self) -> None:
        super().__init__("a trigger or a policy held rows back")


class Statements(Protocol):
    """The statements that write into one table. Each raises DBAPIError if the database refuses."""

    fetches_compared: bool
    """Whether `find` also returns the columns that the database itself compares."""

    async def lock(self, rows: Sequence[Row], identifiers: Sequence[str]) -> None:
        """Keep others from changing the table's rows with these identities until the commit."""

    async def find(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        """What the table has for each row, by the rows' numbers.

        Nothing for a row that the table does not have, and no row before it in the batch.
        """

    async def insert(self, rows: Sequence[Row]) -> Sequence[str | None]:
        """Insert rows, and return their ids.

        Raises WrittenElsewhere if the database does not say of each row that it was inserted.
        """

    async def update(
        self, rows: Sequence[Row], identifiers: Sequence[str], changed: Sequence[str]
    ) -> set[int]:
        """Set the changed columns, and return the numbers of the rows that were updated."""

    async def delete(self, rows: Sequence[Row], identifiers: Sequence[str]) -> set[int]:
        """Delete the rows with these identities; return the numbers of those that were deleted."""

    async def find_refused(
        self, writes: Sequence[RowWrite], identifiers: Sequence[str]
    ) -> Mapping[int, DBAPIError]:
        """The errors of the rows that the database refuses, by the rows' numbers.

        Each row is written alone, in this order, and stays written if the database takes it: the
        caller undoes that. None is among them if the database has no way to try them at once.
        Raises DBAPIError if it cannot go on behind a row.
        """

    async def check_constraints(self) -> None:
        """Check constraints that would wait for the commit: now it is known which row is wrong."""

    async def count_inserted(self) -> int | None:
        """How many rows this transaction has inserted so far; None if the database cannot say."""

    async def triggers(self) -> str:
        """The names of triggers that can hold a row back."""

    async def works_without_rows(self) -> bool:
        """Whether the last statement works if it gets no rows: then an error is about its rows."""

    async def find_missing(
        self, rows: Sequence[Row], reference: Reference
    ) -> Mapping[int, int | None]:
        """The numbers of the rows whose reference the referred table lacks.

        Each with the number of a row of the batch that has the key; None if there is none. Rows
        without a value for each column of the reference are not among them.
        """

    async def has_triggers(self) -> bool:
        """Whether the table has triggers, which may write referred rows, or other references."""

    async def check_of(self, name: str) -> str:
        """The expression of a check constraint; empty if it is not known."""

    async def column_at_fault(self, row: Row) -> str | None:
        """The column whose type does not take its value; None if it is none alone."""


@runtime_checkable
class InsertingStatements(Statements, Protocol):
    """Statements that find rows and insert the new ones at once: a batch is sent, and read, once.

    A dialect need not have it.
    """

    async def find_and_insert(
        self, rows: Sequence[Row], identifiers: Sequence[str], wanted: Sequence[str]
    ) -> Mapping[int, Found]:
        """What `find` returns. The rows without an entry are inserted.

        Each row has a value for the primary key, and for the same columns. Raises WrittenElsewhere
        if the database does not say of each new row that it was inserted.
        """


def found_by_number(
    rows: Sequence[Row],
    result: Iterable[Sequence[Any]],
    wanted: Sequence[str],
    compared: Collection[str] = (),
) -> Mapping[int, Found]:
    """What the table has for each row, by the rows' numbers.

    `result` has for rows of the batch, and each match: its place, the place of the first row with
    its identity, whether there is a match, whether the compared columns are the same, and the
    values of the wanted columns.
    """
    found: dict[int, Found] = {}
    for place, first, exists, same, *values in result:
        number = rows[place - 1].number
        if number not in found:
            found[number] = Found(rows[first - 1].number, [], compared, bool(same))
        if exists:
            found[number].matches.append(dict(zip(wanted, values, strict=True)))
    return found


def numbers_by_place(
    rows: Sequence[Row], result: Iterable[Sequence[Any]]
) -> Mapping[int, int | None]:
    """Pairs of places in a batch as pairs of the rows' numbers."""
    return {
        rows[place - 1].number: None if other is None else rows[other - 1].number
        for place, other in result
    }


async def would_work(connection: AsyncConnection, statement: str, parameters: Any) -> bool:
    """Whether a statement works. What it does is undone."""
    try:
        async with connection.begin_nested() as savepoint:
            await connection.exec_driver_sql(statement, parameters)
            await savepoint.rollback()
    except DBAPIError:
        return False
    return True


async def insert_by_groups(
    table: Table,
    rows: Sequence[Row],
    insert: Callable[[Sequence[Row]], Awaitable[Sequence[str | None]]],
) -> Sequence[str | None]:
    """Insert rows group by group, and return their ids in the order of the rows."""
    ids: dict[int, str | None] = {}
    for group in _insert_groups(table, rows):
        written = await insert(group)
        ids.update(zip((row.number for row in group), written, strict=True))
    return [ids[row.number] for row in rows]


def numbers_of_changed(count: int, rows: Sequence[Row]) -> set[int]:
    """The numbers of the rows that were changed, by their count: all of them, or none.

    Raises WrittenElsewhere if only some of several were.
    """
    if count not in {0, len(rows)} and len(rows) > 1:
        raise WrittenElsewhere
    if not count:
        return set()
    return {row.number for row in rows}


def have_gaps(rows: Sequence[Row]) -> bool:
    """Whether a row lacks a column that another one has."""
    shapes = set(map(tuple, _values_of(rows)))
    return len(shapes) > 1 and len(set(map(frozenset, shapes))) > 1


def _insert_groups(table: Table, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Groups of rows to insert, each with one statement.

    A column without a default is null where a row has no value for it. If the database numbers
    rows, the groups keep the order of the file.
    """
    if not have_gaps(rows):
        yield rows
        return
    named = {name for name, column in table.columns.items() if column.has_default}
    named.update(table.key)

    def signature(row: Row) -> frozenset[str]:
        return frozenset(named & row.values.keys())

    if table.is_numbered:
        yield from (list(group) for _, group in groupby(rows, signature))
        return
    groups: defaultdict[frozenset[str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[signature(row)].append(row)
    yield from groups.values()


def columns_of(table: Table, rows: Sequence[Row]) -> list[str]:
    """The columns for which any of the rows has a value, in the order of the table."""
    used = set(chain.from_iterable(set(map(tuple, _values_of(rows)))))
    return [name for name in table.columns if name in used]


def _values_of(rows: Sequence[Row]) -> list[Mapping[str, Any]]:
    return [row.values for row in rows]
