"""Whether an event is still as the plan of its row saw it (docs/decisions/0056)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from openbulk.connectors.drift import HAS_CHANGED, IS_GONE, drift_of
from openbulk.connectors.googlecalendar.claims import Claims
from openbulk.connectors.googlecalendar.diff import DEFAULTS, changes
from openbulk.connectors.googlecalendar.errors import EventDrifted
from openbulk.connectors.googlecalendar.event_rows import EventRow
from openbulk.connectors.googlecalendar.events import Event
from openbulk.domain.records import Expectation, OutcomeKind

_EMPTY: tuple[Any, ...] = (None, "", [], {})


async def etag_to_match(row: EventRow, event: Event, claims: Claims) -> str | None:
    """The etag that an event must still have when it is written; None for a row without a plan.

    Raises EventDrifted if the event is not as the plan saw it. Rows before this one may have
    changed the event themselves, or the series that it is a date of. Then Google has given it
    another etag, and the fields that the row changes are compared.
    """
    expected = row.expected
    if expected is None:
        return None
    event_id, etag = str(event["id"]), event.get("etag")
    kind = OutcomeKind.DELETED if row.is_removal else OutcomeKind.UPDATED
    reason = drift_of(expected, kind, event_id, etag)
    # A plan has no version of an event that earlier rows would make, and an id of its own for it.
    is_same_event = expected.kind is kind and (expected.version is None or expected.id == event_id)
    has_version = expected.version is not None and reason is None
    if is_same_event and not has_version and await _is_changed_by_job(row, event, claims):
        reason = None if _is_as_before(expected, event) else HAS_CHANGED
    if reason is not None:
        raise EventDrifted(reason, event_id)
    return etag


def require_none_expected(row: EventRow) -> None:
    """Raise EventDrifted if the plan saw an event for a row, which the calendar has no more."""
    expected = row.expected
    if expected is not None and expected.kind is not OutcomeKind.CREATED and expected.id:
        raise EventDrifted(IS_GONE, expected.id)


async def _is_changed_by_job(row: EventRow, event: Event, claims: Claims) -> bool:
    """Whether an earlier row of the job means this event, or the series that it is a date of."""
    first = await claims.first_rows(row, str(event["id"]))
    if first.row < row.number:
        return True
    series_id = event.get("recurringEventId")
    if row.original_start is None or series_id is None:
        return False
    series_row = replace(row, identity=row.identity.series, original_start=None)
    first = await claims.first_rows(series_row, str(series_id))
    return first.row < row.number


def _is_as_before(expected: Expectation, event: Event) -> bool:
    """Whether the fields that the row changes are as the plan saw them."""
    given: Mapping[str, Any] = {
        name: value for name, value in expected.before.items() if value is not None
    }
    absent = expected.before.keys() - given.keys()
    return not changes(given, event) and all(
        event.get(name) in (*_EMPTY, DEFAULTS.get(name)) for name in absent
    )
