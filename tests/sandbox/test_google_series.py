"""The occurrences of series."""

from typing import Any

import pytest

from sandbox.test_google import EVENTS, Caller, ann, reason, sandbox

__all__ = ["ann"]
BERLIN = {"timeZone": "Europe/Berlin"}


async def insert_series(caller: Caller, rule: str = "RRULE:FREQ=WEEKLY;COUNT=4") -> None:
    """Mondays at eight, over the end of summer time."""
    status, _ = await caller.insert(
        id="maths2026",
        start={"dateTime": "2026-10-19T08:00:00", **BERLIN},
        end={"dateTime": "2026-10-19T08:45:00", **BERLIN},
        recurrence=[rule],
    )
    assert status == 200


async def starts(caller: Caller, **query: str) -> list[str]:
    return [
        one["start"]["dateTime"][:16]
        for one in await caller.list_events(singleEvents="true", **query)
    ]


async def instances(caller: Caller, **query: str) -> list[Any]:
    status, page = await caller.call("GET", f"{EVENTS}/maths2026/instances", params=query)
    assert status == 200, page
    return list(page["items"])


async def test_occurrences_keep_their_time_of_the_day(ann: Caller) -> None:
    """Their ids hold the original start."""
    await insert_series(ann)
    found = await instances(ann)
    assert [one["start"]["dateTime"] for one in found] == [
        "2026-10-19T08:00:00+02:00",
        "2026-10-26T08:00:00+01:00",
        "2026-11-02T08:00:00+01:00",
        "2026-11-09T08:00:00+01:00",
    ]
    assert found[1]["id"] == "maths2026_20261026T070000Z"
    assert {one["recurringEventId"] for one in found} == {"maths2026"}
    assert await ann.call("GET", f"{EVENTS}/{found[1]['id']}") == (200, found[1])


async def test_a_moved_occurrence_is_shown_where_it_went_and_one_that_was_called_off_is_not(
    ann: Caller,
) -> None:
    """With `showDeleted` it is shown, too."""
    await insert_series(ann)
    ids = [one["id"] for one in await instances(ann)]
    later = {
        "start": {"dateTime": "2026-10-27T10:00:00", **BERLIN},
        "end": {"dateTime": "2026-10-27T11:00:00", **BERLIN},
    }
    await ann.call("PATCH", f"{EVENTS}/{ids[1]}", json=later)
    await ann.call("DELETE", f"{EVENTS}/{ids[2]}")
    shown = ["2026-10-19T08:00", "2026-10-27T10:00", "2026-11-09T08:00"]
    assert [one["start"]["dateTime"][:16] for one in await instances(ann)] == shown
    assert await starts(ann, orderBy="startTime") == shown
    assert len(await instances(ann, showDeleted="true")) == 4


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (
            {
                "start": {"dateTime": "2026-10-19T09:00:00", **BERLIN},
                "end": {"dateTime": "2026-10-19T09:45:00", **BERLIN},
            },
            ["10-19T09:00", "10-26T09:00", "10-27T10:00", "11-02T09:00", "11-09T09:00"],
        ),
        ({"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=1"]}, ["10-19T08:00", "10-27T10:00"]),
        (
            {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE:20261026T070000Z"]},
            ["10-19T08:00", "10-27T10:00", "11-02T08:00"],
        ),
    ],
)
async def test_a_moved_occurrence_stays_when_its_series_loses_its_date(
    ann: Caller, change: dict[str, Any], shown: list[str]
) -> None:
    """Google preserves changes of single dates."""
    await insert_series(ann)
    later = {
        "start": {"dateTime": "2026-10-27T10:00:00", **BERLIN},
        "end": {"dateTime": "2026-10-27T11:00:00", **BERLIN},
    }
    await ann.call("PATCH", f"{EVENTS}/maths2026_20261026T070000Z", json=later)
    status, _ = await ann.call("PATCH", f"{EVENTS}/maths2026", json=change)
    assert status == 200
    assert await starts(ann, orderBy="startTime") == [f"2026-{start}" for start in shown]


async def test_single_events_are_those_of_a_time(ann: Caller) -> None:
    """They come in pages. A series without an end is no endless list."""
    await insert_series(ann, "RRULE:FREQ=WEEKLY")
    await ann.insert(summary="Once")
    window = {"timeMin": "2026-10-26T00:00:00Z", "timeMax": "2026-11-03T00:00:00Z"}
    assert await starts(ann, maxResults="1", **window) == ["2026-10-26T08:00", "2026-11-02T08:00"]
    assert [one["id"] for one in await instances(ann, maxResults="1", **window)] == [
        "maths2026_20261026T070000Z"
    ]
    assert 500 < len(await starts(ann)) < 2000


async def test_an_all_day_series_has_days(ann: Caller) -> None:
    """The ids of its occurrences hold days, too."""
    day, after = {"date": "2026-05-30"}, {"date": "2026-05-31"}
    await ann.insert(id="camp2026", start=day, end=after, recurrence=["RRULE:FREQ=DAILY;COUNT=2"])
    found = await ann.list_events(singleEvents="true")
    assert [(one["id"], one["end"]["date"]) for one in found] == [
        ("camp2026_20260530", "2026-05-31"),
        ("camp2026_20260531", "2026-06-01"),
    ]


async def test_an_imported_event_keeps_its_organizer(ann: Caller) -> None:
    """The organizer of an inserted event is its calendar."""
    fair = {"summary": "Fair", "start": {"date": "2026-05-30"}, "end": {"date": "2026-05-31"}}
    organizer = {"email": "fair@elsewhere.example", "displayName": "The fair"}
    _, made = await ann.call(
        "POST", f"{EVENTS}/import", json={**fair, "iCalUID": "fair@x", "organizer": organizer}
    )
    assert made["organizer"] == organizer
    _, made = await ann.insert(organizer=organizer)
    assert made["organizer"] == {"email": "ann@example.com", "self": True}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("error-403-rate", "rateLimitExceeded"),
        ("error-403-user-rate", "userRateLimitExceeded"),
        ("error-403-quota", "quotaExceeded"),
    ],
)
async def test_refusals_are_those_of_googles_guide_to_errors(fault: str, expected: str) -> None:
    """Each has a fault of its own. The call is not done."""
    async with sandbox(faults=f"{fault}=1") as ann:
        status, body = await ann.insert()
        assert (status, reason(body)) == (403, expected)
        assert body["error"]["errors"][0]["domain"] == "usageLimits"
        await ann.call("POST", "/sandbox/faults", json={"spec": ""})
        assert await ann.list_events() == []
