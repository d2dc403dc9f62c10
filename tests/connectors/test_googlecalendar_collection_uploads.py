"""Calendars, the person's list of them, and who may see them, against the sandbox."""

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.domain.errors import AnswerLost
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.testing.connectors import check_schema
from support import forget
from support.google_sandbox import configuration, set_faults

ANN = "ann@example.com"
RULE: Mapping[str, Any] = {"scope": {"type": "user", "value": "bob@example.com"}, "role": "reader"}


async def write_rows(
    connector: Connector,
    object: str,
    action: Action,
    *rows: Mapping[str, Any],
    identifier: str | None = None,
    **options: Any,
) -> Sequence[Outcome]:
    target = Target(object, action, identifier, options)
    return [
        (await connector.write(target, [Record(number, values, key=f"file:{number}")]))[0]
        for number, values in enumerate(rows, 1)
    ]


async def kinds(
    connector: Connector, object: str, action: Action, *rows: Mapping[str, Any], **more: Any
) -> list[OutcomeKind]:
    return [outcome.kind for outcome in await write_rows(connector, object, action, *rows, **more)]


async def read(connector: Connector, object: str, **parameters: str) -> list[Mapping[str, Any]]:
    pages = connector.read(Query(object, parameters=parameters), PageRequest(size=1))
    return [one async for page in pages for one in page.records]


async def test_each_object_says_what_it_can_do_and_what_it_looks_like(connector: Connector) -> None:
    """By Google's discovery document."""
    objects = await connector.objects()
    assert list(objects) == ["events", "calendars", "calendar-list", "access-control-list"]
    for name, features in objects.items():
        assert features.actions == frozenset(Action)
        check_schema(await connector.metadata(name), name)
    assert not objects["calendars"].idempotent_writes


# --- calendars ---


async def test_a_calendar_is_made_changed_left_alone_and_deleted(connector: Connector) -> None:
    """By its id; the same again costs no write."""
    (made,) = await write_rows(
        connector, "calendars", Action.CREATE, {"summary": "Class 7a", "description": "Lessons"}
    )
    assert made.kind is OutcomeKind.CREATED
    row = {"id": made.id, "summary": "Class 7a", "description": "Lessons"}
    assert await kinds(connector, "calendars", Action.UPSERT, row) == [OutcomeKind.UNCHANGED]
    assert await kinds(
        connector, "calendars", Action.UPDATE, {"id": made.id, "summary": "Class 8a"}
    ) == [OutcomeKind.UPDATED]
    assert [one["summary"] for one in await read(connector, "calendars")] == [ANN, "Class 8a"]
    assert await kinds(connector, "calendars", Action.DELETE, {"id": made.id}, {"id": made.id}) == [
        OutcomeKind.DELETED,
        OutcomeKind.NOT_FOUND,
    ]


async def test_a_calendar_is_found_by_its_summary_where_the_caller_wants_it(
    connector: Connector,
) -> None:
    """Two of one name are one too many."""
    row = {"summary": "Class 7a", "timeZone": "Europe/Berlin"}
    upsert = [
        await kinds(connector, "calendars", Action.UPSERT, row, identifier="summary")
        for _ in range(2)
    ]
    assert upsert == [[OutcomeKind.CREATED], [OutcomeKind.UNCHANGED]]
    await write_rows(connector, "calendars", Action.CREATE, {}, row)
    (outcome,) = await write_rows(connector, "calendars", Action.UPDATE, row, identifier="summary")
    assert outcome.problem is not None
    assert "2 calendars are called 'Class 7a'" in outcome.problem.message


async def test_a_calendar_whose_making_was_not_answered_is_found(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """By the mark in its description; one that was not made is not."""
    await connector.check()
    target = Target("calendars", Action.CREATE)
    batch = [Record(1, {"summary": "Class 7a"}, key="file:1")]
    assert await connector.find(target, batch) == {}
    await set_faults(http, url, "drop-after=1")
    with pytest.raises(AnswerLost):
        await connector.write(target, batch)
    await set_faults(http, url, "")
    found = await connector.find(target, [*batch, Record(2, {"summary": "Class 7b"}, key="file:2")])
    assert list(found) == ["file:1"]


async def test_the_main_calendar_stays(connector: Connector) -> None:
    """And the message says what can be done instead."""
    (outcome,) = await write_rows(connector, "calendars", Action.DELETE, {"id": ANN})
    assert outcome.problem is not None
    assert "the action delete with the object events empties it" in outcome.problem.message


async def test_a_calendar_that_is_not_there_is_not_made_by_its_id(connector: Connector) -> None:
    """Google numbers calendars itself."""
    (outcome,) = await write_rows(
        connector, "calendars", Action.UPSERT, {"id": "no@x", "summary": "x"}
    )
    assert outcome.problem is not None
    assert "use action create to make one" in outcome.problem.message


# --- who may see a calendar ---


async def test_a_rule_is_made_once_changed_left_alone_and_taken_back(connector: Connector) -> None:
    """Its scope says which it is."""
    rules = "access-control-list"
    assert await kinds(connector, rules, Action.CREATE, RULE, RULE) == [
        OutcomeKind.CREATED,
        OutcomeKind.CREATED,
    ]
    assert await kinds(connector, rules, Action.UPSERT, RULE) == [OutcomeKind.UNCHANGED]
    writer = {**RULE, "role": "writer"}
    assert await kinds(connector, rules, Action.UPSERT, writer) == [OutcomeKind.UPDATED]
    assert [(one["id"], one["role"]) for one in await read(connector, rules)] == [
        (f"user:{ANN}", "owner"),
        ("user:bob@example.com", "writer"),
    ]
    assert await kinds(connector, rules, Action.DELETE, RULE, {"id": "user:bob@example.com"}) == [
        OutcomeKind.DELETED,
        OutcomeKind.NOT_FOUND,
    ]


async def test_rules_belong_to_the_calendar_that_the_row_names(connector: Connector) -> None:
    """Else to that of metaData."""
    made = await write_rows(
        connector, "calendars", Action.CREATE, {"summary": "A"}, {"summary": "B"}
    )
    (first, second) = [str(outcome.id) for outcome in made]
    rules = "access-control-list"
    rows = [{**RULE, "calendarId": first}, RULE]
    assert await kinds(connector, rules, Action.CREATE, *rows, calendarId=second) == [
        OutcomeKind.CREATED,
        OutcomeKind.CREATED,
    ]
    for calendar in (first, second):
        assert len(await read(connector, rules, calendarId=calendar)) == 2
    assert len(await read(connector, rules)) == 1


async def test_a_role_that_is_none_is_refused_before_a_call(connector: Connector) -> None:
    """With what is wrong with it."""
    (outcome,) = await write_rows(
        connector, "access-control-list", Action.CREATE, {**RULE, "role": "boss"}
    )
    assert outcome.problem is not None
    assert "boss" in outcome.problem.message


# --- the person's list ---


async def test_a_shared_calendar_is_put_on_the_list_and_taken_off(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """IdempotencyKey, however often it is sent."""
    bob = await configuration(http, url, user="bob@example.com")
    bobs: Connector = GoogleCalendarProvider().connect(ConnectionContext(bob, http, forget))
    (made,) = await write_rows(connector, "calendars", Action.CREATE, {"summary": "Class 7a"})
    await write_rows(
        connector, "access-control-list", Action.CREATE, {**RULE, "calendarId": made.id}
    )
    row = {"id": made.id, "selected": True}
    assert await kinds(bobs, "calendar-list", Action.CREATE, row, row) == [
        OutcomeKind.CREATED,
        OutcomeKind.CREATED,
    ]
    assert await kinds(bobs, "calendar-list", Action.UPSERT, row) == [OutcomeKind.UNCHANGED]
    renamed = {"id": made.id, "summaryOverride": "Ann's class"}
    assert await kinds(bobs, "calendar-list", Action.UPSERT, renamed) == [OutcomeKind.UPDATED]
    assert [one.get("summaryOverride") for one in await read(bobs, "calendar-list")] == [
        None,
        "Ann's class",
    ]
    assert await kinds(bobs, "calendar-list", Action.DELETE, row, row) == [
        OutcomeKind.DELETED,
        OutcomeKind.NOT_FOUND,
    ]
    assert [one["id"] for one in await read(bobs, "calendars")] == ["bob@example.com"]
