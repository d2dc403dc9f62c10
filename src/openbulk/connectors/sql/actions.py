"""Does an upload's action with rows: finds the rows that a table has, inserts, updates, deletes.

An attempt may fail as a whole: `bisection.py` then finds the row that is to blame.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from types import MappingProxyType
from typing import Any

from sqlalchemy.exc import DBAPIError

from openbulk.connectors.drift import EXISTS, drift_of, outcome_of_drift, version_of
from openbulk.connectors.sql.comparison import is_same
from openbulk.connectors.sql.failures import may_get_better
from openbulk.connectors.sql.rows import Row, RowMapper, computed_column_error
from openbulk.connectors.sql.statements import (
    Deed,
    Found,
    InsertingStatements,
    RowWrite,
    Statements,
    WrittenElsewhere,
    columns_of,
    have_gaps,
)
from openbulk.connectors.sql.traces import Traces, VersionedStatements, before_of
from openbulk.connectors.sql.values import to_json
from openbulk.domain.records import Action, Before, Expectation, Outcome, OutcomeKind, Problem

_NOTHING_EXPECTED: Mapping[int, Expectation] = MappingProxyType({})
Match = Mapping[str, Any]
"""A row of the table, with the requested columns."""


class RowActions:
    """Does a target's action with rows of one table."""

    def __init__(
        self,
        mapper: RowMapper,
        statements: Statements,
        expected: Mapping[int, Expectation] = _NOTHING_EXPECTED,
        *,
        notes_versions: bool = False,
        traces: Traces | None = None,
    ) -> None:
        """`expected` is what a plan saw of rows, by their numbers: others than that have drifted.

        With `notes_versions` the state of each row of the table is noted before it changes.
        `traces` is None if nobody undoes the job.
        """
        self._expected = expected
        self._traces = traces
        self._sees_all = bool(expected) or notes_versions
        self.versions: dict[int, str] = {}
        """The state of the table's rows that were to change, by the numbers of the file's."""
        statements.fetches_compared = self._sees_all
        self._mapper = mapper
        self._statements = statements
        self._table = mapper.table
        self._action = mapper.target.action
        self.counts_inserted = False
        """Whether the database holds rows back, so that they have to be counted."""
        self.inserts_at_once = isinstance(statements, InsertingStatements)
        """Whether new rows are inserted by the statement that finds the others."""

    async def attempt(self, rows: Sequence[Row]) -> list[Outcome]:
        """Do the action with rows, in the order of the file where they have the same identity.

        Raises sqlalchemy.exc.DBAPIError if the database refuses one of them, and WrittenElsewhere.
        """
        outcomes = await self._attempt(rows)
        if any(outcome.kind is not OutcomeKind.UNCHANGED for outcome in outcomes):
            await self._statements.check_constraints()
        return outcomes

    async def find_overtaken(
        self, refused: Sequence[Row], written: Sequence[Row]
    ) -> Mapping[int, int]:
        """The numbers of refused rows that may not be written any more.

        Each with the number of a later row with the same identity that is written: it counts.
        """
        refused = [row for row in refused if row.identity]
        if not refused or not written:
            return {}
        found = await self._find(sorted([*refused, *written], key=_number), ())
        last = {_first(row, found): row.number for row in written if row.identity}
        pairs = {row.number: last.get(_first(row, found), 0) for row in refused}
        return {number: later for number, later in pairs.items() if later > number}

    def overtaken_outcome(self, row: Row, overtaken: Mapping[int, int]) -> Outcome:
        """The outcome of a row that a later one has overtaken."""
        return self._failure(
            row,
            f"row {overtaken[row.number]} of the file, which also has "
            f"{self._mapper.identity_text(row)}, was written before this one, which had to wait "
            "for another row; send this one again if its values are the right ones",
        )

    async def _attempt(self, rows: Sequence[Row]) -> list[Outcome]:
        if self._action is Action.CREATE:
            return await self._insert(rows)
        outcomes: list[Outcome] = []
        while rows:
            compared = self._compared_columns(rows)
            await self._lock(rows)
            is_inserted = self._can_insert_at_once(rows)
            if is_inserted and isinstance(self._statements, InsertingStatements):
                found = await self._statements.find_and_insert(
                    rows, self._mapper.identifiers, compared
                )
            else:
                found = await self._find(rows, compared)
            later = [row for row in rows if not _is_first(row, found)] if found else []
            first = [row for row in rows if _is_first(row, found)] if later else rows
            outcomes += await self._write_different(first, found, is_inserted=is_inserted)
            rows = later
        return outcomes

    async def find_refused(self, rows: Sequence[Row]) -> Mapping[int, DBAPIError]:
        """The errors of rows that the database refuses, each written alone in the file's order.

        What it takes is written, and the caller undoes it. Of rows with the same identity only the
        first one is tried. A row that is refused for now, and has a later one of its identity, is
        not among them: once that one is written, it could not be tried again.
        """
        if self._action is Action.CREATE:
            writes = [RowWrite(row, Deed.INSERT, tuple(row.values)) for row in rows]
            return await self._statements.find_refused(writes, ())
        found = await self._find(rows, self._compared_columns(rows))
        first = [row for row in rows if _is_first(row, found)]
        refused = await self._statements.find_refused(
            self._writes_of(first, found), self._mapper.identifiers
        )
        if len(first) == len(rows):
            return refused
        repeated = {_first(row, found) for row in rows if not _is_first(row, found)}
        return {
            number: error
            for number, error in refused.items()
            if number not in repeated or not may_get_better(error, is_insert=False)
        }

    def _writes_of(self, rows: Sequence[Row], found: Mapping[int, Found]) -> list[RowWrite]:
        """How rows with different identities are written, in the order of the file."""
        _, new, old = self._decide(rows, found)
        writes = [RowWrite(row, Deed.INSERT, tuple(row.values)) for row in new]
        if self._action is Action.DELETE:
            writes += [RowWrite(row, Deed.DELETE) for row in old]
        else:
            changes = ((row, tuple(self._changed_columns(row))) for row in old)
            writes += [RowWrite(row, Deed.UPDATE, changed) for row, changed in changes]
        return sorted(writes, key=_number_of_write)

    def _can_insert_at_once(self, rows: Sequence[Row]) -> bool:
        """Whether all new rows among these can be inserted by the statement that finds the others.

        Each has its key, so that no id has to be returned, and a value for each of the columns.
        """
        if not self.inserts_at_once or self._action is not Action.UPSERT or self.counts_inserted:
            return False
        if self._table.computed_columns or have_gaps(rows):
            return False
        if self._seen_by_plan(rows):
            return False
        return rows[0].values.keys() >= set(self._table.key) and all(row.identity for row in rows)

    def _seen_by_plan(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows that a plan would not insert."""
        if not self._expected:
            return ()
        return [row for row in rows if row.number in self._expected and not self._is_new(row)]

    def _is_new(self, row: Row) -> bool:
        return self._expected[row.number].kind is OutcomeKind.CREATED

    async def _lock(self, rows: Sequence[Row]) -> None:
        """Lock what a plan has seen, so that nobody changes it between look and change.

        Also what an undo would put back, unless it is locked when it is read for that.
        """
        locked = self._seen_by_plan(rows)
        if self._traces is not None and not isinstance(self._statements, VersionedStatements):
            locked = [row for row in rows if row.identity]
        if locked:
            await self._statements.lock(locked, self._mapper.identifiers)

    async def _find(self, rows: Sequence[Row], wanted: Sequence[str]) -> Mapping[int, Found]:
        known: Sequence[Row] = [row for row in rows if row.identity]
        if not known:
            return {}
        if len(known) == len(rows):
            known = rows  # PostgreSQL's statements encode the same rows once
        return await self._statements.find(known, self._mapper.identifiers, wanted)

    def _compared_columns(self, rows: Sequence[Row]) -> Sequence[str]:
        if self._action is Action.DELETE:
            is_whole = self._sees_all or self._traces is not None
            return sorted(self._table.columns) if is_whole else self._table.key
        names = {*self._table.key, *columns_of(self._table, rows)}
        if self._table.computed_columns:
            names = names.union(*(row.computed for row in rows))
        return sorted(names - (set(self._mapper.identifiers) - set(self._table.key)))

    async def _write_different(
        self, rows: Sequence[Row], found: Mapping[int, Found], *, is_inserted: bool
    ) -> list[Outcome]:
        """Write rows with different identities: change those that exist, insert the others.

        `is_inserted`: the others are inserted already.
        """
        insert = self._outcomes_of_new if is_inserted else self._insert
        is_all_new = not found and self._action is Action.UPSERT and not self._expected
        if is_all_new and not self._table.computed_columns:
            return await insert(rows)
        outcomes, new, old = self._decide(rows, found)
        change = self._delete if self._action is Action.DELETE else self._update
        return [*outcomes, *await insert(new), *await change(old, found)]

    def _decide(
        self, rows: Sequence[Row], found: Mapping[int, Found]
    ) -> tuple[list[Outcome], list[Row], list[Row]]:
        """The outcomes of rows that are not written, the rows to insert, and those to change."""
        outcomes: list[Outcome] = []
        new: list[Row] = []
        old: list[Row] = []
        for row in rows:
            of_row = found.get(row.number, _NOTHING)
            matches = of_row.matches
            outcome = self._outcome_without_writing(row, of_row)
            if self._sees_all:
                outcome = self._drift(row, of_row, outcome) or outcome
            if outcome is not None:
                outcomes.append(outcome)
            elif matches:
                old.append(row._replace(id=self._table.id_of(matches[0])))
            else:
                new.append(row)
        return outcomes, new, old

    def _drift(self, row: Row, found: Found, outcome: Outcome | None) -> Outcome | None:
        """The outcome of a row if the table is not as its plan saw it; None for any other.

        `outcome` is that of a row that is not written. Notes the version of the table's row.
        """
        kind, row_id, version = OutcomeKind.CREATED, None, None
        if found.matches:
            match = found.matches[0]
            row_id, version = self._table.id_of(match), self._version(row, match)
            is_delete = self._action is Action.DELETE
            kind = OutcomeKind.DELETED if is_delete else OutcomeKind.UPDATED
            self.versions[row.number] = version
        if len(found.matches) > 1:
            row_id = None
        elif outcome is not None:
            kind = outcome.kind
        expected = self._expected.get(row.number)
        reason = None if expected is None else drift_of(expected, kind, row_id, version)
        return None if reason is None else outcome_of_drift(row.number, reason, row_id)

    def _version(self, row: Row, match: Match) -> str:
        """The state of a row of the table: of the columns that change, or whole to delete it."""
        is_delete = self._action is Action.DELETE
        names = self._table.columns if is_delete else self._changed_columns(row)
        return version_of({name: to_json(match[name]) for name in names})

    def drift_of_taken(self, row: Row) -> Outcome | None:
        """The outcome of a row whose key is taken, if its plan saw no record with it."""
        is_planned = row.number in self._expected and self._is_new(row)
        return outcome_of_drift(row.number, EXISTS) if is_planned else None

    def _outcome_without_writing(self, row: Row, found: Found) -> Outcome | None:
        """The outcome of a row that cannot be written, or need not; None for all others."""
        matches = found.matches
        if len(matches) > 1:
            return self._ambiguous(row, len(matches))
        if not matches:
            return self._without_match(row)
        if self._action is Action.DELETE:
            return None
        for name, value in row.computed.items():
            if not is_same(matches[0][name], value):
                return computed_column_error(name).outcome(row.number)
        if self._is_unchanged(row, found):
            return Outcome(row.number, OutcomeKind.UNCHANGED, self._table.id_of(matches[0]))
        return None

    def _without_match(self, row: Row) -> Outcome | None:
        """The outcome of a row that the table does not have; None if it can be inserted."""
        if self._action is Action.DELETE:
            return Outcome(row.number, OutcomeKind.NOT_FOUND)
        if self._action is Action.UPDATE:
            return self._missing(row, "use action upsert to create it")
        for name in row.computed:
            return computed_column_error(name).outcome(row.number)
        for name in self._table.computed_columns:
            if name in row.values:
                return self._missing(row, f"the database makes {name}, so it cannot be given")
        return None

    def _is_unchanged(self, row: Row, found: Found) -> bool:
        if not found.is_same:
            return False
        match, compared, identifiers = found.matches[0], found.compared, self._mapper.identifiers
        return all(
            is_same(match[name], value)
            for name, value in row.values.items()
            if name not in compared and name not in identifiers
        )

    def _changed_columns(self, row: Row) -> list[str]:
        return [name for name in row.columns if name not in self._mapper.identifiers]

    def _ambiguous(self, row: Row, count: int) -> Outcome:
        identity = self._mapper.identity_text(row)
        return self._failure(
            row,
            f"{count} rows of {self._table.name} have {identity}; the identifier must be unique",
        )

    def _missing(self, row: Row, hint: str) -> Outcome:
        identity = self._mapper.identity_text(row)
        return self._failure(row, f"{self._table.name} has no row with {identity}; {hint}")

    def _failure(self, row: Row, message: str) -> Outcome:
        """The outcome of a row whose identity is in the way."""
        return Outcome.failure(row.number, message, field=self._mapper.identifiers[0])

    async def _outcomes_of_new(self, rows: Sequence[Row]) -> list[Outcome]:
        return await self._outcomes_of_inserted(
            rows, self._table.ids_of([row.values for row in rows])
        )

    async def _outcomes_of_inserted(
        self, rows: Sequence[Row], ids: Sequence[str | None]
    ) -> list[Outcome]:
        """The outcomes of rows that one statement has inserted."""
        versions: Iterable[Any] = repeat(None)
        if self._traces is not None and rows:
            versions = await self._traces.versions_of_new(rows, ids)
        return _new_row_outcomes(rows, ids, versions)

    async def _insert(self, rows: Sequence[Row]) -> list[Outcome]:
        if not rows:
            return []
        if self.counts_inserted:
            return await self._insert_and_count(rows)
        return await self._outcomes_of_inserted(rows, await self._statements.insert(rows))

    async def _insert_and_count(self, rows: Sequence[Row]) -> list[Outcome]:
        """Insert rows that a trigger may put elsewhere. Raises WrittenElsewhere for several rows
        of which only some are stored."""
        before = await self._statements.count_inserted()
        try:
            ids = await self._statements.insert(rows)
        except WrittenElsewhere:
            after = await self._statements.count_inserted()
            stored = 0 if before is None or after is None else after - before
            if stored >= len(rows):
                return [Outcome(row.number, OutcomeKind.CREATED) for row in rows]
            if len(rows) > 1:
                raise
            return [await self._outcome_held_back(rows[0])]
        return await self._outcomes_of_inserted(rows, ids)

    async def _update(self, rows: Sequence[Row], found: Mapping[int, Found]) -> list[Outcome]:
        groups: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in rows:
            groups[row.columns].append(row)
        outcomes: list[Outcome] = []
        for group in groups.values():
            outcomes += await self._update_group(group, found)
        return outcomes

    async def _update_group(self, rows: Sequence[Row], found: Mapping[int, Found]) -> list[Outcome]:
        """Update rows with the same columns."""
        identifiers, changed = self._mapper.identifiers, self._changed_columns(rows[0])
        before: Mapping[int, Before] = {}
        if self._traces is not None:
            before = await self._traces.before_changes(rows, found, identifiers)
        updated = await self._statements.update(rows, identifiers, changed)
        outcomes = await self._outcomes(OutcomeKind.UPDATED, rows, updated)
        if self._traces is None:
            return outcomes
        versions = await self._traces.versions_of_changed(rows)
        return [
            one._replace(before=before.get(one.row), version=version)
            for one, version in zip(outcomes, versions, strict=True)
        ]

    async def _delete(self, rows: Sequence[Row], found: Mapping[int, Found]) -> list[Outcome]:
        if not rows:
            return []
        if self._traces is not None:
            return await self._delete_and_keep(rows, found, self._traces)
        deleted = await self._statements.delete(rows, self._mapper.identifiers)
        return await self._outcomes(OutcomeKind.DELETED, rows, deleted)

    async def _delete_and_keep(
        self, rows: Sequence[Row], found: Mapping[int, Found], traces: Traces
    ) -> list[Outcome]:
        """Delete rows, and say what they were."""
        identifiers, statements = self._mapper.identifiers, self._statements
        if isinstance(statements, VersionedStatements):
            kept = await statements.delete_and_return(rows, identifiers, traces.columns)
            before = {number: before_of(*one) for number, one in kept.items()}
            deleted = set(before)
        else:
            matches = {row.number: found[row.number].matches[0] for row in rows}
            before = {
                number: before_of(None, {name: match[name] for name in traces.columns})
                for number, match in matches.items()
            }
            deleted = await statements.delete(rows, identifiers)
        outcomes = await self._outcomes(OutcomeKind.DELETED, rows, deleted)
        return [one._replace(before=before.get(one.row)) for one in outcomes]

    async def _outcomes(
        self, kind: OutcomeKind, rows: Sequence[Row], written: set[int]
    ) -> list[Outcome]:
        return [
            Outcome(row.number, kind, row.id)
            if row.number in written
            else await self._outcome_held_back(row)
            for row in rows
        ]

    async def _outcome_held_back(self, row: Row) -> Outcome:
        """The outcome of a row that the database has taken without an error, and not written."""
        name, triggers = self._table.name, await self._statements.triggers()
        if not triggers:
            return Outcome.failure(
                row.number,
                f"the database did not write the row: a policy of {name} does not let this user "
                "change it, or another program has just removed it",
            )
        problem = Problem(
            f"the database did not write the row itself: a trigger of {name} ({triggers}) has "
            "taken it; check what became of it"
        )
        return Outcome(row.number, OutcomeKind.UNKNOWN, row.id, problem)


def _new_row_outcomes(
    rows: Sequence[Row], ids: Sequence[str | None], versions: Iterable[Any]
) -> list[Outcome]:
    numbers, kind, nothing = [row.number for row in rows], OutcomeKind.CREATED, repeat(None)
    fields = (repeat(False), repeat(""), repeat(False), nothing, versions)
    return list(map(Outcome, numbers, repeat(kind), ids, nothing, *fields))


def _number(row: Row) -> int:
    return row.number


def _number_of_write(write: RowWrite) -> int:
    return write.row.number


_NOTHING = Found(0)


def _first(row: Row, found: Mapping[int, Found]) -> int:
    """The number of the first row with the same identity."""
    return found[row.number].first if row.number in found else row.number


def _is_first(row: Row, found: Mapping[int, Found]) -> bool:
    """Whether no row before it has the same identity."""
    return not row.identity or _first(row, found) == row.number
