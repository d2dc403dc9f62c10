"""Writes calendars, entries of the person's list, and rules of access.

A service account owns the calendars that it creates for good
(https://developers.google.com/workspace/calendar/api/v3/reference/calendars/insert).
"""

from collections.abc import Awaitable, Callable, Mapping

from openbulk.connectors.fields import FieldError
from openbulk.connectors.googlecalendar.collection_calls import (
    CollectionCalls,
    CollectionRow,
    Removal,
)
from openbulk.connectors.googlecalendar.collections import (
    COLLECTIONS,
    marker_of,
    without_marker,
)
from openbulk.connectors.googlecalendar.diff import changes
from openbulk.connectors.googlecalendar.errors import RecordRefused
from openbulk.connectors.googlecalendar.event_rows import calendar_of
from openbulk.connectors.googlecalendar.fields import convert, require_fields
from openbulk.connectors.repeated_rows import Meaning, RepeatedRows
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target


def collection_row(record: Record, target: Target) -> CollectionRow:
    """A record, prepared for Google. Raises FieldError."""
    collection = COLLECTIONS[target.object]
    values = dict(record.values)
    calendar = str(values.pop("calendarId", None) or calendar_of(target.options))
    body = without_marker(convert(values, collection.schema()))
    identity = collection.identity(body)
    parameters = collection.write_parameters(body, target.options)
    return CollectionRow(record, target, collection, calendar, body, identity, parameters)


def meaning_of(record: Record, target: Target) -> Meaning | None:
    """The record of Google's that a row means; None if it can only be a new one, or is refused."""
    try:
        row = collection_row(record, target)
    except FieldError:
        return None
    field, value = "id", row.identity.get("id")
    if row.collection.has_given_ids:
        if target.action is Action.CREATE:
            return None
        if value is None and target.identifier_field == "summary":
            field, value = "summary", row.body.get("summary")
    if value is None:
        return None
    # The ids are mail addresses, whose case Google ignores.
    name = f"{row.calendar if row.collection.is_of_calendar else ''} {field} {value}".lower()
    fields = {one: row.body[one] for one in row.body.keys() - {*row.identity, field}}
    return Meaning(field, f"{field} {value}", name, fields)


class CollectionUploads:
    """Writes the three collections of one account."""

    def __init__(self, calls: CollectionCalls) -> None:
        self._calls = calls
        self._repeated = RepeatedRows()
        self._actions: Mapping[Action, Callable[[CollectionRow], Awaitable[Outcome]]] = {
            Action.CREATE: self._create,
            Action.UPDATE: self._change,
            Action.UPSERT: self._change,
            Action.DELETE: self._delete,
        }

    async def write(self, record: Record, target: Target) -> Outcome:
        """Do the target's action with one record. Raises ServiceError."""
        try:
            row = collection_row(record, target)
            await self._require_no_other(row)
            return await self._actions[target.action](row)
        except (FieldError, RecordRefused) as error:
            return error.outcome(record.row)

    async def _require_no_other(self, row: CollectionRow) -> None:
        """Raise FieldError if an earlier row of the file says otherwise of the same record."""
        if row.target.action is not Action.DELETE:
            problems = await self._repeated.problems(
                row.target, [row.record], lambda record: meaning_of(record, row.target)
            )
            for problem in problems.values():
                raise problem

    async def _create(self, row: CollectionRow) -> Outcome:
        body = {**row.body, **row.identity}
        require_fields(body, row.collection.schema())
        if row.collection.has_given_ids:
            # The marker identifies the calendar if the answer is lost (collections.py).
            body.pop("id", None)
            body["description"] = f"{body.get('description', '')}\n{marker_of(row.record)}".lstrip()
        return row.outcome(OutcomeKind.CREATED, await self._calls.create(row, body))

    async def _change(self, row: CollectionRow) -> Outcome:
        known_id = await self._find_id(row)
        if known_id is None:
            return await self._create_missing(row, None)
        current = await self._calls.read(row, known_id)
        if current is None:
            return await self._create_missing(row, known_id)
        fields = {name: row.body[name] for name in row.body.keys() - row.identity.keys()}
        different = changes(fields, without_marker(current))
        if not different:
            return row.outcome(OutcomeKind.UNCHANGED, known_id)
        await self._calls.patch(row, known_id, different)
        return row.outcome(OutcomeKind.UPDATED, known_id)

    async def _create_missing(self, row: CollectionRow, known_id: str | None) -> Outcome:
        """Create what an upsert did not find, unless Google would assign a different id."""
        is_possible = known_id is None or not row.collection.has_given_ids
        if row.target.action is Action.UPSERT and is_possible:
            return await self._create(row)
        raise FieldError(
            "id", f"{row.target.object} has none with {row.label}; use action create to make one"
        )

    async def _delete(self, row: CollectionRow) -> Outcome:
        known_id = await self._find_id(row)
        if known_id is None:
            return row.outcome(OutcomeKind.NOT_FOUND)
        removal = await self._calls.delete(row, known_id)
        if removal is Removal.DONE:
            return row.outcome(OutcomeKind.DELETED, known_id)
        is_known = removal is Removal.DONE_BEFORE
        return row.outcome(OutcomeKind.NOT_FOUND, known_id if is_known else None)

    async def _find_id(self, row: CollectionRow) -> str | None:
        """The id that a row means; None if it can only mean a new calendar. Raises FieldError.

        The caller may name calendars by their summary (`identifierFieldName`).
        """
        if row.identity:
            return str(row.identity["id"])
        if row.collection.has_given_ids:
            if row.target.identifier_field == "summary":
                return await self._find_calendar(row, str(row.body.get("summary", "")))
            if row.target.action is Action.UPSERT:
                return None
        raise FieldError("id", "id is missing: it identifies the record")

    async def _find_calendar(self, row: CollectionRow, summary: str) -> str | None:
        ids = await self._calls.find_calendars(row, summary)
        if len(ids) > 1:
            raise FieldError(
                "summary",
                f"{len(ids)} calendars are called {summary!r}; give the id of one",
            )
        return next(iter(ids), None)
