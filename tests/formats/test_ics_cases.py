"""Calendar files with which people had trouble: `tests/cases/calendar`, with the right value each.

The files are rebuilt from public reports of other programs.
"""

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row
from openbulk.formats.ics import Ics
from support.occurrences import Moment, occurrences, occurrences_by_library, readable_cases

CASES = Path(__file__).parents[1] / "cases" / "calendar"
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


def rows(name: str, **options: Any) -> list[Row]:
    """All rows of a case."""
    return list(Ics().read(io.BytesIO((CASES / f"{name}.ics").read_bytes()), options))


def records(name: str, **options: Any) -> list[dict[str, Any]]:
    """The events of a case, none of which has a problem."""
    found = rows(name, **options)
    assert [row.problem for row in found] == [None] * len(found)
    return [dict(row.values or {}) for row in found]


def at(zone: ZoneInfo, *moments: str) -> list[datetime]:
    """Moments of 2026 in UTC, from texts such as `06-04 10:00`."""
    return [
        datetime.fromisoformat(f"2026-{one}").replace(tzinfo=zone).astimezone(UTC)
        for one in moments
    ]


def starts(name: str) -> list[Moment]:
    """When the events of a case start, by the records that are read."""
    return [start for start, _ in occurrences(records(name))]


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("this-and-future", at(BERLIN, "06-04 10:00", "06-11 12:00", "06-18 12:00", "06-25 12:00")),
        ("exdate-colon-zone", at(BERLIN, "06-04 10:00", "06-18 10:00", "06-25 10:00")),
        ("exdate-date", at(BERLIN, "06-04 10:00", "06-18 10:00", "06-25 10:00")),
        ("exdate-comma", at(BERLIN, "06-04 10:00", "06-25 10:00")),
        ("two-versions", [date(2026, 6, 1), date(2026, 7, 13), date(2026, 8, 3)]),
        (
            "until-utc-allday",
            [date(2026, 6, day) for day in (2, 9, 16, 23, 30)],
        ),
        (
            "until-day-auckland",
            at(ZoneInfo("Pacific/Auckland"), "06-01 08:00", "06-02 08:00", "06-03 08:00"),
        ),
        ("tzid-and-z", at(BERLIN, "06-04 12:00")),
        ("end-is-start-day", [date(2026, 6, 4)]),
        ("blank-before-value", at(ZoneInfo("UTC"), "06-04 10:00")),
        ("xwr-value-text", at(NEW_YORK, "06-04 10:00")),
        ("merged-zones", at(ZoneInfo("Asia/Tokyo"), "06-04 10:00") + at(NEW_YORK, "06-04 10:00")),
        ("merged-cancel", at(BERLIN, "06-04 10:00")),
        ("created-year-0", at(BERLIN, "06-04 10:00")),
        ("custom-zone", at(ZoneInfo("America/Los_Angeles"), "06-04 10:00")),
        ("two-zones", at(BERLIN, "06-04 10:00")),
    ],
)
def test_events_are_when_the_file_says(name: str, right: Sequence[Moment]) -> None:
    """By RFC 5545, and no row is refused."""
    assert starts(name) == right


def test_an_occurrence_before_its_series_comes_behind_it() -> None:
    """A service can only change what it has. The line is the file's."""
    found = rows("override-first")
    assert [(row.number, row.line) for row in found] == [(1, 12), (2, 4)]
    moved = occurrences(records("override-first"))
    first, second, third, fourth = at(
        BERLIN, "06-04 10:00", "06-11 12:00", "06-18 10:00", "06-25 10:00"
    )
    assert moved == [(first, "s"), (second, "moved"), (third, "s"), (fourth, "s")]


def test_many_series_keep_their_changed_dates() -> None:
    """Each of 15, with its second date at noon."""
    found = occurrences(records("many-series"))
    assert len(found) == 60
    assert [start for start, summary in found if summary == "moved"] == at(
        BERLIN, "06-11 12:00"
    ) * 15


def test_an_occurrence_alone_is_one_of_a_series() -> None:
    """The service may have the series."""
    (alone,) = records("override-alone")
    assert alone["originalStartTime"] == {
        "dateTime": "2026-06-11T10:00:00",
        "timeZone": "Europe/Berlin",
    }
    assert alone["start"]["dateTime"] == "2026-06-11T12:00:00"


def test_a_uid_that_is_used_twice_costs_the_second_event() -> None:
    """One event must never silently take the place of another."""
    first, second = rows("same-uid")
    assert first.values is not None
    assert first.values["summary"] == "s"
    assert second.problem is not None
    assert second.problem.message == (
        "the UID of the event on line 11 was used before in the file, for another event, on line "
        "4; give each event a UID of its own"
    )


def test_an_all_day_end_is_the_day_behind() -> None:
    """Also where the file has the day itself."""
    (event,) = records("end-is-start-day")
    assert event["end"] == {"date": "2026-06-05"}


def test_the_end_may_be_in_another_zone() -> None:
    """A flight."""
    (flight,) = records("two-zones")
    assert flight["end"] == {"dateTime": "2026-06-04T08:00:00", "timeZone": "America/New_York"}


def test_a_zone_that_is_upside_down_has_a_message_of_its_own() -> None:
    """The VTIMEZONE is there, and it fits no zone."""
    (row,) = rows("zone-upside-down")
    assert row.problem is not None
    assert row.problem.message == (
        "DTSTART on line 22 is in the time zone 'League Time', whose VTIMEZONE on line 4 changes "
        "clocks as no IANA zone does (UTC-04:00 in January, UTC-05:00 in July); correct it, or use "
        "an IANA name like Europe/Berlin"
    )


def test_an_alarm_that_is_too_early_is_left_out() -> None:
    """The calendar's own reminders hold, and a remark says what became of the alarm."""
    (row,) = rows("alarm-six-weeks")
    assert row.values is not None
    assert "reminders" not in row.values
    (remark,) = row.remarks
    assert remark.startswith(
        "the alarm on line 10 is left out: it is 60480 minutes before the start"
    )


def test_an_alarm_without_a_duration_is_at_the_start() -> None:
    """outlook.com writes TRIGGER:P."""
    (event,) = records("alarm-p")
    assert event["reminders"] == {
        "useDefault": False,
        "overrides": [{"method": "popup", "minutes": 0}],
    }


def test_a_text_with_raw_line_breaks_is_whole() -> None:
    """And the property behind it is none of it."""
    (event,) = records("raw-line-breaks")
    assert event["description"] == "Bring your own chair.\nDoors open at nine"
    assert event["location"] == "Hall"


def test_people_have_the_addresses_that_the_file_means() -> None:
    """Percent-encoded, or in the parameter EMAIL."""
    (event,) = records("people")
    assert [guest["email"] for guest in event["attendees"]] == [
        "jane+tag@example.com",
        "cy@example.com",
    ]
    assert event["organizer"] == {"email": "ann@example.com", "displayName": "Ann"}


def test_what_is_not_recognized_is_private() -> None:
    """RFC 5545, section 3.8.1.3."""
    assert [event["visibility"] for event in records("class-unknown")] == ["private", "private"]


def test_text_in_another_encoding_is_read_or_refused() -> None:
    """Never guessed: the message says what to do."""
    with pytest.raises(BadInput) as refused:
        rows("gb18030")
    assert refused.value.message.startswith(
        "line 9 is neither in UTF-8 nor clearly in Windows-1252 (gb18030 reads 'SUMMARY:高等数学', "
    )
    assert "set metaData.encoding to the one that reads it right" in refused.value.message
    (event,) = records("gb18030", encoding="GB18030")
    assert event["summary"] == "高等数学"


def test_text_in_windows_1252_and_folds_in_a_character_are_read() -> None:
    """As before."""
    assert records("ansi")[0]["summary"] == "Frühstück"
    assert records("fold-in-emoji")[0]["description"] == "strong team 💪🏼 ok"


@pytest.mark.parametrize("name", readable_cases(CASES))
@pytest.mark.filterwarnings("ignore")  # the other library warns of what it guesses
def test_another_library_finds_the_same_occurrences(name: str) -> None:
    """`icalendar` with `recurring-ical-events`, as far as it can read the file."""
    theirs = occurrences_by_library((CASES / f"{name}.ics").read_bytes())
    assert occurrences(records(name)) == theirs
