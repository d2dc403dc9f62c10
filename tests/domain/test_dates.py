"""Dates and times as people write them."""

from datetime import date, timedelta

import pytest

from openbulk.domain import month_names
from openbulk.domain.date_order import DateSigns, decide_order
from openbulk.domain.dates import DateOrder, iso_date, iso_moment, iso_time, read_date
from openbulk.domain.month_names import MONTHS, WEEKDAYS, fold
from openbulk.domain.times_of_day import parse_time

ANY_ORDER = DateOrder()
DAYS_OF_A_LEAP_YEAR = [date(2028, 1, 1) + timedelta(n) for n in range(366)]
ENGLISH = "January February March April May June July August September October November December"
NAMES = {
    "en": ENGLISH,
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
    "diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre "
    "dicembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro "
    "dezembro",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "sv": "januari februari mars april maj juni juli augusti september oktober november december",
    "da": "januar februar marts april maj juni juli august september oktober november december",
    "nb": "januar februar mars april mai juni juli august september oktober november desember",
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października "
    "listopada grudnia",
    "cs": "ledna února března dubna května června července srpna září října listopadu prosince",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
}
LOCALES = {
    "en_US": "{m}/{d}/{yy:02}",
    "en_US, Excel": "{m}/{d}/{y}",
    "en_PH": "{m:02}/{d:02}/{y}",
    "en_GB": "{d:02}/{m:02}/{y}",
    "en_AU": "{d}/{m}/{yy:02}",
    "en_IN": "{d:02}/{m:02}/{yy:02}",
    "en_ZA": "{y}/{m:02}/{d:02}",
    "en_CA": "{y}-{m:02}-{d:02}",
    "en, medium": "{name:.3} {d}, {y}",
    "en, Excel": "{d:02}-{name:.3}-{yy:02}",
    "en, long": "{name} {d}, {y}",
    "en, RFC 5322": "{weekday}, {d} {name:.3} {y}",
    "de_DE": "{d:02}.{m:02}.{yy:02}",
    "de_CH, pl, tr, nb": "{d:02}.{m:02}.{y}",
    "de, long": "{d}. {name} {y}",
    "de, Excel": "{weekday}, {d:02}.{m:02}.{y}",
    "en, with its weekday": "{weekday} {d:02}/{m:02}/{y}",
    "fr_FR, pt, vi, ca": "{d:02}/{m:02}/{y}",
    "fr, long": "{d} {name} {y}",
    "es_ES, el": "{d}/{m}/{yy:02}",
    "es, long": "{d} de {name} de {y}",
    "it_IT": "{d:02}/{m:02}/{yy:02}",
    "it, long": "{d} {name} {y}",
    "pt, long": "{d} de {name} de {y}",
    "nl_NL": "{d:02}-{m:02}-{y}",
    "nl, long": "{d} {name} {y}",
    "da_DK, fi, he, uk": "{d}.{m}.{y}",
    "da, long": "{d}. {name} {y}",
    "nb, long": "{d}. {name} {y}",
    "sv_SE, lt": "{y}-{m:02}-{d:02}",
    "sv, long": "{d} {name} {y}",
    "sk, sl": "{d}. {m}. {y}",
    "hr": "{d:02}. {m:02}. {y}.",
    "sr": "{d}.{m}.{yy:02}.",
    "bg": "{d}.{m:02}.{yy:02} \u0433.",
    "hu": "{y}. {m:02}. {d:02}.",
    "ja": "{y}/{m:02}/{d:02}",
    "ja, long": "{y}年{m}月{d}日",
    "zh_CN": "{y}/{m}/{d}",
    "ko, long": "{y}년 {m}월 {d}일",
    "pl, long": "{d} {name} {y}",
    "cs, long": "{d}. {name} {y}",
    "ru, long": "{d} {name} {y} \u0433.",
    "ar": "{d}\u200f/{m}\u200f/{y}",
}
"""Python's formats of the date patterns of CLDR (short, where nothing is said)."""
WEEKDAY_NAMES = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def written(day: date, locale: str) -> str:
    names = NAMES.get(locale.partition(",")[0], ENGLISH).split()
    return LOCALES[locale].format(
        y=day.year,
        yy=day.year % 100,
        m=day.month,
        d=day.day,
        name=names[day.month - 1],
        weekday=WEEKDAY_NAMES[day.weekday()],
    )


@pytest.mark.parametrize("locale", LOCALES)
def test_every_day_of_a_leap_year_is_read_as_each_locale_writes_it(locale: str) -> None:
    """In a file with all of them, whatever their order in it."""
    texts = [written(day, locale) for day in DAYS_OF_A_LEAP_YEAR]
    signs = DateSigns()
    for row, text in enumerate(texts, 1):
        assert signs.add("born", text, row) is True
    order = decide_order([signs], {})
    assert [iso_date(text, order) for text in texts] == list(
        map(date.isoformat, DAYS_OF_A_LEAP_YEAR)
    )


@pytest.mark.parametrize("zero", ["\u0660", "\u06f0", "\u0966", "\u09e6", "\uff10"])
def test_digits_of_other_scripts_are_digits(zero: str) -> None:
    """Arabic, Persian, Devanagari, Bengali, fullwidth."""
    text = "30/05/2026".translate({ord("0") + n: ord(zero) + n for n in range(10)})
    assert iso_date(text, DateOrder("DMY")) == "2026-05-30"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("31.09.2026", "September has 30 days"),
        ("31/09/2026", "September has 30 days"),
        ("29.02.2026", "February 2026 has 28 days"),
        ("05.30.2026", "there is no month 30"),
        ("2026-13-01", "there is no month 13"),
        ("00.05.2026", "May has 31 days"),
        ("30/05/206", "the year has neither two digits nor four"),
        ("Mon, 30 May 2026", "2026-05-30 is a Saturday"),
        ("01.01.0000", "there is no year 0"),
        ("30/5/2569", "the year 2569 is one of the Buddhist calendar"),
        ("1405/03/09", "the year 1405 is one of the Persian or the Islamic calendar"),
    ],
)
def test_a_day_that_does_not_exist_is_refused_with_the_cell(text: str, reason: str) -> None:
    """As it is in the file."""
    with pytest.raises(ValueError, match=f'"{text}" is not a date: {reason}'):
        iso_date(text, ANY_ORDER)


@pytest.mark.parametrize(
    "text",
    [
        *("", "n/a", "tomorrow", "30 May", "May 30 10:00", "30 Foo 2026", "1.2", "12345"),
        *("infinity", "192.168.1.1", "+49 30 1234", "bis 30. Mai 2026", "30.05.2026 and so on"),
    ],
)
def test_other_texts_are_no_dates(text: str) -> None:
    """The connector says what its field takes."""
    assert iso_moment(text, ANY_ORDER) is None


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("07.09.2026", "2026-09-07"),
        ("07.09.2026 8.15", "2026-09-07T08:15:00"),
        ("07.09.2026, 8:15 Uhr", "2026-09-07T08:15:00"),
        ("07.09.2026 um 8 Uhr", "2026-09-07T08:00:00"),
        ("7 septembre 2026 à 19h30", "2026-09-07T19:30:00"),
        ("9/30/2026 7:30\u202fPM", "2026-09-30T19:30:00"),
        ("30/9/2026, 7:30\u00a0p.\u00a0m.", "2026-09-30T19:30:00"),
        ("31.12.2026 24:00", "2027-01-01T00:00:00"),
        ("2026-12-31T24:00", "2027-01-01T00:00:00"),
        ("2026-12-31 7:30 PM", "2026-12-31T19:30:00"),
        ("07.09.2026 10:00+02:00", "2026-09-07T10:00:00+02:00"),
        ("07.09.2026 10:00 UTC", "2026-09-07T10:00:00Z"),
        ("2026年9月7日 8時15分", "2026-09-07T08:15:00"),
        ("2026年9月7日 下午8:15", "2026-09-07T20:15:00"),
    ],
)
def test_a_date_and_a_time_are_read_in_one_cell(text: str, iso: str) -> None:
    """With what joins the two in people's languages."""
    assert iso_moment(text, ANY_ORDER) == iso


def test_a_weekday_shows_the_order_of_its_date_and_of_the_file() -> None:
    signs = DateSigns()
    for row, text in enumerate(("Fri 05/06/2026", "07/06/2026"), 1):
        signs.add("born", text, row)
    assert decide_order([signs], {}).slashes == "DMY"


def test_a_day_may_have_the_time_of_midnight_and_no_other() -> None:
    """A spreadsheet writes a day so."""
    for text in ("2026-09-07 00:00:00", "2026-09-07T00:00", "07.09.2026 00:00", "7.9.26 0:00"):
        assert iso_date(text, ANY_ORDER) == "2026-09-07"
    for text in ("2026-09-07 10:00", "2026-09-07T00:00:00Z", "07.09.2026 24:00"):
        with pytest.raises(ValueError, match=f'"{text}" has a time'.replace("+", r"\+")):
            iso_date(text, ANY_ORDER)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("8.15", "08:15:00"),
        ("8:15 Uhr", "08:15:00"),
        ("8 Uhr", "08:00:00"),
        ("08:15 h", "08:15:00"),
        ("19h30", "19:30:00"),
        ("19 h 30", "19:30:00"),
        ("19h", "19:00:00"),
        ("kl. 19.30", "19:30:00"),
        ("19u30", "19:30:00"),
        ("7:30 p. m.", "19:30:00"),
        ("7:30 p.m.", "19:30:00"),
        ("7:30pm", "19:30:00"),
        ("7 PM", "19:00:00"),
        ("10:00\u202fAM", "10:00:00"),
        ("10:00\u00a0a.\u00a0m.", "10:00:00"),
        ("\uff11\uff10\uff1a\uff10\uff10", "10:00:00"),
        ("12 AM", "00:00:00"),
        ("12:15 a.m.", "00:15:00"),
        ("12 PM", "12:00:00"),
        ("12:15 PM", "12:15:00"),
        ("下午3:30", "15:30:00"),
        ("오전 9:05", "09:05:00"),
        ("3:30 μ.μ.", "15:30:00"),
        ("23:59:59.5", "23:59:59.500000"),
        ("00:00", "00:00:00"),
    ],
)
def test_times_are_read_as_people_write_them(text: str, time: str) -> None:
    """Each in the way of some country."""
    assert iso_time(text) == time


def test_24_is_the_end_of_its_day_and_no_time_is_later() -> None:
    """ISO 8601. A field of times alone cannot hold it."""
    assert parse_time("24:00") == timedelta(days=1)
    assert iso_time("24:00") is None


def test_a_number_is_no_time_of_a_field() -> None:
    """It may be an hour, minutes, or a spreadsheet's part of a day."""
    assert [iso_time(text) for text in ("10", "930", "0.5", "0.25", "0.354166667")] == [None] * 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noon",
        "25:00",
        "24:01",
        "8:60",
        "8:5",
        "13:00 PM",
        "0:30 AM",
        "am 8 pm",
        "8:15 CET",
        "0.25",
    ],
)
def test_other_texts_are_no_times(text: str) -> None:
    """The error quotes the cell."""
    with pytest.raises(ValueError, match=f'"{text}" is not a time'):
        parse_time(text)
    assert iso_time(text) is None


def test_a_name_means_one_month_in_every_language() -> None:
    """Else it would depend on the order of the table. `mar` is March, and a Tuesday before it."""
    for names in (*month_names._MONTHS, *NAMES.values()):
        assert [MONTHS[fold(name)] for name in names.split()] == list(range(1, 13))
    for names in month_names._WEEKDAYS:
        assert [WEEKDAYS[fold(name)] for name in names.split()] == list(range(1, 8))
    assert {MONTHS["mai"], MONTHS["maj"], MONTHS["may"], MONTHS["mei"]} == {5}
    assert WEEKDAYS["mar"] == 2
    found = read_date("mar. 3 mar 2026")
    assert found is not None
    assert found.day(ANY_ORDER) == date(2026, 3, 3)
