"""The sandbox reads `recurrence` as Google does: it refuses faults, and expands the rest."""

from typing import Any

import pytest

from sandbox.test_google import EVENTS, Caller, ann, event, reason

__all__ = ["ann"]
ZONE = "Europe/Berlin"
TIMED = {
    "start": {"dateTime": "2026-06-04T10:00:00", "timeZone": ZONE},
    "end": {"dateTime": "2026-06-04T11:00:00", "timeZone": ZONE},
}
ALL_DAY = {"start": {"date": "2026-06-04"}, "end": {"date": "2026-06-05"}}
WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=4"


async def list_starts(caller: Caller, **query: str) -> list[str]:
    """The starts of all occurrences in the calendar."""
    query = {"singleEvents": "true", "orderBy": "startTime", **query}
    places = [one["start"] for one in await caller.list_events(**query)]
    return [place.get("date") or place["dateTime"] for place in places]


@pytest.mark.parametrize(
    "line",
    [
        "every week",
        "",
        "RRULE:",
        "RRULE:FREQ=FORTNIGHTLY",
        "RRULE:FREQ=HOURLY",
        "RRULE;VALUE=RECUR:FREQ=DAILY",
        "RRULE:FREQ=DAILY;COUNT=2;UNTIL=20260701T000000Z",
        "RRULE:FREQ=DAILY;COUNT=2;COUNT=3",
        "RRULE:FREQ=DAILY;COUNT=0",
        "RRULE:FREQ=DAILY;COUNT=99999999999",
        "RRULE:FREQ=DAILY;INTERVAL=0",
        "RRULE:FREQ=DAILY;INTERVAL",
        "RRULE:FREQ=DAILY;BYFOO=1",
        "RRULE:FREQ=DAILY;BYHOUR=24",
        "RRULE:FREQ=DAILY;BYSECOND=60",
        "RRULE:FREQ=MONTHLY;BYMONTHDAY=32",
        "RRULE:FREQ=MONTHLY;BYMONTHDAY=0",
        "RRULE:FREQ=MONTHLY;BYMONTHDAY=1,",
        "RRULE:FREQ=MONTHLY;BYDAY=MONDAY",
        "RRULE:FREQ=MONTHLY;BYDAY=54MO",
        "RRULE:FREQ=WEEKLY;BYDAY=1MO",
        "RRULE:FREQ=WEEKLY;BYMONTHDAY=1",
        "RRULE:FREQ=MONTHLY;BYWEEKNO=1",
        "RRULE:FREQ=DAILY;BYYEARDAY=1",
        "RRULE:FREQ=WEEKLY;WKST=1MO",
        "RRULE:FREQ=DAILY;UNTIL=20260701",
        "RRULE:FREQ=DAILY;UNTIL=20260701T000000",
        "RRULE:FREQ=DAILY;UNTIL=20261301T000000Z",
        "RRULE:FREQ=DAILY;UNTIL=2026-07-01T00:00:00Z",
        "RRULE:FREQ=DAILY\nEXDATE:20260605T100000",
        "EXDATE:20260605",
        "EXDATE;VALUE=DATE:20260605",
        "EXDATE;VALUE=DATE:20260605T100000",
        "EXDATE;TZID=Mars/Olympus:20260605T100000",
        "EXDATE;TZID=Europe/Berlin;X=1;FMTTYPE=a:20260605T100000",
        "EXDATE:20260605T100000,",
        "EXDATE:20260605T250000",
        "RDATE;VALUE=PERIOD:20260605T080000Z/PT1H",
        "RDATE;VALUE=DATE:20260605",
        "DTSTART:20260604T100000",
    ],
)
async def test_a_line_that_is_faulty_beside_a_time_is_refused(ann: Caller, line: str) -> None:
    status, body = await ann.insert(**TIMED, recurrence=[line])
    assert (status, reason(body)) == (400, "invalid")
    assert body["error"]["message"] == "Invalid recurrence rule."
    assert await ann.list_events() == []


@pytest.mark.parametrize(
    "line",
    [
        "RRULE:FREQ=DAILY;UNTIL=20260701T000000Z",
        "EXDATE:20260605T000000",
        "EXDATE;VALUE=DATE:20260605T000000",
        "EXDATE;VALUE=DATE:20260631",
        "RDATE:20260605T000000Z",
    ],
)
async def test_a_line_that_is_faulty_beside_a_day_is_refused(ann: Caller, line: str) -> None:
    status, body = await ann.insert(**ALL_DAY, recurrence=[line])
    assert (status, reason(body)) == (400, "invalid")


@pytest.mark.parametrize("change", [{"recurrence": ["EXDATE:20260605"]}, ALL_DAY])
async def test_a_change_that_breaks_a_series_is_refused(
    ann: Caller, change: dict[str, Any]
) -> None:
    """Of its recurrence, or of the type of its start."""
    lines = [WEEKLY, "EXDATE:20260611T080000Z"]
    await ann.insert(id="maths2026", **TIMED, recurrence=lines)
    if "start" in change:
        change = {name: {**place, "dateTime": None} for name, place in change.items()}
    status, body = await ann.call("PATCH", f"{EVENTS}/maths2026", json=change)
    assert (status, reason(body)) == (400, "invalid")
    assert (await ann.call("GET", f"{EVENTS}/maths2026"))[1]["recurrence"] == lines


@pytest.mark.parametrize(
    "line",
    [
        "EXDATE:20260611T080000Z",
        "EXDATE:20260611T100000",
        "EXDATE;TZID=Europe/Berlin:20260611T100000",
        'EXDATE;X-A="b:c,d";tzid="America/New_York";value=date-time:20260611T040000',
        "exdate;TZID=Asia/Tokyo:20260611T080000Z",
        "EXDATE:20260701T100000,20260611T100000",
        "EXRULE:FREQ=MONTHLY;BYDAY=2TH",
    ],
)
async def test_an_occurrence_is_left_out_however_it_is_written(ann: Caller, line: str) -> None:
    """In UTC, in the series' zone, in another zone, by a rule."""
    await ann.insert(**TIMED, recurrence=[WEEKLY, line])
    assert [start[8:10] for start in await list_starts(ann)] == ["04", "18", "25"]


async def test_days_are_left_out_and_added(ann: Caller) -> None:
    lines = [WEEKLY, "EXDATE;VALUE=DATE:20260611,20260618", "RDATE;VALUE=DATE:20260701"]
    await ann.insert(**ALL_DAY, recurrence=lines)
    assert await list_starts(ann) == ["2026-06-04", "2026-06-25", "2026-07-01"]


async def test_the_start_is_an_occurrence_even_if_the_rule_has_another_day(ann: Caller) -> None:
    await ann.insert(**ALL_DAY, recurrence=["RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=2"])
    assert await list_starts(ann) == ["2026-06-04", "2026-06-08", "2026-06-15"]


async def test_an_added_occurrence_is_one_like_any_other(ann: Caller) -> None:
    """It is got, changed and deleted by its id. After that the series no longer makes it."""
    lines = [WEEKLY, "RDATE:20260702T160000Z", "RDATE;TZID=Asia/Tokyo:20260703T120000"]
    await ann.insert(id="maths2026", **TIMED, recurrence=lines)
    path = f"{EVENTS}/maths2026_20260702T160000Z"
    status, found = await ann.call("GET", path)
    assert (status, found["start"]["dateTime"]) == (200, "2026-07-02T18:00:00+02:00")
    assert found["end"]["dateTime"] == "2026-07-02T19:00:00+02:00"
    assert found["originalStartTime"] == found["start"]
    status, _ = await ann.call("PATCH", path, json={"summary": "Moved"})
    assert status == 200
    assert (await ann.call("DELETE", f"{EVENTS}/maths2026_20260703T030000Z"))[0] == 204
    listed = await ann.list_events(singleEvents="true", timeMin="2026-07-01T00:00:00Z")
    assert [one["summary"] for one in listed] == ["Moved"]


@pytest.mark.parametrize(
    "occurrence",
    [
        "maths2026_20261399T080000Z",
        "maths2026_00000000",
        "maths2026_20260611",
        "maths2026_20260611T090000Z",
        "maths2026_99991231T235959Z",
        "maths2026_20260604T080000Z_20260604T080000Z",
        "nowhere_20260604T080000Z",
    ],
)
async def test_an_id_of_no_occurrence_is_not_found(ann: Caller, occurrence: str) -> None:
    """A date that there is not, a day of a series with times, a time at which nothing is."""
    await ann.insert(id="maths2026", **TIMED, recurrence=[WEEKLY])
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/instances")):
        status, _ = await ann.call(method, f"{EVENTS}/{occurrence}{path}", json={})
        assert status == 404, method


async def test_an_occurrence_is_no_series(ann: Caller) -> None:
    await ann.insert(id="maths2026", **TIMED, recurrence=[WEEKLY])
    path = f"{EVENTS}/maths2026_20260611T080000Z"
    status, body = await ann.call("PATCH", path, json={"recurrence": [WEEKLY]})
    assert (status, reason(body)) == (400, "invalid")


async def test_a_deleted_series_takes_its_changed_occurrences_along(ann: Caller) -> None:
    for method, body in (("DELETE", None), ("PATCH", {"status": "cancelled"})):
        _, series = await ann.insert(**TIMED, recurrence=[WEEKLY])
        moved = f"{EVENTS}/{series['id']}_20260611T080000Z"
        await ann.call("PATCH", moved, json={"summary": "Moved"})
        await ann.call(method, f"{EVENTS}/{series['id']}", json=body)
        assert await ann.list_events(singleEvents="true") == []
        assert {one["status"] for one in await ann.list_events()} <= {"cancelled"}
        assert (await ann.call("GET", moved))[1]["status"] == "cancelled"


@pytest.mark.parametrize(
    ("times", "start", "found"),
    [
        (TIMED, "2026-06-11T08:00:00Z", "maths2026_20260611T080000Z"),
        (TIMED, "2026-06-11T10:00:00+02:00", "maths2026_20260611T080000Z"),
        (ALL_DAY, "2026-06-11", "maths2026_20260611"),
    ],
)
async def test_an_occurrence_is_found_by_its_original_start(
    ann: Caller, times: dict[str, Any], start: str, found: str
) -> None:
    await ann.insert(id="maths2026", **times, recurrence=[WEEKLY])
    path = f"{EVENTS}/maths2026/instances"
    _, page = await ann.call("GET", path, params={"originalStart": start})
    assert [one["id"] for one in page["items"]] == [found]


async def test_a_series_is_listed_in_a_range_in_which_it_recurs(ann: Caller) -> None:
    """Also far from its start: in a list of series, and in one of occurrences."""
    start = {"dateTime": "1990-01-01T10:00:00", "timeZone": ZONE}
    await ann.insert(id="stand0up", start=start, end=start, recurrence=["RRULE:FREQ=DAILY"])
    await ann.insert(id="maths2026", **TIMED, recurrence=[WEEKLY])
    june = {"timeMin": "2026-06-11T00:00:00Z", "timeMax": "2026-06-12T00:00:00Z"}
    august = {"timeMin": "2026-08-11T00:00:00Z", "timeMax": "2026-08-12T00:00:00Z"}
    assert [one["id"] for one in await ann.list_events(**june)] == ["stand0up", "maths2026"]
    assert [one["id"] for one in await ann.list_events(**august)] == ["stand0up"]
    assert await list_starts(ann, **june) == ["2026-06-11T10:00:00+02:00"] * 2
    assert await list_starts(ann, **august) == ["2026-08-11T10:00:00+02:00"]


@pytest.mark.parametrize("order", [{}, {"orderBy": "startTime"}, {"orderBy": "updated"}])
async def test_pages_hold_every_occurrence_once(ann: Caller, order: dict[str, str]) -> None:
    """Many at one moment, before 1970, of series and of single events."""
    old = {"dateTime": "1969-12-30T10:00:00.5", "timeZone": ZONE}
    await ann.insert(id="old00", start=old, end=old, recurrence=[WEEKLY])
    for number in range(3):
        await ann.insert(id=f"abc0{number}", **TIMED, recurrence=[WEEKLY])
        await ann.insert(id=f"def0{number}", **TIMED)
    await ann.call("DELETE", f"{EVENTS}/abc01_20260611T080000Z")
    query = {"singleEvents": "true", **order}
    whole = [one["id"] for one in await ann.list_events(**query)]
    assert len(whole) == len(set(whole)) == 4 + 3 * 4 + 3 - 1
    for size in range(1, 8):
        assert [one["id"] for one in await ann.list_events(maxResults=str(size), **query)] == whole


@pytest.mark.parametrize("order", [{}, {"orderBy": "startTime"}])
@pytest.mark.parametrize("path", ["", "/maths2026/instances"])
async def test_a_page_can_be_asked_for_again(ann: Caller, order: dict[str, str], path: str) -> None:
    """Also after another list, and after a change."""
    await ann.insert(id="maths2026", **TIMED, recurrence=[WEEKLY])

    async def get_page(token: str) -> tuple[list[str], str]:
        lists = {"singleEvents": "true", **order} if not path else {}
        params = {"maxResults": "2", "pageToken": token, **lists}
        _, page = await ann.call("GET", f"{EVENTS}{path}", params=params)
        return [one["id"] for one in page["items"]], page.get("nextPageToken", "")

    first, token = await get_page("")
    assert await get_page("") == (first, token)
    second, end = await get_page(token)
    assert (len(set(first + second)), end) == (4, "")
    assert (await get_page(token))[0] == second
    await ann.insert(id="vvv01", **TIMED)
    assert set((await get_page(token))[0]) & set(second)


async def test_occurrences_around_clock_changes_are_the_moments_of_rfc_5545(ann: Caller) -> None:
    """A skipped time is read with the offset before it; of a repeated one, the first counts.

    If the series itself starts at the second, that is its first occurrence.
    """
    rule = "RRULE:FREQ=DAILY;COUNT=3"
    spring = {"dateTime": "2026-03-28T02:30:00", "timeZone": ZONE}
    autumn = {"dateTime": "2026-10-24T02:30:00", "timeZone": ZONE}
    second = {"dateTime": "2026-10-25T02:30:00+01:00", "timeZone": ZONE}
    for start, expected in (
        (spring, ["28T02:30:00+01:00", "29T03:30:00+02:00", "30T02:30:00+02:00"]),
        (autumn, ["24T02:30:00+02:00", "25T02:30:00+02:00", "26T02:30:00+01:00"]),
        (second, ["25T02:30:00+01:00", "26T02:30:00+01:00", "27T02:30:00+01:00"]),
    ):
        await ann.insert(start=start, end=start, recurrence=[rule])
        assert [one[8:] for one in await list_starts(ann)] == expected
        await ann.call("POST", "/sandbox/reset")


async def test_days_begin_at_midnight_in_the_calendars_zone(ann: Caller) -> None:
    await ann.call("PATCH", "/calendar/v3/calendars/primary", json={"timeZone": "Asia/Tokyo"})
    await ann.insert(**ALL_DAY, recurrence=["RRULE:FREQ=DAILY;COUNT=2"])
    assert await list_starts(ann, timeMin="2026-06-04T15:00:00Z") == ["2026-06-05"]
    assert await list_starts(ann, timeMax="2026-06-03T15:00:00Z") == []


@pytest.mark.parametrize(
    "rule",
    [
        "RRULE:FREQ=DAILY;COUNT=1000000000",
        "RRULE:FREQ=DAILY;UNTIL=99981231T000000Z",
        "RRULE:FREQ=DAILY;INTERVAL=2147483647",
        "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "RRULE:FREQ=MONTHLY;BYDAY=MO;BYSETPOS=366",
        "RRULE:FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6;COUNT=5",
    ],
)
async def test_a_page_costs_what_is_on_it_whatever_the_rule(ann: Caller, rule: str) -> None:
    """Early and late, by place and by start; and so does one occurrence."""
    await ann.insert(id="maths2026", **TIMED, recurrence=[rule])
    late = {"timeMin": "2099-01-01T00:00:00Z", "timeMax": "2100-01-01T00:00:00Z"}
    for query in ({}, {"orderBy": "startTime"}, late):
        params = {"singleEvents": "true", **query}
        status, page = await ann.call("GET", EVENTS, params=params)
        assert (status, len(page["items"]) <= 250) == (200, True)
    status, _ = await ann.call("GET", f"{EVENTS}/maths2026_21000101T090000Z")
    assert status in {200, 404}


async def test_a_time_of_years_that_cannot_be_written_recurs_nowhere(ann: Caller) -> None:
    for day in ("0001-01-01", "9999-12-31"):
        place = {"dateTime": f"{day}T23:30:00", "timeZone": "America/New_York"}
        rule = "RRULE:FREQ=YEARLY"
        assert (await ann.call("POST", EVENTS, json=event(start=place, end=place)))[0] == 200
        assert (await ann.insert(start=place, end=place, recurrence=[rule]))[0] == 200
    assert len(await ann.list_events(singleEvents="true")) == 2
