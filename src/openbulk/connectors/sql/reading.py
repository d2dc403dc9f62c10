"""Rows in pages: each begins behind the key of the last row of the page before it, however long the table is.

The cursor is that row's place in the order, as JSON.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, cast

import orjson
import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.values import Column, Kind, as_sqlite, shown, taken
from openbulk.domain.comparison import COMPARISONS
from openbulk.domain.conditions import All, Comparison, Condition, Either, Not
from openbulk.domain.errors import BadInput
from openbulk.domain.query import Query

_NO_ESCAPE = "\x1f"
"""In `like`, no character makes `%` and `_` ordinary ones."""
_PLACE = "openbulk_place"


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing that rows are sorted by."""

    sql: ColumnElement[Any]
    column: Column | None
    """None for the place of a row in a table without a key."""
    descending: bool = False


class Reading:
    """How the rows that a query asks for are read. Raises BadInput where the table cannot answer it."""

    def __init__(self, table: Table, query: Query, page_size: int, dialect: str) -> None:
        self._table = table
        self._query = query
        self._page_size = page_size
        self._is_sqlite = dialect == "sqlite"
        self._steps = self._order()
        self._names = self._chosen()

    def statement(self, after: str | None) -> sa.Select[Any]:
        """The next page, behind a cursor."""
        columns = [self._table.sql.c[name] for name in self._names]
        places = [step.sql.label(f"{_PLACE}{number}") for number, step in enumerate(self._steps)]
        select = sa.select(*columns, *map(self._readable, places)).limit(self._page_size)
        if self._query.where is not None:
            select = select.where(self._holds(self._query.where))
        if after is not None:
            select = select.where(self._behind(self._steps, self._values_of(after)))
        return select.order_by(
            *(
                step.sql.desc().nulls_first() if step.descending else step.sql.asc().nulls_last()
                for step in self._steps
            )
        )

    def record(self, row: Sequence[Any]) -> dict[str, Any]:
        """A row of the page."""
        return {name: shown(value) for name, value in zip(self._names, row, strict=False)}

    def cursor(self, row: Sequence[Any]) -> str:
        """The cursor behind a row."""
        return orjson.dumps([shown(value) for value in row[len(self._names) :]]).decode()

    def _chosen(self) -> list[str]:
        if not self._query.fields:
            return list(self._table.columns)
        wanted = {self._column(name.partition(".")[0]).name for name in self._query.fields}
        return [name for name in self._table.columns if name in wanted]

    def _order(self) -> list[_Step]:
        asked = [(self._column(one.field), one.descending) for one in self._query.order]
        steps = [
            _Step(self._table.sql.c[column.name], column, descending)
            for column, descending in asked
        ]
        named = {column.name for column, _ in asked}
        steps += [
            _Step(self._table.sql.c[n], self._table.columns[n])
            for n in self._table.key
            if n not in named
        ]
        if not self._table.key:
            steps.append(_Step(sa.literal_column("rowid" if self._is_sqlite else "ctid"), None))
        return steps

    def _readable(self, place: Any) -> Any:
        return sa.cast(place, sa.Text) if place.element.key == "ctid" else place

    def _column(self, name: str) -> Column:
        try:
            return self._table.column(name)
        except FieldError as error:
            raise BadInput(error.message) from error

    # --- behind a cursor ---

    def _values_of(self, after: str) -> list[Any]:
        try:
            values = orjson.loads(after)
            assert isinstance(values, list)
            pairs = list(zip(self._steps, values, strict=True))
        except (ValueError, AssertionError) as error:
            raise BadInput("nextPage is no token of this list") from error
        return [
            value if step.column is None else self._taken(step.column, value)
            for step, value in pairs
        ]

    def _behind(self, steps: Sequence[_Step], values: Sequence[Any]) -> ColumnElement[bool]:
        """The rows behind the one with these values; what is absent comes last, and first in a descending order."""
        step, value = steps[0], self._bound(steps[0], values[0])
        if step.descending:
            beyond = step.sql.is_not(None) if value is None else step.sql < value
        else:
            beyond = sa.false() if value is None else step.sql > value
            if value is not None and step.column is not None and step.column.is_nullable:
                beyond = sa.or_(beyond, step.sql.is_(None))
        if len(steps) == 1:
            return beyond
        same = step.sql.is_(None) if value is None else step.sql == value
        return sa.or_(beyond, sa.and_(same, self._behind(steps[1:], values[1:])))

    def _bound(self, step: _Step, value: Any) -> Any:
        if step.column is None and not self._is_sqlite:
            return sa.text("CAST(:ctid AS tid)").bindparams(ctid=value)
        return value

    # --- conditions ---

    def _holds(self, condition: Condition) -> ColumnElement[bool]:
        match condition:
            case Not(part=part):
                return sa.not_(self._holds(part))
            case All(parts=parts):
                return sa.and_(sa.true(), *map(self._holds, parts))
            case Either(parts=parts):
                return sa.or_(sa.false(), *map(self._holds, parts))
            case Comparison():
                return self._compared(condition)

    def _compared(self, comparison: Comparison) -> ColumnElement[bool]:
        if "." in comparison.field and comparison.field not in self._table.columns:
            raise BadInput(
                f"{comparison.field} is a part of a column; conditions are possible on whole columns only"
            )
        column = self._column(comparison.field)
        there = self._table.sql.c[column.name]
        match comparison.operator:
            case "is null":
                return there.is_(None)
            case "like":
                text = (
                    there
                    if column.kind is Kind.TEXT and not column.choices
                    else sa.cast(there, sa.Text)
                )
                return text.like(str(comparison.values[0]), escape=_NO_ESCAPE)
            case "in":
                return there.in_([self._taken(column, value) for value in comparison.values])
        value = self._taken(column, comparison.values[0])
        compared: Any = COMPARISONS[comparison.operator](there, value)
        return cast("ColumnElement[bool]", compared)  # what a column answers to an operator

    def _taken(self, column: Column, value: Any) -> Any:
        try:
            known = taken(_without_bounds(column), value, UTC)
        except FieldError as error:
            raise BadInput(error.message) from error
        return as_sqlite(known) if self._is_sqlite else known


def _without_bounds(column: Column) -> Column:
    """What is compared may be longer than what is kept."""
    return (
        column
        if column.length is None
        else Column(column.name, column.kind, is_zoned=column.is_zoned)
    )
