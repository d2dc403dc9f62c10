"""Calendar files that were made to hold a server."""

import random

import pytest

from support.bounds import Reading, chances, read_file, read_within_bounds

START = "DTSTART:20260101T100000Z"
ALL_DAY = "DTSTART;VALUE=DATE:20260101"


def calendar(*events: str, head: str = "") -> bytes:
    """A calendar of events with these lines, each with a UID of its own."""
    blocks = (
        f"BEGIN:VEVENT\nUID:u{number}\n{lines}\nEND:VEVENT\n" for number, lines in enumerate(events)
    )
    return f"BEGIN:VCALENDAR\n{head}{''.join(blocks)}END:VCALENDAR\n".encode()


def vtimezone(number: int, year: str, *, rule: str = "", more: str = "") -> str:
    """A zone that changes clocks as no other does."""
    rule = rule or "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU"
    minutes = f"{number // 10:02}{number % 10:02}"
    return (
        f"BEGIN:VTIMEZONE\nTZID:Zone {number}\n"
        f"BEGIN:STANDARD\nDTSTART:{year}1028T030000\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\n"
        f"TZOFFSETFROM:+{minutes}\nTZOFFSETTO:+0101\nEND:STANDARD\n"
        f"BEGIN:DAYLIGHT\nDTSTART:{year}0325T020000\n{rule}\nTZOFFSETFROM:+0101\n"
        f"TZOFFSETTO:+{minutes}\n{more}END:DAYLIGHT\nEND:VTIMEZONE\n"
    )


def every_minute(year: int, count: int) -> str:
    """Times, a minute after each other."""
    times = (
        f"{year}{month:02}{day:02}T{hour:02}{minute:02}00Z"
        for month in range(1, 13)
        for day in range(1, 29)
        for hour in range(24)
        for minute in range(60)
    )
    return ",".join(time for _, time in zip(range(count), times, strict=False))


@pytest.mark.parametrize("segments", [40_000, 400_000])
def test_a_zone_of_many_segments_is_not_known(segments: int) -> None:
    read = read_within_bounds(
        calendar("DTSTART:20260101T100000", head=f"X-WR-TIMEZONE:{'a/' * segments}\n")
    )
    assert "which is not known" in read.said


def test_a_tzid_of_many_segments_is_not_known() -> None:
    read = read_within_bounds(calendar(f"DTSTART;TZID={'a/' * 100_000}:20260101T100000"))
    assert "which is not known" in read.said


@pytest.mark.parametrize("year", ["0001", "1601"])
def test_zones_since_the_beginning_are_read_as_those_of_today(year: str) -> None:
    """Windows begins its zones in 1601, others do in the year 1."""
    zone = vtimezone(0, year).replace("+0000", "+0200").replace("+0101", "+0100")
    many = "".join(vtimezone(number, year) for number in range(1, 50))
    read = read_within_bounds(calendar("DTSTART;TZID=Zone 0:20260601T100000", head=zone + many))
    assert read == Reading(rows=1)


def test_a_file_has_so_many_different_zones() -> None:
    parts = (
        calendar(
            f"DTSTART;TZID=Zone {number}:20260101T100000",
            head="".join(vtimezone(one, "1970") for one in range(number, number + 50)),
        )
        for number in range(0, 400, 50)
    )
    read = read_within_bounds(b"".join(parts))
    assert "one of more than 200 different ones in the file" in read.said


@pytest.mark.parametrize(
    "zone",
    [
        vtimezone(1, "1970", more=f"RDATE:{every_minute(1980, 5_000)}\n"),
        vtimezone(1, "0001", rule="RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU;UNTIL=19991231T000000Z"),
        vtimezone(1, "1970", rule="RRULE:FREQ=SECONDLY"),
    ],
)
def test_zones_that_take_long_are_not_evaluated(zone: str) -> None:
    read = read_within_bounds(calendar("DTSTART;TZID=Zone 1:20260101T100000", head=zone))
    assert "has rules that cannot be evaluated" in read.said


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (f"RDATE:{every_minute(2026, 10_001)}", "RDATE"),
        (f"EXDATE:{every_minute(2026, 10_001)}", "EXDATE"),
        (
            "RRULE:FREQ=DAILY;BYHOUR=1,2,3,4,5,6,7,8,9,10;BYMINUTE=1,2,3,4,5,6,7,8,9,10\n"
            f"EXDATE;VALUE=DATE:{','.join(['20260102'] * 5_000)}",
            "EXDATE",
        ),
    ],
)
def test_an_event_names_so_many_dates(lines: str, name: str) -> None:
    read = read_within_bounds(calendar(f"{START}\n{lines}", START))
    assert f"names more than 10,000 occurrences in {name}" in read.said
    assert read.rows == 2


def test_many_dates_are_compared_in_one_pass() -> None:
    periods = every_minute(2026, 10_000).replace("Z", "Z/PT2H")
    read = read_within_bounds(
        calendar(f"{START}\nRDATE;VALUE=PERIOD:{periods}\nEXDATE:{every_minute(2025, 10_000)}")
    )
    assert read == Reading(rows=10_001)


@pytest.mark.parametrize(
    "rule",
    [
        f"FREQ=YEARLY;BYYEARDAY={','.join(map(str, range(1, 367)))};"
        f"BYSETPOS={','.join(map(str, range(1, 367)))}",
        "FREQ=DAILY",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    ],
)
def test_an_end_that_takes_long_to_find_is_in_doubt(rule: str) -> None:
    events = [f"{ALL_DAY}\nRRULE:{rule};UNTIL=99991230T120000Z"] * 50
    read = read_within_bounds(calendar(*events))
    assert "write the last day" in read.said
    assert read.rows == 50


def changing_series(rule: str, changes: int) -> bytes:
    """A series, and changes of it from later and later occurrences on."""
    series = f"BEGIN:VEVENT\nUID:s\n{START}\nRRULE:{rule}\nEND:VEVENT\n"
    later = "".join(
        f"BEGIN:VEVENT\nUID:s\nSUMMARY:s\nRECURRENCE-ID;RANGE=THISANDFUTURE:{day}T100000Z\n"
        f"DTSTART:{day}T110000Z\nEND:VEVENT\n"
        for day in (f"{2027 + one // 9}0{1 + one % 9}01" for one in range(changes))
    )
    return f"BEGIN:VCALENDAR\n{series}{later}END:VCALENDAR\n".encode()


def test_a_series_changes_so_often() -> None:
    read = read_within_bounds(changing_series("FREQ=DAILY;COUNT=90000", 1_500))
    assert "changes more than 100 times" in read.said


def test_a_series_is_counted_once_for_all_of_its_changes() -> None:
    read = read_within_bounds(changing_series("FREQ=DAILY;COUNT=30000", 100))
    assert read == Reading(rows=101)


def test_a_rule_without_occurrences_is_not_counted_for_ever() -> None:
    rule = "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30;COUNT=90000"
    late = changing_series(rule, 50).replace(b"2027", b"9027").replace(b"2028", b"9028")
    assert "too many occurrences to count" in read_within_bounds(late).said


def test_what_a_series_leaves_out_is_looked_at_once() -> None:
    left_out = every_minute(2027, 9_000)
    series = f"BEGIN:VEVENT\nUID:s\n{START}\nRRULE:FREQ=DAILY\nSEQUENCE:5\nEXDATE:{left_out}\n"
    occurrences = "".join(
        f"BEGIN:VEVENT\nUID:s\nRECURRENCE-ID:{time}\n{START}\nEND:VEVENT\n"
        for time in every_minute(2026, 3_000).split(",")
    )
    content = f"BEGIN:VCALENDAR\n{series}END:VEVENT\n{occurrences}END:VCALENDAR\n"
    assert read_within_bounds(content.encode()).rows == 3_001


@pytest.mark.parametrize(
    "lines",
    [
        "DTSTART" + ";A=b" * 200_000 + ":20260101T100000Z",
        f"{START}\n" + "BEGIN:X\n" * 60_000 + "END:X\n" * 60_000,
        f"{START}\nDESCRIPTION:x\n" + " a\n" * 200_000,
        f"{START}\nRRULE:FREQ=YEARLY;BYMONTHDAY={','.join(['1'] * 300_000)}",
        f"{START}\nSEQUENCE:{'9' * 5_000}\nGEO:{'1' * 5_000};1e999999999",
        f"{START}\nUID:u\n" + (" " + "a" * 70 + "\n") * 400_000,
    ],
)
def test_long_lines_lists_and_nests_are_read_or_refused(lines: str) -> None:
    assert read_within_bounds(calendar(START, lines)).rows == 2


def test_extended_properties_are_bounded() -> None:
    name = "X-OPENBULK-EXTENDED-PROPERTIES"
    deep, long = "[" * 5_000 + "]" * 5_000, f'{{"private": {"9" * 5_000}}}'
    nested = '{"private": ' + "[" * 260 + "]" * 260 + "}"
    events = [f"{START}\n{name}:{text}".replace(",", r"\,") for text in (deep, long, nested)]
    read = read_within_bounds(calendar(*events, START))
    assert (read.rows, len(read.problems)) == (4, 3)


# --- what nobody has thought of ---

_NAMES = ("DTSTART", "DTEND", "RRULE", "EXDATE", "RDATE", "RECURRENCE-ID", "UID", "DURATION")
_PIECES = (
    *("20260101", "T100000", "Z", ",", ";", ":", "=", "/", "\\", '"', "\n ", "TZID", "VALUE=DATE"),
    *("FREQ=DAILY", "FREQ=YEARLY", "COUNT=999999999", "UNTIL=99991231T235959Z", "BYSETPOS=-1"),
    *("INTERVAL=1000000000", "BYMONTHDAY=31", "BYDAY=1MO", "P9999999W", "00010101", "99991231"),
    *("Europe/Berlin", "a/" * 50, "9" * 30, "\x00", "ä", "RANGE=THISANDFUTURE", "ENCODING=BASE64"),
)
_BORDERS = ("BEGIN:VEVENT", "END:VEVENT", "BEGIN:VTIMEZONE", "END:VTIMEZONE", "BEGIN:VALARM")


def _line(chance: random.Random) -> str:
    if chance.random() < 0.1:
        return chance.choice(_BORDERS)
    pieces = chance.choices(_PIECES, k=chance.randrange(1, 12))
    return chance.choice(_NAMES) + chance.choice(":;") + "".join(pieces)


def test_any_calendar_is_read_or_refused() -> None:
    for chance in chances():
        lines = [START, *(_line(chance) for _ in range(chance.randrange(1, 12)))]
        read_file(calendar("\n".join(lines), START), "ics")
