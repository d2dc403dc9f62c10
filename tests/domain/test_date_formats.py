"""A format says how a date is written, and nothing else fits it."""

import pytest

from openbulk.domain.date_formats import parse_date_format


@pytest.mark.parametrize(
    ("date_format", "text", "iso"),
    [
        ("DD.MM.YYYY", "07.09.2026", "2026-09-07"),
        ("DD.MM.YYYY", "7.9.2026", "2026-09-07"),
        ("MM/DD/YYYY", "09/07/2026", "2026-09-07"),
        ("D.M.YY", "7.9.69", "2069-09-07"),
        ("YYYYMMDD", "20260907", "2026-09-07"),
        ("DD.MM.YYYY HH:mm", "07.09.2026  19:05", "2026-09-07T19:05:00"),
        ("MM/DD/YYYY hh:mm A", "9/7/2026 12:05 am", "2026-09-07T00:05:00"),
        ("h A", "7 p.m.", "19:00:00"),
        ("YYYY-MM-DDTHH:mm:ssZ", "2026-09-07T19:05:06+02:00", "2026-09-07T19:05:06+02:00"),
        ("ddd, D. MMMM YYYY", "Mo, 7. September 2026", "2026-09-07"),
        ("D MMM YYYY", "7 août 2026", "2026-08-07"),
        ("HH:mm [Uhr]", "19:05 Uhr", "19:05:00"),
        ("DD.MM.YYYY", "2026-09-07", "2026-09-07"),  # a workbook's own date
        ("DD.MM.YYYY HH:mm", "2026-09-07 19:05:00", "2026-09-07 19:05:00"),
    ],
)
def test_what_fits_a_format_is_read(date_format: str, text: str, iso: str) -> None:
    assert parse_date_format(date_format).read(text) == iso


@pytest.mark.parametrize(
    ("date_format", "text", "problem"),
    [
        ("DD.MM.YYYY", "09/07/2026", "is not like DD.MM.YYYY"),
        ("DD.MM.YYYY", "31.09.2026", "is not a date: September has 30 days"),
        ("DD.MM.YYYY", "07.13.2026", "is not a date: there is no month 13"),
        ("DD.MM.YYYY HH:mm", "07.09.2026", "is not like DD.MM.YYYY HH:mm"),
        ("HH:mm", "25:00", "is a time that does not exist"),
        ("hh:mm A", "13:00 PM", "is not a time: AM and PM have the hours 1 to 12"),
        ("D MMM YYYY", "7 Foo 2026", "has no month 'Foo'"),
        ("ddd D.M.YYYY", "Di 7.9.2026", "is not a date: 2026-09-07 is a Monday"),
    ],
)
def test_what_does_not_fit_says_why(date_format: str, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        parse_date_format(date_format).read(text)
    assert str(error.value) == problem


@pytest.mark.parametrize(
    ("date_format", "problem"),
    [
        ("TT.MM.JJJJ", "has 'TT', which stands for nothing"),
        ("DD.MM", "needs a day, a month and a year, or none of them"),
        ("DD.DD.YYYY", "has its day twice"),
        ("hh:mm", "needs both hh and A, or HH alone"),
        ("HH:mm A", "needs both hh and A, or HH alone"),
        ("mm:ss", "has no part of a date or a time"),
        ("DD.MM.YYYY mm", "has minutes or an offset without hours"),
        ("", "has no part of a date or a time"),
        ("D" * 61, "has more than 60 characters"),
    ],
)
def test_a_format_that_means_no_date_is_refused(date_format: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        parse_date_format(date_format)
    assert str(error.value).startswith(f"{problem}; formats look like DD.MM.YYYY")
