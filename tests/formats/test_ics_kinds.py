"""Calendar files of all kinds: what programs write beside the standard, and what it means."""

import io
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pytest

from openbulk.domain.records import Row
from openbulk.formats.encoding_detection import EncodingUnknown
from openbulk.formats.encodings import find_codec
from openbulk.formats.ics import Ics
from support.occurrences import occurrences

START = "DTSTART;TZID=Europe/Berlin:20260604T100000\nDTEND;TZID=Europe/Berlin:20260604T110000\n"
ALL_DAY = "DTSTART;VALUE=DATE:20260602\nDTEND;VALUE=DATE:20260603\n"


def read(text: str | bytes, **options: Any) -> list[Row]:
    """The rows of a file."""
    content = text.encode() if isinstance(text, str) else text
    return list(Ics().read(io.BytesIO(content), options))


def calendar(*events: str, head: str = "") -> str:
    """A VCALENDAR with these lines in its events."""
    blocks = "".join(f"BEGIN:VEVENT\n{event.strip(chr(10))}\nEND:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\n{head}{blocks}END:VCALENDAR\n"


def event(lines: str, head: str = "", **options: Any) -> Mapping[str, Any]:
    """The fields of an event."""
    (row,) = read(calendar(lines, head=head), **options)
    assert row.values is not None, row.problem
    return row.values


def problem(lines: str, head: str = "") -> str:
    """The message of an event that is refused."""
    (row,) = read(calendar(lines, head=head))
    assert row.problem is not None, row.values
    return row.problem.message


def series(*lines: str, start: str = START, head: str = "") -> Sequence[str]:
    """`recurrence` of an event."""
    recurrence = event(start + "\n".join(lines), head)["recurrence"]
    assert isinstance(recurrence, list)
    return recurrence


# --- zones ---

AMSTERDAM = """BEGIN:VTIMEZONE
TZID:{name}
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""
CITIES = "(UTC+01:00) Amsterdam, Berlin, Bern, Rome"
ESCAPED_CITIES = CITIES.replace(",", r"\,")


@pytest.mark.parametrize("described", [CITIES, ESCAPED_CITIES, f'"{CITIES}"'])
@pytest.mark.parametrize("named", [f'"{CITIES}"', CITIES, ESCAPED_CITIES, f'"{ESCAPED_CITIES}"'])
def test_a_zone_has_one_name(described: str, named: str) -> None:
    """Escaped, quoted or bare, in a VTIMEZONE and in every property, also with a colon in it."""
    lines = (
        f"DTSTART;TZID={named}:20260604T100000\nRRULE:FREQ=DAILY;COUNT=3\n"
        f"EXDATE;TZID={named}:20260605T100000\nRDATE;VALUE=DATE-TIME;TZID={named}:20260704T100000"
    )
    values = event(lines, AMSTERDAM.format(name=described))
    zone = "Europe/Amsterdam"
    assert values["start"] == {"dateTime": "2026-06-04T10:00:00", "timeZone": zone}
    assert values["recurrence"] == [
        "RRULE:FREQ=DAILY;COUNT=3",
        f"RDATE;TZID={zone}:20260704T100000",
        f"EXDATE;TZID={zone}:20260605T100000",
    ]


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Berlin ", "Europe/Berlin"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("w. europe standard time", "Europe/Berlin"),
        ("(GMT-05:00) Eastern Time (US & Canada)", "America/New_York"),
        ("(UTC+09:00) Osaka, Sapporo, Tokyo", "Asia/Tokyo"),
        ("(UTC) Dublin, Edinburgh, Lisbon, London", "Europe/Dublin"),
        ("tzone://Microsoft/Utc", "UTC"),
        ("/softwarestudio.org/Olson_20011030_5/America/Chicago", "America/Chicago"),
        ("GMT+0200", "Etc/GMT-2"),
        ("UTC-05:00", "Etc/GMT+5"),
    ],
)
def test_a_zone_is_known_by_other_names(name: str, zone: str) -> None:
    """Of Microsoft, of paths, and as an offset; in times and in X-WR-TIMEZONE."""
    assert event(f'DTSTART;TZID="{name}":20260604T100000')["start"]["timeZone"] == zone
    assert event("DTSTART:20260604T100000", f"X-WR-TIMEZONE:{name}\n")["start"]["timeZone"] == zone


@pytest.mark.parametrize(
    "name", ["Europe", "America/Argentina", "A" * 300, "../../etc/passwd", "localtime", "Factory"]
)
def test_a_name_that_is_no_zone_costs_its_event(name: str) -> None:
    """A folder of the zone database is none; the file is read on."""
    broken, good = read(calendar(f"DTSTART;TZID={name}:20260604T100000", START))
    assert broken.problem is not None
    assert broken.problem.message.startswith("DTSTART on line 4 is in the time zone '")
    assert "which is not known; use an IANA name like Europe/Berlin" in broken.problem.message
    assert good.values is not None


@pytest.mark.parametrize(
    "line",
    [
        "X-WR-TIMEZONE;VALUE=TEXT:America/New_York",
        "x-wr-timezone:America/New_York",
        "X-WR-TIMEZONE:America/\n New_York",
        "X-WR-TIMEZONE: America/New_York",
        'X-WR-TIMEZONE:"America/New_York"',
        'X-WR-TIMEZONE;X-A="b:c;d";VALUE=TEXT:America/New_York',
    ],
)
def test_the_calendars_zone_is_read_however_it_is_written(line: str) -> None:
    """With parameters, folded, quoted."""
    assert event("DTSTART:20260604T100000", f"{line}\n")["start"]["timeZone"] == "America/New_York"


def test_a_calendars_zone_that_is_unknown_is_not_left_out() -> None:
    """Times without a zone would be at another moment."""
    message = problem("DTSTART:20260604T100000", "X-WR-TIMEZONE:Middle/Earth\n")
    assert message.startswith(
        "DTSTART on line 5 has no time zone, and X-WR-TIMEZONE on line 3 is in"
    )
    assert event("DTSTART:20260604T100000Z", "X-WR-TIMEZONE:Middle/Earth\n")


def test_a_vtimezone_that_cannot_be_evaluated_has_a_message() -> None:
    """Its rules could keep the server busy."""
    zone = AMSTERDAM.format(name="Mine").replace("FREQ=YEARLY", "FREQ=SECONDLY")
    message = problem("DTSTART;TZID=Mine:20260604T100000", zone)
    assert "whose VTIMEZONE on line 3 has rules that cannot be evaluated" in message


# --- several calendars in a file ---


def test_each_calendar_has_its_own_zones_and_method() -> None:
    """Also where both describe zones of one name, and where one has no line end."""
    tokyo = "BEGIN:VTIMEZONE\nTZID:Mine\nX-LIC-LOCATION:Asia/Tokyo\nEND:VTIMEZONE\nMETHOD:CANCEL\n"
    first = calendar("UID:a\nDTSTART;TZID=Mine:20260604T100000", head=tokyo).rstrip()
    second = calendar(
        "UID:b\nDTSTART;TZID=Mine:20260604T100000", head=AMSTERDAM.format(name="Mine")
    )
    third = calendar("UID:c\nDTSTART:20260604T100000")
    for between in ("", "\n", "\ufeff", "\n\ufeff"):
        found = [row.values or {} for row in read(first + between + second + third)]
        assert [one["start"].get("timeZone") for one in found] == [
            "Asia/Tokyo",
            "Europe/Paris",
            None,
        ]
        assert [one.get("status") for one in found] == ["cancelled", None, None]


def test_a_zone_may_be_described_behind_the_events_of_its_calendar() -> None:
    """And the next calendar does not have it."""
    text = calendar("DTSTART;TZID=Mine:20260604T100000").replace(
        "END:VCALENDAR", AMSTERDAM.format(name="Mine") + "END:VCALENDAR"
    )
    first, second = read(text + calendar("DTSTART;TZID=Mine:20260604T100000"))
    assert first.values is not None
    assert second.problem is not None


@pytest.mark.parametrize("method", ["REPLY", "COUNTER", "REFRESH", "DECLINECOUNTER"])
def test_a_message_about_an_event_is_none(method: str) -> None:
    """It would take the place of the invitation."""
    assert f"METHOD:{method}" in problem(START, f"METHOD:{method}\n")
    assert event(START, "METHOD;X-A=b:request\n")


# --- times ---


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("DTSTART;TZID=Mars:20260604T100000Z", {"dateTime": "2026-06-04T10:00:00Z"}),
        ("DTSTART:\t20260604T100000Z ", {"dateTime": "2026-06-04T10:00:00Z"}),
        ("dtstart:20260604t100000z", {"dateTime": "2026-06-04T10:00:00Z"}),
        ("DTSTART:2026-06-04T10:00:00Z", {"dateTime": "2026-06-04T10:00:00Z"}),
        ("DTSTART:20260604T100000+0200", {"dateTime": "2026-06-04T08:00:00Z"}),
        ("DTSTART:20260604T1000Z", {"dateTime": "2026-06-04T10:00:00Z"}),
        ("DTSTART:20260604T240000Z", {"dateTime": "2026-06-05T00:00:00Z"}),
        ("DTSTART:20260604T235960Z", {"dateTime": "2026-06-04T23:59:59Z"}),
        ("DTSTART ; VALUE = DATE-TIME : 20260604T100000Z", {"dateTime": "2026-06-04T10:00:00Z"}),
        ("DTSTART;value=date:20260604", {"date": "2026-06-04"}),
        ("DTSTART:20260604", {"date": "2026-06-04"}),
        ("DTSTART;TZID=Europe/Berlin:20260604", {"date": "2026-06-04"}),
        ("DTSTART;VALUE=DATE:20260604T000000", {"date": "2026-06-04"}),
        ("DTSTART;VALUE=DATE:2026-06-04", {"date": "2026-06-04"}),
    ],
)
def test_a_start_is_what_it_must_mean(line: str, start: Mapping[str, str]) -> None:
    """Beside the standard's way of writing."""
    found = event(line)["start"]
    assert found == ({**start, "timeZone": "UTC"} if "dateTime" in start else start)


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        (ALL_DAY, "2026-06-03"),
        ("DTSTART;VALUE=DATE:20260602\nDTEND;VALUE=DATE:20260602", "2026-06-03"),
        ("DTSTART;VALUE=DATE:20260602\nDTEND:20260604T000000", "2026-06-04"),
        ("DTSTART;VALUE=DATE:20260602\nDURATION:PT36H", "2026-06-04"),
        ("DTSTART;VALUE=DATE:20260602\nDURATION:P1W", "2026-06-09"),
    ],
)
def test_an_all_day_end_is_a_day(lines: str, end: str) -> None:
    """The day behind the last one."""
    assert event(lines)["end"] == {"date": end}


@pytest.mark.parametrize("duration", ["PT1H", "PT0S", "1h"])
def test_a_duration_beside_an_end_is_that_end_or_nothing(duration: str) -> None:
    values = event(f"DTSTART:20260604T100000Z\nDTEND:20260604T110000Z\nDURATION:{duration}")
    assert values["end"]["dateTime"] == "2026-06-04T11:00:00Z"


def test_an_end_without_a_zone_is_in_that_of_the_start() -> None:
    """Not in the calendar's."""
    values = event(
        "DTSTART;TZID=Asia/Tokyo:20260604T100000\nDTEND:20260604T110000",
        "X-WR-TIMEZONE:Europe/Berlin\n",
    )
    assert values["end"] == {"dateTime": "2026-06-04T11:00:00", "timeZone": "Asia/Tokyo"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("DTSTART:20260631T100000Z", "DTSTART on line 4 is '20260631T100000Z', which no calendar"),
        (
            "DTSTART:soon",
            "DTSTART on line 4 is 'soon', which is neither a day nor a time; it looks",
        ),
        (
            START + "SUMMARY:a\nDTEND:20260604",
            "the event has DTEND 2 times, on lines 5 and 7; keep one",
        ),
        (
            "DTSTART:20260604T100000Z\nDTEND;VALUE=DATE:20260605",
            "DTEND on line 5 is a day, and DTSTART is a time; write both as days or both as times",
        ),
        (
            "DTSTART:20260604T100000Z\nDTEND:20260604T090000Z",
            "DTEND on line 5 is '20260604T090000Z', which is before DTSTART",
        ),
        (
            "DTSTART;VALUE=DATE:20260604\nDTEND;VALUE=DATE:20260603",
            "DTEND on line 5 is '20260603', which is before DTSTART",
        ),
        (
            "DTSTART:20260604T100000Z\nDURATION:1h",
            "DURATION on line 5 is '1h', which is not a duration",
        ),
        (
            "DTSTART:20260604T100000Z\nDTEND:20260604T110000Z\nDURATION:PT2H",
            "DTEND on line 5 is '20260604T110000Z', and DURATION on line 6 is 'PT2H', which is",
        ),
        (
            "DTSTART:20260604T100000Z\nDURATION:-PT1H",
            "DURATION on line 5 is '-PT1H', and an event ends after it starts",
        ),
        ("SUMMARY:a", "the event that begins on line 3 has no DTSTART; it looks like"),
        (
            "DTSTART 20260604T100000Z",
            "line 4 is 'DTSTART 20260604T100000Z', which is not a property",
        ),
    ],
)
def test_a_message_names_line_property_value_and_remedy(lines: str, message: str) -> None:
    """And none of a parser's words."""
    assert problem(lines).startswith(message)


# --- recurrence ---

BERLIN_EXDATE = "EXDATE;TZID=Europe/Berlin:20260611T100000"


@pytest.mark.parametrize(
    "line",
    [
        "EXDATE;TZID=Europe/Berlin:20260611T100000",
        "exdate;x-a=b;tzid=Europe/Berlin;value=date-time:20260611T100000",
        'EXDATE;TZID="W. Europe Standard Time":20260611T100000',
        "EXDATE:20260611T080000Z",
        "EXDATE;TZID=Europe/Berlin:20260611T080000Z",
        "EXDATE;TZID=America/New_York:20260611T040000",
        "EXDATE:20260611T100000",
        "EXDATE;VALUE=DATE:20260611",
        "EXDATE:20260611",
        "EXDATE;VALUE=DATE:20260611T000000",
        "EXDATE;TZID=Europe/Berlin:,20260611T100000,",
        "EXDATE;TZID=Europe/Berlin: 20260611T\n 100000",
    ],
)
def test_an_exdate_is_in_the_type_and_zone_of_the_start(line: str) -> None:
    """Whatever the file has it in."""
    assert series("RRULE:FREQ=WEEKLY;COUNT=4", line) == ["RRULE:FREQ=WEEKLY;COUNT=4", BERLIN_EXDATE]


@pytest.mark.parametrize(
    ("line", "head"),
    [
        ("EXDATE;VALUE=DATE:20260609", ""),
        ("EXDATE:20260609T000000Z", ""),
        ("EXDATE;TZID=Europe/Berlin:20260609T000000", ""),
        ("EXDATE:20260609T100000", ""),
        ("EXDATE:20260608T220000Z", "X-WR-TIMEZONE:Europe/Berlin\n"),
        ("EXDATE:20260608T220000Z", AMSTERDAM.format(name="Mine")),
        ("EXDATE:20260609T040000Z", "X-WR-TIMEZONE:America/New_York\n"),
    ],
)
def test_an_exdate_of_days_is_a_day(line: str, head: str) -> None:
    """By the zone of the calendar, where that decides."""
    rule = "RRULE:FREQ=WEEKLY;COUNT=4"
    assert series(rule, line, start=ALL_DAY, head=head) == [rule, "EXDATE;VALUE=DATE:20260609"]


def test_a_day_leaves_out_every_occurrence_on_it() -> None:
    """By the rule's times, and by further dates."""
    rule = "RRULE:FREQ=DAILY;COUNT=9;BYHOUR=8,10"
    lines = series(rule, "RDATE;TZID=Europe/Berlin:20260611T210000", "EXDATE;VALUE=DATE:20260611")
    assert lines[-1] == "EXDATE;TZID=Europe/Berlin:20260611T080000,20260611T100000,20260611T210000"


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("RDATE:20260706T080000Z", "RDATE;TZID=Europe/Berlin:20260706T100000"),
        ("RDATE;VALUE=DATE:20260706", "RDATE;TZID=Europe/Berlin:20260706T100000"),
        ("RDATE;VALUE=PERIOD:20260706T080000Z/PT1H", "RDATE;TZID=Europe/Berlin:20260706T100000"),
        (
            "RDATE;VALUE=PERIOD:20260706T080000Z/20260706T090000Z,20260707T080000Z/PT60M",
            "RDATE;TZID=Europe/Berlin:20260706T100000,20260707T100000",
        ),
    ],
)
def test_an_rdate_is_in_the_type_and_zone_of_the_start(line: str, read: str) -> None:
    """Also where it is a period as long as the event."""
    assert series(line) == [read]


@pytest.mark.parametrize(
    ("start", "until", "head", "right"),
    [
        (START, "20260625", "", "20260625T215959Z"),
        (START, "20260625T120000", "", "20260625T100000Z"),
        (START, "20260625T100000Z", "", "20260625T100000Z"),
        ("DTSTART:20260604T100000Z\n", "20260625", "", "20260625T235959Z"),
        ("DTSTART:20260604T100000\n", "20260625", "", "20260625T235959"),
        (ALL_DAY, "20260630", "", "20260630"),
        (ALL_DAY, "20260630T000000Z", "", "20260630"),
        (ALL_DAY, "20260630T235959Z", "", "20260630"),
        (ALL_DAY, "20260629T220000Z", "X-WR-TIMEZONE:Europe/Berlin\n", "20260630"),
        (ALL_DAY, "20260629T220000Z", AMSTERDAM.format(name="Mine"), "20260630"),
        (ALL_DAY, "20260630T215959Z", "X-WR-TIMEZONE:Europe/Berlin\n", "20260630"),
        (ALL_DAY, "20260630T040000Z", "X-WR-TIMEZONE:America/New_York\n", "20260630"),
        (ALL_DAY, "20260630T000000", "", "20260630"),
        (ALL_DAY, "20260627T220000Z", "", "20260627"),
    ],
)
def test_until_is_in_the_type_of_the_start(start: str, until: str, head: str, right: str) -> None:
    """Without a zone where the start has none: the calendar's is not known here."""
    lines = series(f"RRULE:FREQ=WEEKLY;UNTIL={until}", start=start, head=head)
    assert lines == [f"RRULE:FREQ=WEEKLY;UNTIL={right}"]


@pytest.mark.parametrize(
    ("rule", "right"),
    [
        ("rrule:freq=weekly;byday=mo", "RRULE:FREQ=WEEKLY;BYDAY=MO"),
        ("RRULE;X-EVOLUTION-ENDDATE=20260701:FREQ=DAILY;COUNT=3", "RRULE:FREQ=DAILY;COUNT=3"),
        ("RRULE: FREQ=WEEKLY; BYDAY=MO, WE;", "RRULE:FREQ=WEEKLY;BYDAY=MO,WE"),
        ("RRULE:FREQ=DAILY;UNTIL=;BYDAY=", "RRULE:FREQ=DAILY"),
        ("RRULE:RSCALE=GREGORIAN;FREQ=YEARLY;SKIP=OMIT", "RRULE:FREQ=YEARLY"),
        (
            "RRULE:FREQ=MONTHLY;BYDAY=+1MO,-1FR;WKST=SU",
            "RRULE:FREQ=MONTHLY;BYDAY=+1MO,-1FR;WKST=SU",
        ),
    ],
)
def test_a_rule_is_written_anew(rule: str, right: str) -> None:
    """Without what does not belong to it."""
    assert series(rule) == [right]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "RRULE:FREQ=WEEKLY;BYDAY=XX",
            "RRULE on line 6 has 'BYDAY=XX', which no rule can have; it",
        ),
        (
            "RRULE:FREQ=WEEKLY;BYDAY=1TH",
            "RRULE on line 6 has 'BYDAY=1TH', and numbers stand before weekdays with FREQ=MONTHLY",
        ),
        (
            "RRULE:FREQ=WEEKLY;BYMONTHDAY=4",
            "RRULE on line 6 has BYMONTHDAY with FREQ=WEEKLY, which RFC 5545 (section 3.3.10)",
        ),
        (
            "RRULE:FREQ=MONTHLY;BYWEEKNO=20",
            "RRULE on line 6 has BYWEEKNO with FREQ=MONTHLY, which RFC 5545 (section 3.3.10) "
            "forbids; it goes with FREQ=YEARLY",
        ),
        ("RRULE:W2 tu #10", "RRULE on line 6 is 'W2 tu #10', a rule of vCalendar 1.0; it looks"),
        ("RRULE:MP1 1+ TU 20261231", "RRULE on line 6 is 'MP1 1+ TU 20261231', a rule of vCalenda"),
        (
            "RRULE:every week",
            "RRULE on line 6 has 'every week', which is not a part of a rule; it looks like R",
        ),
        (
            "RRULE:FREQ=WEEKLY; ByDay=Monday",
            "RRULE on line 6 has 'ByDay=Monday', which no rule can have; it",
        ),
        ("RRULE:COUNT=3", "RRULE on line 6 is 'COUNT=3', which has no FREQ of SECONDLY, "),
        (
            "RRULE:FREQ=DAILY;COUNT=3;UNTIL=20260701",
            "RRULE on line 6 has UNTIL and COUNT; keep one",
        ),
        ("RRULE:FREQ=DAILY;INTERVAL=0", "RRULE on line 6 has 'INTERVAL=0', which no rule can have"),
        ("RRULE:FREQ=DAILY;COUNT=3;COUNT=4", "RRULE on line 6 has COUNT twice; keep one"),
        (
            "RRULE:FREQ=DAILY;FOO=3",
            "RRULE on line 6 has the part FOO, which is not known; it looks",
        ),
        ("RRULE:FREQ=DAILY;UNTIL=soon", "UNTIL on line 6 is 'soon', which is neither a day nor a"),
        ("EXDATE:20260611T100000Z,x", "EXDATE on line 6 is 'x', which is neither a day nor a time"),
        (
            "EXDATE;TZID=Mars:20260611T100000",
            "EXDATE on line 6 is in the time zone 'Mars', which is",
        ),
        ("RDATE:20260631", "RDATE on line 6 is '20260631', which no calendar and no clock has"),
        ("RDATE;VALUE=PERIOD:20260706T080000Z/PT2H", "RDATE on line 6 has a period that is not as"),
        ("RDATE;VALUE=PERIOD:20260706T080000Z/x", "RDATE on line 6 is 'x', which is neither a day"),
        (
            "RRULE:FREQ=HOURLY;COUNT=30\nEXDATE;VALUE=DATE:20260604",
            "EXDATE on line 7 has the day 20260604, and the event recurs several times a day",
        ),
    ],
)
def test_a_recurrence_that_cannot_be_read_is_refused(line: str, message: str) -> None:
    """With the line and an example; it is never sent as text."""
    assert problem(START + line).startswith(message)


def test_a_last_day_that_is_in_doubt_is_refused() -> None:
    """Without a zone, 22:00 in UTC is one day or the next."""
    assert problem(f"{ALL_DAY}RRULE:FREQ=WEEKLY;UNTIL=20260629T220000Z") == (
        "RRULE on line 6 has UNTIL=20260629T220000Z, which is 2026-06-29 or 2026-06-30 by the time "
        "zone, and the event is all-day; write the last day, like UNTIL=20260630, or name the "
        "calendar's zone in X-WR-TIMEZONE"
    )


# --- texts ---


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (r"SUMMARY:a\, b\; c\\d\ne\Nf", "a, b; c\\d\ne\nf"),
        (r"SUMMARY;LANGUAGE=de;ALTREP=\"http://x:8/\":a\, b", "a, b"),
        ('SUMMARY;ALTREP="http://x:8/;a":b: c', "b: c"),
        ("SUMMARY;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:Fr=C3=BChst=C3=BCck", "Frühstück"),
        ("SUMMARY;QUOTED-PRINTABLE;CHARSET=windows-1252:Fr=FChst=FCck", "Frühstück"),
        ("SUMMARY;CHARSET=UTF-8;ENCODING=quoted-printable:a=0D=0Ab=\nc=\n\nX-A:b", "a\nbc"),
        ("SUMMARY;ENCODING=QUOTED-PRINTABLE:Fr=C3=\n=BChst=\n C3=BCck", "Frühstück"),
        ("SUMMARY;ENCODING=BASE64:RnLDvGhzdMO8Y2s=", "Frühstück"),
        ("SUMMARY;ENCODING=b;VALUE=BINARY:RnLDvGhz\n dMO8Y2s=", "Frühstück"),
        ("SUMMARY;ENCODING=8BIT:Frühstück", "Frühstück"),
        ("Summary:a", "a"),
        (r"SUMMARY:http\://x\"y\"", 'http://x"y"'),
    ],
)
def test_a_text_is_decoded(line: str, text: str) -> None:
    """Its escapes, its folds, and the encodings of vCalendar 1.0."""
    assert event(f"{line}\n{START}")["summary"] == text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "SUMMARY;ENCODING=QUOTED-PRINTABLE:Fr=FCh",
            "SUMMARY on line 4 is encoded text that is not",
        ),
        (
            "SUMMARY;ENCODING=BASE64:Frühstück",
            "SUMMARY on line 4 says that it is BASE64 and is not",
        ),
        (
            "SUMMARY;ENCODING=X-ZIP:a",
            "SUMMARY on line 4 has the encoding X-ZIP, which is not known",
        ),
        (
            "SUMMARY;CHARSET=klingon;ENCODING=QUOTED-PRINTABLE:a",
            "SUMMARY on line 4 has the CHARSET 'klingon', which is not known; write UTF-8",
        ),
    ],
)
def test_a_text_that_cannot_be_decoded_is_refused(line: str, message: str) -> None:
    """Bytes are never taken for text."""
    assert problem(f"{line}\n{START}").startswith(message)


@pytest.mark.parametrize(
    "rest",
    [
        "Doors open at nine",
        "Bring: a chair",
        "https://example.com/a",
        "10:30 begin",
        "- first\n\n- second",
        "ZOOM: 123",
    ],
)
def test_lines_behind_a_text_belong_to_it(rest: str) -> None:
    """Programs break lines as they are; a sentence with a colon is no property."""
    values = event(f"DESCRIPTION:a\n{rest}\nLOCATION:Hall\n{START}")
    assert values["description"] == f"a\n{rest}"
    assert values["location"] == "Hall"


def test_a_stray_line_behind_a_time_costs_the_event() -> None:
    """It may be a part of it; behind what is not used, it costs nothing."""
    assert problem(f"DTSTART:20260604T100000Z\nhello\n{ALL_DAY[:0]}").startswith(
        "line 5 is 'hello', which is not a property, behind DTSTART; if it belongs to the text "
        "above"
    )
    assert event(f"X-FOO:a\nhello\nworld\n{START}")


def test_blanks_behind_all_colons_are_none_of_the_texts() -> None:
    """A file by hand: the start shows it."""
    values = event("UID: a@x\nSUMMARY: s\nDTSTART: 20260604T100000Z")
    assert (values["iCalUID"], values["summary"]) == ("a@x", "s")


# --- what is not used ---


@pytest.mark.parametrize(
    "line",
    [
        "CREATED:00001231T000000Z",
        "LAST-MODIFIED:soon",
        "DTSTAMP:",
        "GEO:here",
        "PRIORITY:high",
        "URL;VALUE=X:\\",
        'X-ALT-DESC;FMTTYPE=text/html:<a href="x\ny',
        'X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-ADDRESS="a\\nb:geo:1,2',
        "ATTACH;ENCODING=BASE64;VALUE=BINARY:!!!",
        "CATEGORIES;=:",
        "SEQUENCE:x",
        "SEQUENCE:-1",
        "STATUS:NEEDS ACTION",
        "RRULE:",
        "EXDATE:",
        "DTEND:",
        "FOO;BAR:baz",
    ],
)
def test_what_is_not_used_costs_nothing(line: str) -> None:
    """However broken it is."""
    assert event(f"SUMMARY:s\n{START if line != 'DTEND:' else START[:43]}{line}\nX-A:b")["start"]


def test_unused_bytes_of_another_encoding_cost_nothing() -> None:
    """Those of a text that is used are refused."""
    head = calendar(START).replace("END:VEVENT", "X-A:Füße\nEND:VEVENT").encode("cp1252")
    (row,) = read(head, encoding="utf-8")
    assert row.values is not None
    (row,) = read(head.replace(b"X-A", b"SUMMARY"), encoding="utf-8")
    assert row.problem is not None
    assert row.problem.message.startswith("SUMMARY on line 6 has bytes that are not in the file's")


# --- alarms ---


def alarm(*lines: str) -> str:
    """An event with an alarm of these lines."""
    return START + "\n".join(("BEGIN:VALARM", *lines, "END:VALARM"))


@pytest.mark.parametrize(
    ("lines", "remark"),
    [
        (["TRIGGER:soon"], "TRIGGER on line 7 is 'soon', which is neither a day nor a time"),
        (["ACTION:DISPLAY"], "it has no TRIGGER; it looks like TRIGGER:-PT15M"),
        (["TRIGGER:-P15M"], "TRIGGER on line 7 is '-P15M', which is not a duration"),
        (["TRIGGER:PT5M"], "it is after the start, and Google reminds before it"),
        (["TRIGGER:-P29D"], "it is 41760 minutes before the start, and Google takes 40320 at most"),
        (["TRIGGER;RELATED=END:-PT5M"], "it is counted from the end of the event"),
        (["hello", "TRIGGER:-PT5M"], "line 7 is 'hello', which is not a property"),
        (["TRIGGER:-PT5M", "TRIGGER:-PT6M"], "the event has TRIGGER 2 times, on lines 7 and 8"),
    ],
)
def test_a_broken_alarm_costs_the_alarm(lines: list[str], remark: str) -> None:
    """With a remark that says why."""
    (row,) = read(calendar(alarm(*lines)))
    assert row.values is not None
    assert "reminders" not in row.values
    assert len(row.remarks) == 1
    assert row.remarks[0].startswith(f"the alarm on line 6 is left out: {remark}")


def test_an_alarm_at_a_moment_is_counted_from_the_start() -> None:
    """Of a single event; of a series it cannot be."""
    lines = alarm("ACTION:EMAIL", "TRIGGER;VALUE=DATE-TIME:20260604T073000Z")
    assert event(lines)["reminders"]["overrides"] == [{"method": "email", "minutes": 30}]
    assert "reminders" not in event(f"RRULE:FREQ=DAILY;COUNT=2\n{lines}")


def test_four_weeks_are_the_most_and_five_alarms() -> None:
    """Google's bounds. The others are left out with a remark."""
    alarms = "".join(
        f"BEGIN:VALARM\nTRIGGER:-PT{minutes}M\nEND:VALARM\n" for minutes in (40320, 0, 1, 2, 3, 4)
    )
    (row,) = read(calendar(START + alarms))
    assert row.values is not None
    minutes = [one["minutes"] for one in row.values["reminders"]["overrides"]]
    assert minutes == [40320, 0, 1, 2, 3]
    assert row.remarks == ["the event has 6 alarms; Google takes 5, the first ones"]


def test_apples_alarm_that_does_nothing_is_none() -> None:
    """It says that there is no alarm."""
    (row,) = read(calendar(alarm("ACTION:NONE", "TRIGGER;VALUE=DATE-TIME:19760401T005545Z")))
    assert row.values is not None
    assert "reminders" not in row.values
    assert row.remarks == []


# --- people and choices ---


@pytest.mark.parametrize(
    ("line", "guest"),
    [
        ("ATTENDEE:mailto:a@example.com", {"email": "a@example.com"}),
        ("ATTENDEE:MAILTO: a@example.com", {"email": "a@example.com"}),
        ("ATTENDEE:a@example.com", {"email": "a@example.com"}),
        ("ATTENDEE:mailto:a@example.com?subject=x", {"email": "a@example.com"}),
        ("ATTENDEE:Ann <a@example.com>", {"email": "a@example.com", "displayName": "Ann"}),
        (
            "ATTENDEE;CN=Ann;EMAIL=a@example.com:urn:uuid:1",
            {"email": "a@example.com", "displayName": "Ann"},
        ),
        ("ATTENDEE;EMAIL=b@example.com:mailto:a@example.com", {"email": "a@example.com"}),
        (
            'ATTENDEE;CN="Lee, Ann";partstat=accepted:mailto:a%2Bb@example.com',
            {"email": "a+b@example.com", "displayName": "Lee, Ann", "responseStatus": "accepted"},
        ),
        (
            "ATTENDEE;CN=Lee^'s^n:mailto:a@example.com",
            {"email": "a@example.com", "displayName": 'Lee"s\n'},
        ),
    ],
)
def test_a_guest_has_the_address_that_the_file_means(line: str, guest: Mapping[str, str]) -> None:
    """RFC 6068, 6868 and 7986, and what programs write."""
    assert event(START + line)["attendees"] == [guest]
    organizer = event(START + line.replace("ATTENDEE", "ORGANIZER"))["organizer"]
    assert organizer == {key: guest[key] for key in ("email", "displayName") if key in guest}


@pytest.mark.parametrize(
    "value", ["invalid:nomail", "/o=Org/cn=Ann", "mailto:", "urn:uuid:1", "sip:a@example.com"]
)
def test_a_guest_without_an_address_is_a_remark(value: str) -> None:
    """Google invites by mail."""
    (row,) = read(calendar(f"{START}ATTENDEE;CN=Ann:{value}\nATTENDEE:mailto:b@example.com"))
    assert row.values is not None
    assert row.values["attendees"] == [{"email": "b@example.com"}]
    assert row.remarks == [f"ATTENDEE on line 6 is left out: '{value}' is not an email address"]


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("CLASS: private ", "visibility", "private"),
        ("CLASS;X-A=b:CONFIDENTIAL", "visibility", "confidential"),
        ("CLASS:X-OWN", "visibility", "private"),
        ("CLASS:Public", "visibility", "public"),
        ("CLASS:", "visibility", None),
        ("STATUS: cancelled", "status", "cancelled"),
        ("STATUS:CANCELED", "status", "cancelled"),
        ("TRANSP: transparent", "transparency", "transparent"),
    ],
)
def test_a_choice_is_read_in_any_case_and_with_blanks(line: str, field: str, value: str) -> None:
    """A CLASS that is not known is private."""
    assert event(START + line).get(field) == value


# --- versions and series ---


def test_the_higher_sequence_counts_wherever_it_stands() -> None:
    """Of series and of their occurrences."""
    old, new = (
        f"UID:a\nSEQUENCE:9\nSUMMARY:old\n{START}",
        f"UID:a\nSEQUENCE:10\nSUMMARY:new\n{START}",
    )
    for text in (calendar(old, new), calendar(new, old), calendar(old) + calendar(new)):
        (row,) = read(text)
        assert row.values is not None
        assert row.values["summary"] == "new"
    occurrence = "RECURRENCE-ID;TZID=Europe/Berlin:20260604T100000\n"
    found = [row.values or {} for row in read(calendar(new, occurrence + old, occurrence + new))]
    assert [one["summary"] for one in found] == ["new", "new"]


def test_a_later_stamp_counts_between_equal_sequences() -> None:
    """RFC 5546, section 2.1.5; of an event with the same start and summary."""
    event_at = f"UID:a\nSUMMARY:s\n{START}DTSTAMP:2026010{{}}T000000Z\nLOCATION:{{}}"
    (row,) = read(calendar(event_at.format(2, "new"), event_at.format(1, "old")))
    assert row.values is not None
    assert row.values["location"] == "new"
    first, second = read(calendar(event_at.format(1, "one"), event_at.format(1, "other")))
    assert first.values is not None
    assert second.problem is not None
    assert (
        "neither SEQUENCE, LAST-MODIFIED nor DTSTAMP says which is newer" in second.problem.message
    )


def test_an_event_that_is_there_twice_is_one() -> None:
    """As in files that were put together."""
    text = calendar(f"UID:a\nDTSTAMP:20260101T000000Z\n{START}")
    assert len(read(text + text.replace("DTSTAMP:2026", "DTSTAMP:2027"))) == 1


def test_a_cancellation_is_a_newer_version() -> None:
    """Of the invitation before it."""
    text = calendar(f"UID:a\nSUMMARY:s\n{START}")
    cancelled = calendar(f"UID:a\nSUMMARY:Canceled: s\n{START}", head="METHOD:CANCEL\n")
    for content in (text + cancelled, cancelled + text):
        (row,) = read(content)
        assert row.values is not None
        assert row.values["status"] == "cancelled"


@pytest.mark.parametrize("is_first", [True, False])
def test_a_cancellation_of_another_event_calls_nothing_off(*, is_first: bool) -> None:
    """Two events under one UID are two, also if one of them is cancelled."""
    text = f"UID:a\nSUMMARY:s\n{START}"
    cancelled = f"UID:a\nSUMMARY:other\nSTATUS:CANCELLED\n{START}".replace("20260604", "20260605")
    found = read(calendar(*([cancelled, text] if is_first else [text, cancelled])))
    refused, sent = found if is_first else reversed(found)
    assert sent.values is not None
    assert sent.values["summary"] == "s"
    assert refused.problem is not None
    word = "is used again" if is_first else "was used before"
    assert f"{word} in the file, for another event, on line " in refused.problem.message


def test_a_cancellation_without_a_start_is_of_the_event_of_its_uid() -> None:
    (row,) = read(calendar(f"UID:a\nSUMMARY:s\n{START}", "UID:a\nSTATUS:CANCELLED"))
    assert row.values is not None
    assert row.values["status"] == "cancelled"


def test_a_cancellation_of_a_date_is_of_that_date_whenever_it_starts() -> None:
    """RECURRENCE-ID says which it is."""
    date = "UID:a\nRECURRENCE-ID;TZID=Europe/Berlin:20260611T100000\n"
    moved = f"{date}DTSTART;TZID=Europe/Berlin:20260612T100000"
    called_off = f"{date}STATUS:CANCELLED\nDTSTART;TZID=Europe/Berlin:20260611T100000"
    _, row = read(calendar(f"UID:a\n{START}RRULE:FREQ=WEEKLY", moved, called_off))
    assert row.values is not None
    assert row.values["status"] == "cancelled"


def test_a_newer_cancellation_may_have_another_start() -> None:
    """SEQUENCE says that it is a version of the same event."""
    moved = f"UID:a\nSEQUENCE:1\nSTATUS:CANCELLED\n{START}".replace("20260604", "20260605")
    (row,) = read(calendar(f"UID:a\n{START}", moved))
    assert row.values is not None
    assert row.values["status"] == "cancelled"


def test_other_events_of_one_uid_are_refused_and_their_neighbours_are_not() -> None:
    """Each of them names the first."""
    found = read(calendar(*(f"UID:a\nSUMMARY:{n}\n{START}" for n in range(3)), f"UID:b\n{START}"))
    assert [row.problem is None for row in found] == [True, False, False, True]
    assert "for another event, on line 3; " in found[2].problem.message  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("start", "rule", "recurrence_id", "right"),
    [
        (START, "RRULE:FREQ=WEEKLY", "RECURRENCE-ID;VALUE=DATE:20260611", "2026-06-11T10:00:00"),
        (START, "RRULE:FREQ=WEEKLY", "RECURRENCE-ID:20260611T080000Z", "2026-06-11T10:00:00"),
        (START, "RRULE:FREQ=WEEKLY", "RECURRENCE-ID:20260611T100000", "2026-06-11T10:00:00"),
        (ALL_DAY, "RRULE:FREQ=WEEKLY", "RECURRENCE-ID:20260609T000000Z", "2026-06-09"),
        (
            ALL_DAY,
            "RRULE:FREQ=WEEKLY",
            "RECURRENCE-ID;TZID=Asia/Tokyo:20260609T000000",
            "2026-06-09",
        ),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_recurrence_id_is_in_the_type_of_its_series(
    start: str, rule: str, recurrence_id: str, right: str, is_first: bool
) -> None:
    """Before and behind the series."""
    whole = f"UID:a\n{start}{rule}"
    moved = f"UID:a\n{recurrence_id}\nDTSTART;TZID=Europe/Berlin:20260612T120000"
    events = (moved, whole) if is_first else (whole, moved)
    first, second = (row.values or {} for row in read(calendar(*events)))
    assert "recurrence" in first
    original = second["originalStartTime"]
    assert original == (
        {"dateTime": right, "timeZone": "Europe/Berlin"} if "T" in right else {"date": right}
    )


def test_a_recurrence_id_that_fits_no_day_is_refused() -> None:
    """In doubt, nothing is changed."""
    whole = f"UID:a\n{ALL_DAY}RRULE:FREQ=WEEKLY"
    _, moved = read(calendar(whole, "UID:a\nRECURRENCE-ID:20260608T220000Z\nDTSTART:20260612"))
    assert moved.problem is not None
    assert moved.problem.message.startswith(
        "RECURRENCE-ID on line 11 is a time in UTC and the event"
    )


def test_a_change_of_later_occurrences_without_its_series_says_so() -> None:
    """For the connector: the service may have the series."""
    lines = f"UID:a\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260611T080000Z\n{START}"
    assert event(lines)["originalStartTime"] == {
        "dateTime": "2026-06-11T08:00:00Z",
        "timeZone": "UTC",
        "range": "THISANDFUTURE",
    }
    assert "RANGE=THISANDPRIOR" in problem(lines.replace("FUTURE", "PRIOR"))


WEEKLY = f"UID:a@x\nSUMMARY:s\n{START}RRULE:FREQ=WEEKLY;{{}}\n"


def split(rule: str, *changes: str) -> list[Mapping[str, Any]]:
    """The events of a series with this rule and these changes."""
    found = read(calendar(WEEKLY.format(rule), *(f"UID:a@x\n{change}" for change in changes)))
    assert [row.problem for row in found] == [None] * len(found)
    return [row.values or {} for row in found]


def later(day: str, time: str = "12", on: str | None = None, name: str = "later") -> str:
    """A change of all occurrences from a day on."""
    return (
        f"RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:202606{day}T100000\nSUMMARY:{name}\n"
        f"DTSTART;TZID=Europe/Berlin:202606{on or day}T{time}0000\n"
        f"DTEND;TZID=Europe/Berlin:202606{on or day}T{time}3000\n"
    )


@pytest.mark.parametrize(
    ("rule", "changes", "right"),
    [
        ("COUNT=4", [later("11")], "04T08 11T10 18T10 25T10"),
        ("UNTIL=20260625T080000Z", [later("11")], "04T08 11T10 18T10 25T10"),
        ("COUNT=4", [later("18"), later("11", "15")], "04T08 11T13 18T10 25T10"),
        ("COUNT=4", [later("11", on="12")], "04T08 12T10 19T10 26T10"),
        ("COUNT=4;BYDAY=TH", [later("11", on="12")], "04T08 12T10 19T10 26T10"),
        ("COUNT=4", [later("04")], "04T10 11T10 18T10 25T10"),
        ("COUNT=4", [later("11") + "STATUS:CANCELLED"], "04T08"),
        ("COUNT=4;INTERVAL=1\nEXDATE:20260618T080000Z", [later("11")], "04T08 11T10 25T10"),
        (
            "COUNT=4",
            [
                later("11"),
                "RECURRENCE-ID;TZID=Europe/Berlin:20260618T100000\nSUMMARY:moved\n"
                "DTSTART;TZID=Europe/Berlin:20260619T090000",
            ],
            "04T08 11T10 19T07 25T10",
        ),
        ("COUNT=4", [later("11") + "RRULE:FREQ=DAILY;COUNT=2"], "04T08 11T10 12T10"),
        # An occurrence that the file has is none that the series leaves out.
        ("COUNT=4\nEXDATE:20260611T080000Z", [later("11")], "04T08 11T10 18T10 25T10"),
    ],
)
def test_a_series_that_changes_is_split(rule: str, changes: list[str], right: str) -> None:
    """RANGE=THISANDFUTURE: from that occurrence on, another series."""
    found = occurrences(split(rule, *changes), date(2026, 7, 1))
    assert " ".join(f"{start:%dT%H}" for start, _ in found) == right


def test_a_change_that_cannot_be_split_off_is_refused() -> None:
    """The series stays as it is."""
    whole = f"UID:a\n{START}RRULE:FREQ=MONTHLY;BYDAY=1TH,2TH;COUNT=4"
    series_row, change = read(calendar(whole, f"UID:a\n{later('11', on='12')}"))
    assert series_row.values is not None
    assert series_row.values["recurrence"] == ["RRULE:FREQ=MONTHLY;BYDAY=1TH,2TH;COUNT=4"]
    assert change.problem is not None
    assert change.problem.message == (
        "this event stands for all later occurrences of its series, too, and it is on another day "
        "than the rule of the series says; write the occurrences from there on as a series with a "
        "UID of its own"
    )


@pytest.mark.parametrize(
    ("recurrence", "day"),
    [
        ("RRULE:FREQ=WEEKLY;COUNT=4", "12"),
        ("RRULE:FREQ=WEEKLY;COUNT=4", "03"),
        ("RRULE:FREQ=WEEKLY;COUNT=4\nRDATE:20260612T080000Z", "12"),
        ("RDATE:20260611T080000Z", "12"),
    ],
)
def test_a_series_changes_from_an_occurrence_of_its_rule_on(recurrence: str, day: str) -> None:
    """From another day on, its dates would be at times that nothing says."""
    whole = f"UID:a\n{START}{recurrence}"
    series_row, change = read(calendar(whole, f"UID:a\n{later(day)}"))
    assert series_row.values is not None
    assert series_row.values["recurrence"] == series(*recurrence.split("\n"))
    assert change.problem is not None
    assert change.problem.message == (
        "this event stands for all later occurrences of its series, too, and the series has no "
        f"occurrence by its rule at 2026-06-{day}T10:00:00, from which on it would change; name "
        "one that it has"
    )


def test_a_series_that_changes_from_its_start_on_keeps_its_uid() -> None:
    """It is the event that an earlier file made."""
    (changed,) = split("COUNT=4", later("04"))
    assert (changed["iCalUID"], changed["summary"]) == ("a@x", "later")
    assert "originalStartTime" not in changed
    cancelled, rest = split("COUNT=4", later("04") + "STATUS:CANCELLED", later("18"))
    assert (cancelled["iCalUID"], cancelled["status"]) == ("a@x", "cancelled")
    assert rest["iCalUID"] == "a_R20260618T100000@x"


# --- encodings ---


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("GB18030", "gb18030", "高等数学"),
        ("gb2312", "gb2312", "高等数学"),
        ("Shift_JIS", "cp932", "会議①"),
        ("euc-kr", "cp949", "회의"),
        ("Big5", "big5", "會議"),
        ("windows-1250", "cp1250", "Příští schůzka"),
        ("windows-1251", "cp1251", "Встреча"),
        ("koi8-r", "koi8_r", "Встреча"),
        ("iso-8859-15", "iso8859_15", "10 €"),
        ("latin1", "cp1252", "Frühstück: 10 €"),
        ("utf-16", "utf-16", "Frühstück"),
    ],
)
def test_a_file_is_read_in_the_encoding_that_is_named(label: str, codec: str, text: str) -> None:
    """By the names of the web, in any case."""
    (row,) = read(calendar(f"SUMMARY:{text}\n{START}").encode(codec), encoding=label)
    assert row.values is not None
    assert row.values["summary"] == text


@pytest.mark.parametrize("codec", ["cp1251", "cp1250", "koi8_r", "gb18030", "cp1253", "cp1255"])
def test_text_in_another_alphabet_is_not_taken_for_western(codec: str) -> None:
    """The file is refused; one of the choices reads it right."""
    text = {
        "cp1251": "Встреча",
        "cp1250": "łączność",
        "koi8_r": "Встреча",
        "gb18030": "高等数学",
        "cp1253": "Συνάντηση",
        "cp1255": "פגישה",
    }[codec]
    with pytest.raises(EncodingUnknown, match=r"set metaData\.encoding to") as refused:
        read(calendar(f"SUMMARY:{text}\n{START}").encode(codec))
    choices = refused.value.question.choices
    assert {find_codec(one.value): one.shown for one in choices}.get(codec) == f"SUMMARY:{text}"


def test_a_byte_order_mark_wins_over_the_name_of_an_encoding() -> None:
    """WHATWG Encoding Standard, "decode"."""
    content = calendar(f"SUMMARY:Frühstück\n{START}")
    for encoded in (content.encode("utf-8-sig"), content.encode("utf-16")):
        (row,) = read(encoded, encoding="windows-1252")
        assert row.values is not None
        assert row.values["summary"] == "Frühstück"


# --- what would keep the server busy, or the event from its row ---


def test_a_rule_until_the_end_of_time_is_one() -> None:
    """Exchange writes the last day of the year 9999."""
    start = "DTSTART;TZID=America/New_York:20260604T100000\n"
    assert series("RRULE:FREQ=DAILY;UNTIL=99991231", start=start) == [
        "RRULE:FREQ=DAILY;UNTIL=99991231T235959Z"
    ]


def test_a_name_of_many_parts_and_a_rule_of_many_times_take_no_time() -> None:
    """Each is refused at once."""
    assert "is not known" in problem(f"DTSTART;TZID={'a/' * 100_000}b:20260604T100000")
    numbers = ",".join(map(str, range(60)))
    rule = f"RRULE:FREQ=DAILY;BYHOUR=1,2;BYMINUTE={numbers};BYSECOND={numbers}"
    days = "EXDATE;VALUE=DATE:" + ",".join(["20260604"] * 10_000)
    assert "the event recurs several times a day" in problem(f"{START}{rule}\n{days}")


def test_blanks_in_a_file_by_hand_cost_nothing() -> None:
    """Also behind BEGIN: and END:."""
    text = calendar(f"UID: a\n{START}").replace("BEGIN:", "BEGIN: ").replace("END:", "END : ")
    (row,) = read(text.replace("DTEND : ", "DTEND:"))
    assert row.values is not None
    assert Ics().recognizes(text.encode())


def test_a_day_of_a_series_that_recurs_several_times_on_it_is_refused() -> None:
    """RECURRENCE-ID has to say which occurrence is meant."""
    whole = f"UID:a\n{START}RRULE:FREQ=DAILY;BYHOUR=8,10"
    _, moved = read(calendar(whole, f"UID:a\nRECURRENCE-ID;VALUE=DATE:20260611\n{START}"))
    assert moved.problem is not None
    assert moved.problem.message.startswith("RECURRENCE-ID on line 11 is a day, and the series")


def test_an_end_at_midnight_in_the_calendars_zone_is_a_day() -> None:
    """Of an all-day event."""
    values = event(
        "DTSTART;VALUE=DATE:20260604\nDTEND:20260604T220000Z", "X-WR-TIMEZONE:Europe/Berlin\n"
    )
    assert values["end"] == {"date": "2026-06-05"}


def test_a_period_across_a_clock_change_ends_when_it_says() -> None:
    """Its length in hours is not one in days."""
    start = "DTSTART;TZID=Europe/Berlin:20261001T200000\nDURATION:PT1H\n"
    period = "RDATE;VALUE=PERIOD:20261024T180000Z/20261025T190000Z"
    _, longer = (row.values or {} for row in read(calendar(f"UID:a\n{start}{period}")))
    assert longer["end"]["dateTime"] == "2026-10-25T20:00:00"


def test_a_period_of_another_length_is_an_occurrence_of_its_own() -> None:
    """Behind its series, which has it with the usual length."""
    period = "RDATE;VALUE=PERIOD:20260706T080000Z/PT2H,20260707T080000Z/PT1H"
    whole, longer = (row.values or {} for row in read(calendar(f"UID:a\n{START}{period}")))
    assert whole["recurrence"] == ["RDATE;TZID=Europe/Berlin:20260706T100000,20260707T100000"]
    start = {"dateTime": "2026-07-06T10:00:00", "timeZone": "Europe/Berlin"}
    assert longer == {
        "iCalUID": "a",
        "originalStartTime": start,
        "start": start,
        "end": {"dateTime": "2026-07-06T12:00:00", "timeZone": "Europe/Berlin"},
    }


# --- occurrences that a series leaves out, and brings back ---


def left_out(
    series_sequence: int, occurrence_sequence: int, status: str = "CONFIRMED"
) -> list[str]:
    """The starts of a series that leaves out an occurrence, which the file has moved."""
    whole = f"UID:a\nSEQUENCE:{series_sequence}\n{START}RRULE:FREQ=WEEKLY;COUNT=3\n{BERLIN_EXDATE}"
    moved = (
        f"UID:a\nSEQUENCE:{occurrence_sequence}\nRECURRENCE-ID:20260611T080000Z\nSTATUS:{status}\n"
        "DTSTART;TZID=Europe/Berlin:20260612T100000"
    )
    found: set[str] = set()
    for events in ((whole, moved), (moved, whole)):
        values = [row.values or {} for row in read(calendar(*events))]
        found.add(" ".join(f"{start:%d}" for start, _ in occurrences(values)))
    assert len(found) == 1
    return found.pop().split()


def test_an_occurrence_that_a_newer_series_leaves_out_is_gone() -> None:
    """It was deleted after it was moved."""
    assert left_out(series_sequence=2, occurrence_sequence=1) == ["04", "18"]


def test_an_occurrence_that_is_as_new_as_its_series_is_there() -> None:
    """Exchange leaves it out of the series and writes it as an event."""
    assert left_out(series_sequence=1, occurrence_sequence=1) == ["04", "12", "18"]
    assert left_out(series_sequence=1, occurrence_sequence=2) == ["04", "12", "18"]


def test_a_further_date_of_a_long_event_is_one_row() -> None:
    """Also where clocks change within it: a day by the calendar has 23 or 25 hours then."""
    lines = (
        "UID:a\nDTSTART;TZID=Europe/Berlin:20260604T100000\nDTEND;TZID=Europe/Berlin:20260606T100000\n"
        "RDATE;TZID=Europe/Berlin:20261024T100000\nRRULE:FREQ=YEARLY"
    )
    assert len(read(calendar(lines))) == 1


def test_a_cancellation_of_the_rest_without_a_start_costs_itself_and_no_other_event() -> None:
    """RFC 5546, section 3.2.5, allows it; a series cannot be split by it yet."""
    rest = "UID:a@x\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260611T100000Z\nSTATUS:CANCELLED"
    rows = read(
        calendar(
            "UID:a@x\nDTSTART:20260604T100000Z\nRRULE:FREQ=WEEKLY;COUNT=4",
            rest,
            "UID:b@x\nDTSTART:20260604T100000Z",
        )
    )
    assert [row.values is None for row in rows] == [False, True, False]
    assert rows[1].problem is not None
    assert "end the series before it with UNTIL" in rows[1].problem.message


# --- what contradicts itself ---


def remarks(lines: str, head: str = "") -> Sequence[str]:
    """The remarks on an event that is sent."""
    (row,) = read(calendar(lines, head=head))
    assert row.values is not None, row.problem
    return row.remarks


MOSCOW_AS_BERLIN = """BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19700101T000000
TZOFFSETFROM:+0300
TZOFFSETTO:+0300
END:STANDARD
END:VTIMEZONE
"""


def test_a_zone_that_is_described_as_two_is_not_chosen_from() -> None:
    """Files that were put together have both."""
    head = MOSCOW_AS_BERLIN.replace("Europe/Berlin", "School")
    other = head.replace("+0300", "+0400")
    lines = START.replace("Europe/Berlin", "School")
    (row,) = read(calendar(lines, head=head + other))
    assert row.problem is not None
    assert row.problem.message == (
        "DTSTART on line 20 is in the time zone 'School', whose VTIMEZONE on line 11 is another "
        "zone than that of the same name on line 3; correct it, or use an IANA name like "
        "Europe/Berlin"
    )
    assert event(lines, head + head)["start"]["timeZone"] == event(lines, head)["start"]["timeZone"]


def test_a_vtimezone_that_contradicts_its_name_is_told() -> None:
    """The name counts, as it does in every program that knows it."""
    assert event(START, MOSCOW_AS_BERLIN)["start"]["timeZone"] == "Europe/Berlin"
    assert remarks(START, MOSCOW_AS_BERLIN) == [
        "DTSTART on line 12 is read as Europe/Berlin, which is +02:00 from UTC then, and the "
        "VTIMEZONE on line 3 says +03:00; if that is right, give it a name of its own"
    ]


WINTER_ALL_YEAR = MOSCOW_AS_BERLIN.replace("+0300", "+0100")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("DTSTART;TZID=Europe/Berlin:20260104T100000\n", []),
        ("DTSTART;TZID=Europe/Berlin:20260704T100000\n", ["DTSTART"]),
        ("DTSTART;TZID=Europe/Berlin:20260329T015959\n", []),
        ("DTSTART;TZID=Europe/Berlin:20260329T030000\n", ["DTSTART"]),
        (
            "DTSTART;TZID=Europe/Berlin:20260328T230000\nDTEND;TZID=Europe/Berlin:20260329T090000\n",
            ["DTEND"],
        ),
        ("DTSTART;TZID=Europe/Paris:20260704T100000\n", []),
        ("DTSTART:20260704T100000Z\n", []),
        ("DTSTART;VALUE=DATE:20260704\n", []),
        (
            "UID:a\nRECURRENCE-ID;TZID=Europe/Berlin:20260704T100000\nDTSTART:20260704T100000Z\n",
            ["RECURRENCE-ID"],
        ),
    ],
)
def test_only_the_moments_of_the_event_count(lines: str, told: Sequence[str]) -> None:
    found = remarks(lines, WINTER_ALL_YEAR)
    assert [remark.partition(" on line ")[0] for remark in found] == told


def test_a_vtimezone_as_programs_write_it_is_no_contradiction() -> None:
    head = AMSTERDAM.format(name="Europe/Amsterdam")
    for day in ("20040704", "20260328", "20260329", "20260330", "20261025", "20400704"):
        assert remarks(f"DTSTART;TZID=Europe/Amsterdam:{day}T100000\n", head) == []


@pytest.mark.parametrize(
    ("line", "twice"),
    [
        (
            "DTSTART;TZID=Europe/Berlin;TZID=America/New_York:20260604T100000",
            "TZID twice, 'Europe/Berlin' and 'America/New_York'",
        ),
        ("DTSTART;VALUE=DATE;VALUE=DATE-TIME:20260604", "VALUE twice, 'DATE' and 'DATE-TIME'"),
    ],
)
def test_a_parameter_that_is_there_twice_is_not_chosen_from(line: str, twice: str) -> None:
    assert problem(line) == f"DTSTART on line 4 has {twice}; keep one"


def test_a_parameter_that_is_there_twice_alike_means_what_it_says() -> None:
    start = "DTSTART;TZID=Europe/Berlin;tzid=Europe/Berlin:20260604T100000"
    assert event(start)["start"]["timeZone"] == "Europe/Berlin"
    assert event(f"{START}ATTENDEE;CN=Ann;CN=Anna:mailto:ann@x.example")["attendees"]


def test_a_property_that_is_not_used_may_have_a_parameter_twice() -> None:
    assert event(f"{START}X-MINE;TZID=A;TZID=B:1\nCREATED;VALUE=A;VALUE=B:1")["start"]


@pytest.mark.parametrize(
    ("line", "method", "minutes"),
    [
        ("DALARM:20260604T074500Z;PT5M;2;Your task", "popup", 15),
        ("AALARM;TYPE=WAVE;VALUE=URL:20260604T094500;;;file:///ding.wav", "popup", 15),
        ("MALARM:20260603T100000;PT5M;1;ann@x.example;Hello", "email", 1440),
    ],
)
def test_an_alarm_of_vcalendar_1_is_a_reminder(line: str, method: str, minutes: int) -> None:
    reminders = event(f"{START}{line}")["reminders"]
    assert reminders == {
        "useDefault": False,
        "overrides": [{"method": method, "minutes": minutes}],
    }


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("DALARM:20260604T120000Z;;;", "it is after the start"),
        (
            "DALARM:tomorrow;;;",
            "DALARM on line 7 is 'tomorrow', which is neither a day nor a time",
        ),
        ("RRULE:FREQ=DAILY;COUNT=2\nDALARM:20260604T074500Z", "cannot be counted from the start"),
    ],
)
def test_an_alarm_of_vcalendar_1_that_cannot_be_one_is_told(line: str, why: str) -> None:
    (remark,) = remarks(f"{START}UID:a\n{line}")
    assert "the alarm on line" in remark
    assert why in remark
