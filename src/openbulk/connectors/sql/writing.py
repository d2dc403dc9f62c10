"""Rows on their way into a table: a batch is one transaction, and a row that is refused does not sink its neighbours.

What a batch has done is noted in the table `openbulk_writes` of the same database, in the batch's own transaction: one
whose answer was lost, or whose job died before it had written the outcomes down, is found there and not done again.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.failures import is_of_a_row, refused_row
from openbulk.connectors.sql.schema import WRITES, Table
from openbulk.connectors.sql.values import as_sqlite, shown, taken
from openbulk.domain.errors import RetryLater
from openbulk.domain.records import Action, Outcome, OutcomeKind, Problem, Record, Target

KEEP_NOTES_SECONDS = 30 * 24 * 3600.0

Identity = tuple[Any, ...]


def notes_table(schema: str | None) -> sa.Table:
    """Where batches are noted: all that is needed to answer for one again."""
    return sa.Table(
        WRITES,
        sa.MetaData(schema=schema),
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("first_row", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_row", sa.BigInteger, nullable=False),
        sa.Column("outcomes", sa.Text, nullable=False),
        sa.Column("written_at", sa.Double, nullable=False),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """A record as the table takes it."""

    number: int
    values: Mapping[str, Any]
    identity: Identity = ()
    """What tells it apart; empty where it is new in any case."""
    id: str | None = None
    """The primary key of the row that is there already."""

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(sorted(self.values))


class Writing:
    """Writes one batch, on a connection whose transaction has begun."""

    def __init__(
        self, connection: AsyncConnection, table: Table, target: Target, notes: sa.Table
    ) -> None:
        self._connection = connection
        self._table = table
        self._target = target
        self._notes = notes
        self._is_sqlite = connection.dialect.name == "sqlite"

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        """An outcome for each record, and a note of them. Raises SQLAlchemyError."""
        run = self._target.run
        known = await self._noted(run, batch) if run else {}
        rest = [record for record in batch if record.row not in known]
        if not rest:
            return list(known.values())
        outcomes = await self._written(rest)
        if not run:
            return outcomes
        rows = [record.row for record in rest]
        note = {
            "run": run,
            "first_row": min(rows),
            "last_row": max(rows),
            "outcomes": orjson.dumps([_as_json(one) for one in outcomes]).decode(),
            "written_at": time.time(),
        }
        try:
            await self._connection.execute(sa.insert(self._notes), note)
        except IntegrityError as error:  # by a runner of this job that was thought to be gone
            raise RetryLater("the batch was written in this moment", after=0.0) from error
        return [*known.values(), *outcomes]

    # --- notes ---

    async def _noted(self, run: str, batch: Sequence[Record]) -> dict[int, Outcome]:
        """What became of those records of the batch that were written before."""
        rows = {record.row for record in batch}
        notes = self._notes.c
        overlapping = sa.select(notes.outcomes).where(
            notes.run == run, notes.first_row <= max(rows), notes.last_row >= min(rows)
        )
        found = (await self._connection.execute(overlapping)).scalars()
        outcomes = (_outcome(one) for text in found for one in orjson.loads(text))
        return {outcome.row: outcome for outcome in outcomes if outcome.row in rows}

    # --- what is asked for, each row for itself ---

    async def _written(self, batch: Sequence[Record]) -> list[Outcome]:
        try:
            place = _Place.of(self._table, self._target)
        except FieldError as error:
            return [
                Outcome.failed(record.row, error.message, field=error.field) for record in batch
            ]
        rows: list[_Row] = []
        outcomes: list[Outcome] = []
        for record in batch:
            try:
                rows.append(place.row(record, is_sqlite=self._is_sqlite))
            except FieldError as error:
                outcomes.append(Outcome.failed(record.row, error.message, field=error.field))
        if self._target.action is Action.CREATE:
            return outcomes + await self._grouped(rows, self._insert)
        while rows:
            wave, rows = _first_of_each(rows)
            outcomes += await self._settled(wave, place)
        return outcomes

    async def _settled(self, rows: Sequence[_Row], place: "_Place") -> list[Outcome]:
        """Rows no two of which mean the same: those that are there are changed or deleted, others made or refused."""
        there = await self._there([row for row in rows if row.identity], place)
        new: list[_Row] = []
        old: list[_Row] = []
        outcomes: list[Outcome] = []
        for row in rows:
            found = there.get(row.identity, [])
            outcome = self._without_a_write(row, found, place)
            if outcome is not None:
                outcomes.append(outcome)
            elif found:
                old.append(replace(row, id=self._id(found[0])))
            else:
                new.append(row)

        async def update(group: Sequence[_Row]) -> list[Outcome]:
            return await self._update(group, place)

        async def delete(group: Sequence[_Row]) -> list[Outcome]:
            return await self._delete(group, place)

        outcomes += await self._grouped(new, self._insert)
        return outcomes + await self._grouped(
            old, delete if self._target.action is Action.DELETE else update
        )

    def _without_a_write(
        self, row: _Row, found: Sequence[Mapping[str, Any]], place: "_Place"
    ) -> Outcome | None:
        """The outcome of a row for which there is nothing to do; None where there is."""
        match self._target.action:
            case _ if len(found) > 1:
                return Outcome.failed(
                    row.number,
                    f"{len(found)} rows of {self._table.name} have {place.told(row)}; what tells rows apart has to be "
                    "different in each",
                    field=place.names[0],
                )
            case Action.DELETE if not found:
                return Outcome(row.number, OutcomeKind.UNCHANGED)
            case Action.UPDATE if not found:
                return Outcome.failed(
                    row.number,
                    f"{self._table.name} has no row with {place.told(row)}; the action upsert would make it",
                    field=place.names[0],
                )
            case Action.UPDATE | Action.UPSERT if found and all(
                _is_same(found[0][name], value) for name, value in row.values.items()
            ):
                return Outcome(row.number, OutcomeKind.UNCHANGED, self._id(found[0]))
        return None

    async def _there(
        self, rows: Sequence[_Row], place: "_Place"
    ) -> dict[Identity, list[Mapping[str, Any]]]:
        """The rows of the table that these mean, by what tells them apart."""
        if not rows:
            return {}
        columns = [self._table.sql.c[name] for name in place.names]
        compared = sorted(
            {*place.names, *self._table.key, *(name for row in rows for name in row.values)}
        )
        wanted = [row.identity for row in rows]
        among = (
            columns[0].in_([one for (one,) in wanted])
            if len(columns) == 1
            else sa.tuple_(*columns).in_(wanted)
        )
        select = sa.select(*(self._table.sql.c[name] for name in compared)).where(among)
        there: dict[Identity, list[Mapping[str, Any]]] = {}
        for found in (await self._connection.execute(select)).mappings():
            row = {name: found[name] for name in compared}
            there.setdefault(tuple(row[name] for name in place.names), []).append(row)
        return there

    # --- statements ---

    async def _insert(self, rows: Sequence[_Row]) -> list[Outcome]:
        statement: Any = sa.insert(self._table.sql)
        key = self._table.key
        if key and not all(name in rows[0].values for name in key):
            statement = statement.returning(
                *(self._table.sql.c[n] for n in key), sort_by_parameter_order=True
            )
            made = (
                await self._connection.execute(statement, [dict(row.values) for row in rows])
            ).all()
            return [
                Outcome(row.number, OutcomeKind.CREATED, _joined(new))
                for row, new in zip(rows, made, strict=True)
            ]
        await self._connection.execute(statement, [dict(row.values) for row in rows])
        return [Outcome(row.number, OutcomeKind.CREATED, self._id(row.values)) for row in rows]

    async def _update(self, rows: Sequence[_Row], place: "_Place") -> list[Outcome]:
        changed = {
            name: sa.bindparam(f"new_{name}", type_=self._table.sql.c[name].type)
            for name in rows[0].columns
            if name not in place.names
        }
        statement = sa.update(self._table.sql).where(*self._same(place)).values(changed)
        await self._connection.execute(
            statement,
            [{**_named("new", row.values, changed), **_known(row, place)} for row in rows],
        )
        return [Outcome(row.number, OutcomeKind.UPDATED, row.id) for row in rows]

    async def _delete(self, rows: Sequence[_Row], place: "_Place") -> list[Outcome]:
        await self._connection.execute(
            sa.delete(self._table.sql).where(*self._same(place)),
            [_known(row, place) for row in rows],
        )
        return [Outcome(row.number, OutcomeKind.DELETED, row.id) for row in rows]

    def _same(self, place: "_Place") -> list[Any]:
        columns = [self._table.sql.c[name] for name in place.names]
        return [
            column == sa.bindparam(f"old_{column.name}", type_=column.type) for column in columns
        ]

    def _id(self, values: Mapping[str, Any]) -> str | None:
        key = self._table.key
        return (
            _joined([values[name] for name in key])
            if key and all(name in values for name in key)
            else None
        )

    # --- a bad row among good ones ---

    async def _grouped(self, rows: Sequence[_Row], do: "_Do") -> list[Outcome]:
        """Do it for all rows with the same columns at once. Rows that were refused because others were to come first
        are tried once more."""
        groups: dict[tuple[str, ...], list[_Row]] = {}
        for row in rows:
            groups.setdefault(row.columns, []).append(row)
        outcomes = [
            outcome for group in groups.values() for outcome in await self._isolated(group, do)
        ]
        refused = {outcome.row for outcome in outcomes if outcome.kind is OutcomeKind.FAILED}
        if len(groups) == 1 or not refused:
            return outcomes
        kept = [outcome for outcome in outcomes if outcome.row not in refused]
        again = [[row for row in group if row.number in refused] for group in groups.values()]
        return kept + [
            outcome for group in again if group for outcome in await self._isolated(group, do)
        ]

    async def _isolated(self, rows: Sequence[_Row], do: "_Do") -> list[Outcome]:
        """All of them at once; where that fails because of one, half of them at a time, down to that one."""
        try:
            async with self._connection.begin_nested():
                outcomes = await do(rows)
                if (
                    not self._is_sqlite
                ):  # what would only be checked at the end has to be known now, to blame the row
                    await self._connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
                return outcomes
        except DBAPIError as error:
            if not is_of_a_row(error):
                raise
            if len(rows) == 1:
                return [refused_row(rows[0].number, error)]
        half = len(rows) // 2
        return await self._isolated(rows[:half], do) + await self._isolated(rows[half:], do)


_Do = Callable[[Sequence[_Row]], Awaitable[list[Outcome]]]


@dataclass(frozen=True, slots=True)
class _Place:
    """How records become rows of a table."""

    table: Table
    target: Target
    names: tuple[str, ...]
    """The columns that tell rows apart; none where all rows are new."""
    zone: tzinfo

    @classmethod
    def of(cls, table: Table, target: Target) -> "_Place":
        """Raises FieldError where the target makes no sense for any record."""
        zone = _zone(target.options.get("timeZone"))
        if target.action is Action.CREATE:
            return cls(table, target, (), zone)
        if target.identifier_field:
            return cls(table, target, (table.column(target.identifier_field).name,), zone)
        if not table.key:
            raise FieldError(
                "identifierFieldName",
                f"{table.name} has no primary key; metaData.identifierFieldName has to say what tells its rows apart",
            )
        return cls(table, target, table.key, zone)

    def row(self, record: Record, *, is_sqlite: bool) -> _Row:
        """Raises FieldError."""
        values: dict[str, Any] = {}
        for name, value in record.values.items():
            column = self.table.column(name)
            if column.is_generated and column.name not in self.names:
                raise FieldError(
                    name, f"{column.name} is computed by the database; leave its column out"
                )
            known = taken(column, value, self.zone)
            values[column.name] = as_sqlite(known) if is_sqlite else known
        missing = [name for name in self.names if values.get(name) is None]
        if (
            missing
            and self.target.action is Action.UPSERT
            and self._is_made_by_the_database(missing)
        ):
            return _Row(
                record.row, {name: value for name, value in values.items() if name not in missing}
            )
        if missing:
            raise FieldError(missing[0], f"{missing[0]} is missing: it says which row is meant")
        return _Row(record.row, values, tuple(values[name] for name in self.names))

    def _is_made_by_the_database(self, missing: Sequence[str]) -> bool:
        return not self.target.identifier_field and all(
            self.table.columns[name].has_default for name in missing
        )

    def told(self, row: _Row) -> str:
        """What tells a row apart, for a person."""
        return ", ".join(
            f"{name} = {shown(value)!r}"
            for name, value in zip(self.names, row.identity, strict=True)
        )


def _first_of_each(rows: Sequence[_Row]) -> tuple[list[_Row], list[_Row]]:
    """The first row of each identity, and the others: those have to wait for it."""
    first: dict[Any, _Row] = {}
    others: list[_Row] = []
    for row in rows:
        name: Any = tuple(map(str, row.identity)) or row.number
        if name in first:
            others.append(row)
        else:
            first[name] = row
    return list(first.values()), others


def _is_same(there: Any, value: Any) -> bool:
    """Whether a column holds a value already; what Python has a type for, and we have not, is compared as a text."""
    return bool(there == value) or (
        isinstance(value, str) and not isinstance(there, str) and str(there) == value
    )


def _zone(name: Any) -> tzinfo:
    try:
        return ZoneInfo(str(name)) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise FieldError(
            "timeZone", f"metaData.timeZone {name!r} is no time zone; one is Europe/Berlin"
        ) from error


def _named(prefix: str, values: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}_{name}": values[name] for name in names}


def _known(row: _Row, place: _Place) -> dict[str, Any]:
    return {f"old_{name}": value for name, value in zip(place.names, row.identity, strict=True)}


def _joined(values: Sequence[Any]) -> str:
    return ",".join(str(shown(value)) for value in values)


def _as_json(outcome: Outcome) -> list[Any]:
    kept: list[Any] = [outcome.row, outcome.kind.value, outcome.id]
    if outcome.problem is not None:
        kept += [outcome.problem.message, outcome.problem.field, outcome.problem.provider_message]
    return kept


def _outcome(kept: Sequence[Any]) -> Outcome:
    row, kind, record_id, *problem = kept
    return Outcome(row, OutcomeKind(kind), record_id, Problem(*problem) if problem else None)
