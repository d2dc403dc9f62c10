"""Changed dates of a series that is written again: nothing happens twice in silence."""

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import Connector
from openbulk.domain.records import Action, Outcome, OutcomeKind
from support.google_sandbox import ANN, calls, kinds, read_all, starts, target, write_rows
from support.job_records import JobFile

BERLIN = "Europe/Berlin"


def at(moment: str) -> dict[str, str]:
    return {"dateTime": moment, "timeZone": BERLIN}


SERIES: dict[str, Any] = {
    "iCalUID": "maths@x",
    "summary": "Maths",
    "start": at("2026-10-19T08:00:00"),
    "end": at("2026-10-19T08:45:00"),
    "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"],
}
MOVED: dict[str, Any] = {
    "iCalUID": "maths@x",
    "originalStartTime": at("2026-10-26T08:00:00"),
    "start": at("2026-10-26T10:00:00"),
    "end": at("2026-10-26T10:45:00"),
}
CALLED_OFF = {**MOVED, "originalStartTime": at("2026-11-02T08:00:00"), "status": "cancelled"}
DAYS = ("10-19", "10-26", "11-02", "11-09")
AN_HOUR_LATER = {"start": at("2026-10-19T09:00:00"), "end": at("2026-10-19T09:45:00")}
REMOVED = "the series no longer has these dates, and their changes were removed from the calendar: "
KEPT = (
    "the calendar has changes of its own on these dates of the series, which the file does not "
    "have, and they stay: "
)
BESIDE = (
    "the series does not have these dates, and the file and the calendar have changes of them, "
    "which take place beside it: "
)


async def upload(
    connector: Connector, run: str, *rows: Mapping[str, Any], **more: Any
) -> Sequence[Outcome]:
    """The outcomes of the rows of one file."""
    return await write_rows(
        connector, target(run=run, job_records=JobFile.of(*rows), **more), *rows
    )


@pytest.mark.parametrize(
    ("again", "expected"),
    [
        (AN_HOUR_LATER, ["10-19T09", "10-26T09", "11-02T09", "11-09T09"]),
        ({"recurrence": ["RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=2"]}, ["10-19T08", "11-02T08"]),
        (
            {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4", "EXDATE:20261026T070000Z"]},
            ["10-19T08", "11-02T08", "11-09T08"],
        ),
        ({"recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20261020T000000Z"]}, ["10-19T08"]),
    ],
)
@pytest.mark.parametrize("more", [{}, {"records": 100}])
async def test_a_changed_date_goes_with_the_dates_that_a_series_loses(
    connector: Connector, again: dict[str, Any], expected: list[str], more: dict[str, Any]
) -> None:
    await upload(connector, "1", SERIES, MOVED)
    (outcome,) = await upload(connector, "2", {**SERIES, **again}, **more)
    assert outcome.kind is OutcomeKind.UPDATED
    assert outcome.remark == f"{REMOVED}2026-10-26"
    assert await starts(connector) == [f"2026-{start}" for start in expected]
    (outcome,) = await upload(connector, "3", {**SERIES, **again}, **more)
    assert (outcome.kind, outcome.remark) == (OutcomeKind.UNCHANGED, "")


async def test_a_changed_date_is_removed_after_an_answer_that_was_lost(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    """The series was written, and the process died before its dates were."""
    await upload(connector, "1", SERIES, MOVED)
    moved = {**SERIES, **AN_HOUR_LATER}
    (event,) = [one for one in await read_all(connector) if one.get("recurrence")]
    url_of_event = f"{url}/calendar/v3/calendars/primary/events/{event['id']}"
    token = (await (await http.post(f"{url}/sandbox/tokens", json={"user": ANN})).json())[
        "access_token"
    ]
    headers = {"Authorization": f"Bearer {token}"}
    times = {
        name: {"dateTime": f"{time['dateTime']}+02:00"} for name, time in AN_HOUR_LATER.items()
    }
    async with http.patch(url_of_event, json=times, headers=headers) as answer:
        assert answer.status == 200
    (outcome,) = await upload(connector, "2", moved)
    assert (outcome.kind, outcome.remark) == (OutcomeKind.UNCHANGED, f"{REMOVED}2026-10-26")


async def test_changes_of_dates_that_the_file_lacks_stay_and_are_named(
    connector: Connector,
) -> None:
    """Nobody can say whether a person has made them in the calendar."""
    await upload(connector, "1", SERIES, MOVED, CALLED_OFF)
    held = await read_all(connector)
    (outcome,) = await upload(connector, "2", SERIES)
    assert outcome.kind is OutcomeKind.UNCHANGED
    assert outcome.remark == f"{KEPT}2026-10-26, 2026-11-02"
    assert await read_all(connector) == held


@pytest.mark.parametrize("records", [None, 4, 100])
async def test_dates_with_rows_of_their_own_get_no_remark(
    connector: Connector, http: aiohttp.ClientSession, url: str, records: int | None
) -> None:
    """Wherever their rows are in the file."""
    rows = [SERIES, MOVED, CALLED_OFF]
    await upload(connector, "1", *rows)
    before = await calls(http, url)
    outcomes = await upload(connector, "2", MOVED, SERIES, CALLED_OFF, records=records)
    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.UNCHANGED] * 3
    assert [outcome.remark for outcome in outcomes] == [""] * 3
    after = await calls(http, url)
    assert {**after, "GET": 0} == {**before, "GET": 0}, "nothing was written"


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_changed_date_that_the_series_in_the_file_does_not_have_is_told(
    connector: Connector, *, is_first: bool
) -> None:
    """The file has it as the calendar has it, so it stays, and happens beside the series."""
    await upload(connector, "1", SERIES, MOVED)
    later = {**SERIES, **AN_HOUR_LATER}
    rows = [MOVED, later] if is_first else [later, MOVED]
    outcomes = await upload(connector, "2", *rows)
    assert [one.remark for one in outcomes if one.kind is OutcomeKind.UPDATED] == [
        f"{BESIDE}2026-10-26"
    ]
    dates = ["10-19T09", "10-26T09", "10-26T10", "11-02T09", "11-09T09"]
    assert await starts(connector) == [f"2026-{date}" for date in dates]
    called_off = {**MOVED, "status": "cancelled"}
    outcomes = await upload(connector, "3", later, called_off)
    assert [(one.kind, one.remark) for one in outcomes] == [
        (OutcomeKind.UNCHANGED, ""),
        (OutcomeKind.DELETED, ""),
    ]


async def test_a_date_that_the_series_will_have_comes_too_early(connector: Connector) -> None:
    """The row of the series may come later in the file."""
    await upload(connector, "1", SERIES)
    moved = {**MOVED, "originalStartTime": at("2026-10-26T09:00:00")}
    later = {**SERIES, **AN_HOUR_LATER}
    (early,) = await write_rows(
        connector, target(run="2", job_records=JobFile.of(moved, later)), moved
    )
    assert early.is_early
    outcomes = await upload(connector, "2", later, moved)
    assert [one.kind for one in outcomes] == [OutcomeKind.UPDATED] * 2


async def test_a_removed_date_does_not_come_back_beside_its_series(connector: Connector) -> None:
    """As in a calendar that never had it."""
    await upload(connector, "1", SERIES, MOVED)
    later = {**SERIES, **AN_HOUR_LATER}
    await upload(connector, "2", later)
    _, refused = await upload(connector, "3", later, MOVED)
    assert refused.problem is not None
    assert "has no occurrence at 2026-10-26T08:00:00" in refused.problem.message
    assert await starts(connector) == [f"2026-{day}T09" for day in DAYS]
    outcomes = await upload(connector, "4", SERIES, MOVED)
    assert [one.kind for one in outcomes] == [OutcomeKind.UPDATED] * 2


async def test_two_rows_for_one_date_say_that_they_are(connector: Connector) -> None:
    """They are no two events. A later row may call the date off."""
    other = {**MOVED, "start": at("2026-10-26T10:15:00")}
    called_off = {**other, "status": "cancelled"}
    outcomes = await upload(connector, "1", SERIES, MOVED, other, called_off)
    assert outcomes[2].problem is not None
    assert outcomes[2].problem.message == (
        "row 2 is the same date of the series with iCalUID 'maths@x', too, and differs in its "
        "start; keep one of them"
    )
    assert outcomes[3].kind is OutcomeKind.DELETED


async def test_a_row_of_a_single_event_leaves_a_series_and_says_so(connector: Connector) -> None:
    """A calendar file has no way to say that a series ends."""
    await upload(connector, "1", SERIES)
    single = {name: value for name, value in SERIES.items() if name != "recurrence"}
    (outcome,) = await upload(connector, "2", single)
    assert (outcome.kind, outcome.remark) == (
        OutcomeKind.UNCHANGED,
        "the calendar has a series here, and the row has no recurrence: the series and all its "
        "dates stay; to make it a single event, delete the series first, or send recurrence [] in "
        "JSON",
    )
    (outcome,) = await upload(connector, "3", {**single, **AN_HOUR_LATER}, action=Action.UPDATE)
    assert (outcome.kind, outcome.remark) == (OutcomeKind.UPDATED, "")
    assert len(await starts(connector)) == 4
    (outcome,) = await upload(connector, "4", {**single, "recurrence": []})
    assert (outcome.kind, outcome.remark) == (OutcomeKind.UPDATED, "")
    assert await starts(connector) == ["2026-10-19T08"]


async def test_a_date_that_was_called_off_takes_place_again_if_its_row_says_so(
    connector: Connector,
) -> None:
    await upload(connector, "1", SERIES, {**MOVED, "status": "cancelled"})
    assert len(await starts(connector)) == 3
    assert await kinds(connector, target(run="2"), MOVED) == [OutcomeKind.UPDATED]
    assert "2026-10-26T10" in await starts(connector)
    assert await kinds(connector, target(run="3"), MOVED) == [OutcomeKind.UNCHANGED]


async def test_a_change_of_the_summary_alone_looks_at_no_dates(
    connector: Connector, http: aiohttp.ClientSession, url: str
) -> None:
    await upload(connector, "1", SERIES, MOVED)
    before = await calls(http, url)
    row = {"iCalUID": "maths@x", "summary": "Algebra"}
    (outcome,) = await upload(connector, "2", row, action=Action.UPDATE)
    assert (outcome.kind, outcome.remark) == (OutcomeKind.UPDATED, "")
    after = await calls(http, url)
    assert after["GET"] == before["GET"] + 1


WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=2"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([WEEKLY, "EXDATE:20261019T060000Z,20261026T070000Z"], True),
        ([WEEKLY, "EXDATE:20261019T060000Z"], False),
        ([WEEKLY, "RDATE:20261020T060000Z", "EXDATE:20261019T060000Z,20261026T070000Z"], False),
        (["RRULE:FREQ=WEEKLY", "EXDATE:20261019T060000Z,20261026T070000Z"], False),
        (["RRULE:FREQ=WEEKLY;UNTIL=20261026T000000Z", "EXDATE:20261019T060000Z"], True),
    ],
)
@pytest.mark.parametrize("action", [Action.CREATE, Action.UPSERT])
async def test_a_series_that_never_happens_is_told(
    connector: Connector, lines: list[str], told: bool, action: Action
) -> None:
    (outcome,) = await write_rows(connector, target(action), {**SERIES, "recurrence": lines})
    assert outcome.kind is OutcomeKind.CREATED
    assert bool(outcome.remark) is told
    assert bool(await starts(connector)) is not told
    if told:
        assert outcome.remark == "EXDATE leaves out every date of this series: it never happens"


LEFT_OUT = "EXDATE has dates that the series does not have: "
DAILY = "RRULE:FREQ=DAILY;COUNT=4"
CAMP = {"start": {"date": "2026-10-19"}, "end": {"date": "2026-10-20"}}


@pytest.mark.parametrize(
    ("fields", "lines", "beside"),
    [
        # An hour off, a day off, behind the end, before the start.
        ({}, [WEEKLY, "EXDATE:20261026T060000Z"], "2026-10-26 07:00"),
        ({}, [WEEKLY, "EXDATE;TZID=Europe/Berlin:20261027T080000"], "2026-10-27 08:00"),
        ({}, [WEEKLY, "EXDATE:20261102T070000Z,20261026T070000Z"], "2026-11-02 08:00"),
        ({}, [WEEKLY, "EXDATE:20261012T060000Z"], "2026-10-12 08:00"),
        ({}, [WEEKLY, "EXDATE;VALUE=DATE:20261027"], "2026-10-27 08:00"),
        (CAMP, [DAILY, "EXDATE;VALUE=DATE:20261023,20261020"], "2026-10-23"),
        # Dates that the series has, also in another type or zone than its own.
        ({}, [WEEKLY, "EXDATE:20261026T070000Z"], ""),
        ({}, [WEEKLY, "EXDATE;TZID=America/New_York:20261026T030000"], ""),
        ({}, [WEEKLY, "EXDATE;VALUE=DATE:20261026"], ""),
        ({}, [WEEKLY, "EXDATE;VALUE=DATE:20261026", "RDATE:20261027T150000Z"], ""),
        ({}, [WEEKLY, "EXDATE:20261027T150000Z", "RDATE:20261027T150000Z"], ""),
        ({}, [WEEKLY, "EXRULE:FREQ=WEEKLY;COUNT=1", "EXDATE:20261019T060000Z"], ""),
        (CAMP, [DAILY, "EXDATE;TZID=Europe/Berlin:20261020T000000"], ""),
        (CAMP, [DAILY, "EXDATE:20261019T220000Z"], ""),
    ],
)
async def test_an_exdate_that_is_no_date_of_its_series_is_told(
    connector: Connector, fields: dict[str, Any], lines: list[str], beside: str
) -> None:
    """Each time that the row is sent."""
    series = {**SERIES, **fields, "recurrence": lines}
    for kind in (OutcomeKind.CREATED, OutcomeKind.UNCHANGED):
        (outcome,) = await write_rows(connector, target(), series)
        assert (outcome.kind, outcome.remark) == (kind, f"{LEFT_OUT}{beside}" if beside else "")


@pytest.mark.parametrize("count", [1, 3])
async def test_a_date_of_an_all_day_series_goes_too(connector: Connector, count: int) -> None:
    camp = {
        "iCalUID": "camp@x",
        "start": {"date": "2026-10-19"},
        "end": {"date": "2026-10-20"},
        "recurrence": ["RRULE:FREQ=DAILY;COUNT=4"],
    }
    changed = {
        "iCalUID": "camp@x",
        "originalStartTime": {"date": "2026-10-21"},
        "location": "Attic",
    }
    await upload(connector, "1", camp, changed)
    (outcome,) = await upload(
        connector, "2", {**camp, "recurrence": [f"RRULE:FREQ=DAILY;COUNT={count}"]}
    )
    assert outcome.remark == (f"{REMOVED}2026-10-21" if count == 1 else f"{KEPT}2026-10-21")


async def test_all_dates_from_the_first_on_may_move_in_the_file_of_their_series(
    connector: Connector,
) -> None:
    change = {
        "iCalUID": "maths@x",
        "originalStartTime": {**SERIES["start"], "range": "THISANDFUTURE"},
        **AN_HOUR_LATER,
    }
    outcomes = await kinds(connector, target(), SERIES, change)
    assert outcomes == [OutcomeKind.CREATED, OutcomeKind.UPDATED]
    assert (await starts(connector))[0] == "2026-10-19T09"
