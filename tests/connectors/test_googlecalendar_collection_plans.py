"""A plan of calendars, their list and their rules says what the job does, and writes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import Connector, PlansWrites
from openbulk.domain.plan import Change, Planned, PlannedKind, kind_of
from openbulk.domain.records import Action, Outcome, Record, Target
from support.google_sandbox import calls

ANN = "ann@example.com"
RULES, LIST, CALENDARS = "access-control-list", "calendar-list", "calendars"


def rule(who: str, role: str = "reader", **more: Any) -> dict[str, Any]:
    return {"scope": {"type": "user", "value": who}, "role": role, **more}


def records_of(rows: Sequence[Mapping[str, Any]]) -> list[Record]:
    return [Record(number, values, key=f"run:{number}") for number, values in enumerate(rows, 1)]


async def plan_rows(
    connector: Connector, to: Target, rows: Sequence[Mapping[str, Any]]
) -> Sequence[Planned]:
    assert isinstance(connector, PlansWrites)
    return [(await connector.plan(to, [one]))[0] for one in records_of(rows)]


async def write_rows(
    connector: Connector, to: Target, rows: Sequence[Mapping[str, Any]]
) -> Sequence[Outcome]:
    return [(await connector.write(to, [one]))[0] for one in records_of(rows)]


@pytest.mark.parametrize(
    ("to", "rows"),
    [
        (Target(RULES, Action.CREATE), [rule("bob@x.org"), rule("cara@x.org"), rule("cara@x.org")]),
        (Target(RULES, Action.CREATE), [rule("bob@x.org", calendarId="nobody@example.com")]),
        (Target(RULES, Action.UPSERT), [rule("bob@x.org", "writer"), rule("eve@x.org")]),
        (Target(RULES, Action.UPDATE), [rule("bob@x.org"), rule("eve@x.org"), {"role": "reader"}]),
        (Target(RULES, Action.DELETE), [{"id": "user:bob@x.org"}, {"id": "user:bob@x.org"}]),
        (Target(LIST, Action.CREATE), [{"id": ANN}, {"id": "nobody@example.com"}]),
        (Target(LIST, Action.UPSERT), [{"id": ANN, "hidden": True}, {"id": ANN, "hidden": True}]),
        (Target(CALENDARS, Action.CREATE), [{"summary": "Choir"}, {"description": "nameless"}]),
        (
            Target(CALENDARS, Action.UPSERT, "summary"),
            [{"summary": "Choir"}, {"summary": "Choir"}, {"summary": ANN, "location": "Bonn"}],
        ),
        (Target(CALENDARS, Action.UPDATE), [{"id": ANN, "summary": "Ann"}, {"id": "no@x"}]),
        (Target(CALENDARS, Action.DELETE, "summary"), [{"summary": "Choir"}]),
    ],
)
async def test_what_a_plan_says_and_what_rows_do_agree(
    http: aiohttp.ClientSession,
    url: str,
    connector: Connector,
    to: Target,
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Rows behind earlier rows of the plan, too. It makes no call but those that read."""
    await write_rows(connector, Target(RULES, Action.CREATE), [rule("bob@x.org")])
    before = await calls(http, url)
    planned = await plan_rows(connector, to, rows)
    after = await calls(http, url)
    assert {name for name in after if after[name] != before.get(name, 0)} == {"GET"} or (
        after == before
    )
    done = await write_rows(connector, to, rows)
    assert [one.kind for one in planned] == [kind_of(outcome) for outcome in done], (planned, done)
    assert [one.problem for one in planned] == [outcome.problem for outcome in done]


async def test_a_plan_of_rules_shows_changes_and_who_would_be_mailed(connector: Connector) -> None:
    await write_rows(connector, Target(RULES, Action.CREATE), [rule("bob@example.com")])
    options = {"sendNotifications": True, "calendarId": ANN}
    to = Target(RULES, Action.UPSERT, options=options)
    rows = [rule("bob@example.com", "writer"), rule("eve@x.org"), rule("bob@example.com", "writer")]
    changed, made, same = await plan_rows(connector, to, rows)
    assert changed.changes == {"role": Change("reader", "writer")}
    assert changed.version
    assert [(one.mails, one.mails_outside, one.calls) for one in (changed, made, same)] == [
        (1, 0, 1),
        (1, 1, 1),
        (0, 0, 0),
    ]
    again = await plan_rows(connector, Target(RULES, Action.CREATE), rows[:1])
    assert again[0].kind is PlannedKind.CREATED
    assert again[0].remark == "it is there already, and is written once more"
