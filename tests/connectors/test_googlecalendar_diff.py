"""A row that its event agrees with is not written; any difference is."""

from typing import Any

import pytest

from openbulk.connectors.googlecalendar.diff import changes

EVENT: dict[str, Any] = {
    "id": "maths2026",
    "status": "confirmed",
    "summary": "Maths",
    "description": "Bring:\r\n- ruler \r\n",
    "start": {"dateTime": "2026-03-01T09:00:00+01:00", "timeZone": "Europe/Berlin"},
    "end": {"dateTime": "2026-03-01T10:00:00+01:00", "timeZone": "Europe/Berlin"},
    "attendees": [
        {"email": "Ann@example.com", "responseStatus": "accepted", "self": True},
        {"email": "bob@example.com", "responseStatus": "needsAction", "optional": True},
    ],
    "recurrence": ["EXDATE:20260308T080000Z", "RRULE:FREQ=WEEKLY;BYDAY=MO,TU;COUNT=5"],
    "reminders": {"useDefault": False, "overrides": [{"method": "popup", "minutes": 10}]},
    "extendedProperties": {"private": {"ref": "17", "other": "x"}},
    "attachments": [{"fileUrl": "https://x/1", "title": "One"}],
}

SAME: list[dict[str, Any]] = [
    {},
    EVENT,
    {
        "summary": "Maths",
        "visibility": "default",
        "transparency": "opaque",
        "guestsCanModify": False,
        "location": "",
    },
    {"description": "Bring:\n- ruler"},
    {"start": {"dateTime": "2026-03-01T08:00:00+00:00"}},
    {"attendees": [{"email": "bob@example.com"}, {"email": "ann@example.com", "optional": False}]},
    {
        "recurrence": [
            "RRULE:WKST=MO;COUNT=5;FREQ=WEEKLY;BYDAY=MO, TU",
            "EXDATE;VALUE=DATE-TIME:20260308T080000Z",
        ]
    },
    {"recurrence": ["RRULE:COUNT=5;FREQ=weekly;INTERVAL=1;BYDAY=TU,MO", "EXDATE:20260308T080000Z"]},
    {"reminders": {"useDefault": False, "overrides": [{"minutes": 10, "method": "popup"}]}},
    {"extendedProperties": {"private": {"ref": "17"}}},
    {"attachments": [{"fileUrl": "https://x/1"}]},
    {"sequence": 7, "iCalUID": "x", "organizer": {"email": "y"}},
]
OTHER: list[dict[str, Any]] = [
    {"summary": "Art"},
    {"location": "Room 4"},
    {"visibility": "private"},
    {"guestsCanInviteOthers": False},
    {"start": {"dateTime": "2026-03-01T09:00:01+01:00"}},
    {"start": {"dateTime": "2026-03-01T09:00:00+01:00", "timeZone": "Europe/Paris"}},
    {"start": {"date": "2026-03-01"}},
    {"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=5"]},
    {"reminders": {"useDefault": True}},
    {"reminders": {"useDefault": False, "overrides": []}},
    {"extendedProperties": {"private": {"ref": "18"}}},
    {"attachments": []},
]


@pytest.mark.parametrize("wanted", SAME)
def test_what_the_event_has_already_is_not_written(wanted: dict[str, Any]) -> None:
    """However the row spells it."""
    assert not changes(wanted, EVENT)


@pytest.mark.parametrize("wanted", OTHER)
def test_any_difference_is_written_and_nothing_else(wanted: dict[str, Any]) -> None:
    """A patch has the field that differs."""
    assert changes({**wanted, "summary": wanted.get("summary", "Maths")}, EVENT) == wanted


def test_who_is_added_costs_the_others_nothing() -> None:
    """A list of attendees is written as a whole, with what the event knows of each."""
    wanted = {
        "attendees": [{"email": "ann@example.com"}, {"email": "eve@example.com", "optional": True}]
    }
    assert changes(wanted, EVENT)["attendees"] == [
        {"email": "ann@example.com", "responseStatus": "accepted"},
        {"email": "eve@example.com", "optional": True},
    ]
    wanted = {
        "attendees": [{"email": "bob@example.com", "optional": False}, {"email": "ann@example.com"}]
    }
    assert changes(wanted, EVENT)["attendees"][0] == {
        "email": "bob@example.com",
        "responseStatus": "needsAction",
        "optional": False,
    }


def test_dates_that_are_left_out_may_stand_in_one_line_or_in_many() -> None:
    """Google writes them in one; many programs write one each."""
    one = {"recurrence": ["RRULE:FREQ=DAILY", "EXDATE;VALUE=DATE:20260308,20260309"]}
    many = {"recurrence": ["EXDATE:20260309", "RRULE:FREQ=DAILY", "EXDATE:20260308"]}
    assert not changes(many, one)
    assert not changes(one, many)
    assert changes({"recurrence": [*many["recurrence"], "EXDATE:20260310"]}, one)


def test_silence_means_the_calendars_reminders_and_confidential_means_private() -> None:
    """So neither is a change."""
    assert not changes({"reminders": {"useDefault": True}}, {})
    assert not changes({"visibility": "private"}, {"visibility": "confidential"})
    assert changes({"reminders": {"useDefault": False}}, {})
    assert changes({"visibility": "public"}, {"visibility": "private"})
