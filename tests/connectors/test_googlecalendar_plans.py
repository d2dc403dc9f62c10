"""A plan of events says what the job then does, and costs no call that writes."""

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import Connector, PlansWrites
from openbulk.domain.plan import Change, Planned, PlannedKind, kind_of
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from support.google_sandbox import calls, event, read_all, target, write_rows

MANY = 40
"""Records of a job for which the calendar is listed."""


def series(**more: object) -> dict[str, Any]:
    zone = {"timeZone": "Europe/Berlin"}
    return {
        "iCalUID": "maths@x",
        "summary": "Maths",
        "start": {"dateTime": "2026-10-12T09:00:00", **zone},
        "end": {"dateTime": "2026-10-12T09:45:00", **zone},
        "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=5"],
        **more,
    }


def date(day: str, **more: object) -> dict[str, Any]:
    original = {"dateTime": f"2026-10-{day}T09:00:00", "timeZone": "Europe/Berlin"}
    return {"iCalUID": "maths@x", "originalStartTime": original, **more}


async def plan_rows(
    connector: Connector, action: Action, *rows: Mapping[str, Any], records: int = MANY, **more: Any
) -> Sequence[Planned]:
    """What rows of one job would do, planned one after another."""
    assert isinstance(connector, PlansWrites)
    to = target(action, run=f"plan-{action}-{len(rows)}", records=records, **more)
    return [
        (await connector.plan(to, [Record(number, values, key=f"run:{number}")]))[0]
        for number, values in enumerate(rows, 1)
    ]


async def apply_rows(
    connector: Connector, to: Target, planned: Sequence[Planned], *rows: Mapping[str, Any]
) -> list[Outcome]:
    """The outcomes of rows of one job that carries a plan out, sent one after another.

    What the plan refused is not sent, so it is sent without its plan here.
    """
    seen = {one.row: one.expectation for one in planned}
    records = [
        Record(number, values, key=f"run:{number}", expected=seen[number])
        for number, values in enumerate(rows, 1)
    ]
    return [(await connector.write(to, [one]))[0] for one in records]


@pytest.mark.parametrize("records", [MANY, 4])
@pytest.mark.parametrize(
    ("first", "action", "rows"),
    [
        ([], Action.CREATE, [event("Maths"), event("Art", id="art2026"), event("x", id="art2026")]),
        ([event("Art", id="art2026")], Action.CREATE, [event("Music", id="art2026")]),
        ([event("Art", id="art2026")], Action.UPSERT, [event("Art", id="art2026"), event("B")]),
        ([event("Art", id="art2026")], Action.UPSERT, [event("Arts", id="art2026")]),
        ([event("Art", id="art2026")], Action.UPDATE, [{"id": "art2026"}, {"id": "nobody99"}]),
        ([event("Art", id="art2026")], Action.DELETE, [{"id": "art2026"}, {"id": "art2026"}]),
        ([series()], Action.UPSERT, [series(summary="Maths II"), date("19", summary="Late")]),
        ([], Action.UPSERT, [series(), date("19", summary="Late"), date("20", summary="Never")]),
        ([series()], Action.DELETE, [date("19"), {"iCalUID": "maths@x"}]),
    ],
)
async def test_what_a_plan_says_and_what_rows_do_agree(
    connector: Connector,
    first: Sequence[Mapping[str, Any]],
    action: Action,
    rows: Sequence[Mapping[str, Any]],
    records: int,
) -> None:
    """Rows that depend on earlier rows of the plan, too, in small jobs and in large ones."""
    await write_rows(connector, target(run="first"), *first)
    planned = await plan_rows(connector, action, *rows, records=records)
    done = await apply_rows(connector, target(action, run="then", records=records), planned, *rows)
    as_refused = [
        PlannedKind.REFUSED if one.kind is PlannedKind.AMBIGUOUS else one.kind for one in planned
    ]
    assert as_refused == [kind_of(outcome) for outcome in done], (planned, done)
    assert [one.remark for one in planned] == [outcome.remark for outcome in done]


@pytest.mark.parametrize("records", [MANY, 4])
@pytest.mark.parametrize(
    ("first", "action", "rows", "foreign"),
    [
        ([], Action.CREATE, event("Art", id="art2026"), event("Music", id="art2026")),
        ([], Action.UPSERT, event("Art", id="art2026"), event("Music", id="art2026")),
        ([], Action.UPSERT, event("Art", iCalUID="art@x"), event("Music", iCalUID="art@x")),
        (
            [event("Art", id="art2026")],
            Action.UPSERT,
            event("Arts", id="art2026"),
            {"id": "art2026", "location": "Aula"},
        ),
        ([event("Art", id="art2026")], Action.UPDATE, {"id": "art2026", "summary": "B"}, None),
        (
            [event("Art", id="art2026")],
            Action.DELETE,
            {"id": "art2026"},
            {"id": "art2026", "location": "Aula"},
        ),
        ([series()], Action.UPSERT, date("19", summary="Late"), date("19", location="Aula")),
        ([series()], Action.DELETE, {"iCalUID": "maths@x"}, series(location="Aula")),
    ],
)
async def test_an_event_that_has_changed_since_its_plan_has_drifted(
    connector: Connector,
    first: Sequence[Mapping[str, Any]],
    action: Action,
    rows: Mapping[str, Any],
    foreign: Mapping[str, Any] | None,
    records: int,
) -> None:
    """Whether it is there by now, is other, or is gone; and it is left as it is."""
    await write_rows(connector, target(run="first"), *first)
    planned = await plan_rows(connector, action, rows, records=records)
    if foreign is None:
        await write_rows(connector, target(Action.DELETE, run="foreign"), {"id": rows["id"]})
    else:
        await write_rows(connector, target(Action.UPSERT, run="foreign"), foreign)
    before = await read_all(connector)
    to = target(action, run="then", records=records)
    (outcome,) = await apply_rows(connector, to, planned, rows)
    assert outcome.kind is OutcomeKind.DRIFTED, (planned, outcome)
    assert await read_all(connector) == before


async def test_google_refuses_a_change_of_an_event_that_changed_behind_the_look(
    connector: Connector,
) -> None:
    """A large job lists the calendar once: `If-Match` sees what has changed since."""
    rows = [event(name, id=f"{name}2026") for name in ("art", "pe")]
    await write_rows(connector, target(), *rows)
    changed = [{**row, "location": "Aula"} for row in rows]
    planned = await plan_rows(connector, Action.UPSERT, *changed)
    to = target(Action.UPSERT, run="then", records=MANY)
    assert (await apply_rows(connector, to, planned[:1], changed[0]))[0].problem is None
    foreign = {"id": "pe2026", "summary": "Sports"}
    await write_rows(connector, target(Action.UPDATE, run="foreign"), foreign)
    second = Record(2, changed[1], key="run:2", expected=planned[1].expectation)
    (outcome,) = await connector.write(to, [second])
    assert (outcome.kind, outcome.id) == (OutcomeKind.DRIFTED, "pe2026")


async def test_a_plan_shows_each_field_before_and_after(connector: Connector) -> None:
    """And the version of the event that it saw."""
    await write_rows(connector, target(), event("Art", id="art2026", location="Aula"))
    (planned,) = await plan_rows(connector, Action.UPSERT, event("Arts", id="art2026"))
    assert planned.changes == {"summary": Change("Art", "Arts")}
    assert (planned.id, planned.kind) == ("art2026", PlannedKind.UPDATED)
    assert planned.version


async def test_a_plan_of_many_rows_costs_the_listing(
    http: aiohttp.ClientSession, url: str, connector: Connector
) -> None:
    """No call that writes."""
    rows = [event(f"Lesson {number}", id=f"lesson{number}") for number in range(30)]
    await write_rows(connector, target(), *rows)
    before = await calls(http, url)
    planned = await plan_rows(connector, Action.UPSERT, *rows)
    after = await calls(http, url)
    assert {one.kind for one in planned} == {PlannedKind.UNCHANGED}
    assert {name: count - before.get(name, 0) for name, count in after.items()} == {
        **dict.fromkeys(after, 0),
        "GET": 1,
    }


@pytest.mark.parametrize(
    ("action", "records"),
    [
        *((action, 60) for action in Action),
        (Action.UPSERT, 12),
        (Action.DELETE, 12),
    ],
)
async def test_a_plan_counts_the_calls_that_the_job_then_makes(
    http: aiohttp.ClientSession, url: str, connector: Connector, action: Action, records: int
) -> None:
    """Look-ups, too, within 2 %: of changed events, equal ones and new ones.

    Rows that would be refused count for nothing: an apply does not send them.
    """
    known = [event(f"Lesson {number}", id=f"lesson{number}") for number in range(records // 2)]
    await write_rows(connector, target(run="first"), *known)
    changed = [{**row, "location": "Aula"} for row in known[: records // 4]]
    same, start = known[records // 4 :], {"dateTime": "2026-10-12T09:00:00"}
    new = [
        {**event(f"New {number}", start=start), "id": f"new{number:03}"}
        for number in range(records - len(known))
    ]
    rows = new if action is Action.CREATE else [*changed, *same, *new]
    planned = await plan_rows(connector, action, *rows, records=records)
    before = await calls(http, url)
    await write_rows(connector, target(action, run="then", records=records), *rows)
    made = sum((await calls(http, url)).values()) - sum(before.values())
    said = sum(one.calls + one.lookups for one in planned)
    assert abs(said - made) <= 0.02 * made, (said, made)


async def test_a_calendar_that_is_missing_refuses_its_rows(connector: Connector) -> None:
    """Also the rows of an action that looks nothing up."""
    (planned,) = await plan_rows(connector, Action.CREATE, event("Art", calendarId="nobody@x"))
    assert planned.kind is PlannedKind.REFUSED
    assert planned.problem is not None


async def test_people_who_would_be_mailed_are_counted(connector: Connector) -> None:
    """Those outside the organization apart."""
    guests = [{"email": name} for name in ("bob@example.com", "eve@other.org")]
    row = event("Art", attendees=guests)
    options = {"sendUpdates": "all"}
    (planned,) = await plan_rows(connector, Action.CREATE, row, options=options)
    assert (planned.mails, planned.mails_outside) == (2, 1)
    (silent,) = await plan_rows(connector, Action.CREATE, {**row, "summary": "Music"})
    assert (silent.mails, silent.mails_outside) == (0, 0)


@pytest.mark.parametrize("records", [MANY, 4])
async def test_a_comparison_counts_the_events_that_a_row_may_mean(
    connector: Connector, records: int
) -> None:
    """A calendar that is listed, and events that are looked up one by one."""
    row = event("Maths", ref="m1")
    await write_rows(connector, target(Action.UPSERT, "ref", "first"), row)
    copy = event("Copy", extendedProperties={"private": {"ref": "m1"}})
    await write_rows(connector, target(Action.CREATE, run="copy"), copy)
    to = target(Action.UPSERT, "ref", "then", records=records, only_compares=True)
    assert isinstance(connector, PlansWrites)
    (planned,) = await connector.plan(to, [Record(1, row, key="first:1")])
    assert (planned.kind, planned.matches) == (PlannedKind.AMBIGUOUS, 2)
    assert planned.problem is not None
    assert planned.problem.message.startswith("2 events have the ref of this row")
