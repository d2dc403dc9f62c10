"""One order of day and month for a file."""

from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbulk.domain.date_order import DateOrderUnknown, DateSigns, decide_order
from openbulk.domain.dates import DateOrder, iso_date
from openbulk.domain.errors import BadInput


def signs_of(*texts: str) -> DateSigns:
    signs = DateSigns()
    for row, text in enumerate(texts, 1):
        signs.add("born", text, row)
    return signs


def order_of(*texts: str, **options: str) -> DateOrder:
    return decide_order([signs_of(*texts)], options)


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["05/06/2026", "30/05/2026"], "DMY"),
        (["05/06/2026", "05/30/2026"], "MDY"),
        (["05-06-2026", "30-05-2026"], "DMY"),
        (["05/06/26", "30/05/26"], "DMY"),
        (["05/06/2026", "31/09/2026"], "DMY"),
        (["05/06/2026", "7:30 PM"], "MDY"),
        (["05/06/2026 10:00 AM"], "MDY"),
        (["05/06/2026", "May 30, 2026"], "MDY"),
        (["05/06/2026", "30 May 2026"], "DMY"),
        (["05/06/2026", "07.09.2026"], "DMY"),
        (["05/06/2026", "05.30.2026"], "MDY"),
        (["7:30 PM", "05/06/2026", "30/05/2026"], "DMY"),
        (["99/12/31", "99/12/30"], "YMD"),
        (["05/05/2026"], None),
        (["2026/05/06", "2026-05-06", "07.09.2026 8.15"], "DMY"),
    ],
)
def test_slashes_are_read_by_what_the_file_shows(texts: Sequence[str], order: str | None) -> None:
    """One impossible reading decides, and before all that goes with an order by custom."""
    assert order_of(*texts).slashes == order


@pytest.mark.parametrize(
    "texts",
    [
        ["05/06/2026"],
        ["2026-05-30", "05/06/2026", "06/05/2026"],
        ["05/06/2026", "7:30 p. m."],
        ["05/06/2026", "19:30"],
        ["05/06/2026 7:30 PM", "30 May 2026"],
        ["05-06-26"],
    ],
)
def test_an_open_file_is_refused_with_both_readings(texts: Sequence[str]) -> None:
    """Of its first open date. `p. m.` is Spanish, where the day is first."""
    with pytest.raises(DateOrderUnknown) as error:
        order_of(*texts)
    assert "(day first) or 2026-05-06 (month first)" in error.value.message
    assert "metaData.dateOrder" in error.value.message
    assert order_of(*texts, dateOrder="mdy").slashes == "MDY"


def test_a_date_that_nobody_looked_at_is_refused_by_itself() -> None:
    """Its file showed nothing, or what it showed is lost."""
    with pytest.raises(ValueError, match=r'"05/06/2026" is 2026-06-05 \(day first\) or 2026-05-06'):
        iso_date("05/06/2026", DateOrder())


def test_dots_have_the_day_first_unless_one_of_them_cannot() -> None:
    """Whatever the slashes of the file are."""
    assert iso_date("07.09.2026", order_of("05/30/2026", "07.09.2026")) == "2026-09-07"
    assert iso_date("05.06.2026", order_of("05.30.2026", "05.06.2026")) == "2026-05-06"
    with pytest.raises(DateOrderUnknown, match="contradict each other"):
        order_of("05.30.2026", "05.06.2026", "30.05.2026")
    with pytest.raises(DateOrderUnknown, match="contradict each other"):
        order_of("05.30.2026", "05.31.2026", "05.06.2026", "30.05.2026")


def test_two_digits_with_korean_dots_may_have_the_year_first() -> None:
    """Other languages write no blanks there, or four digits."""
    with pytest.raises(DateOrderUnknown, match=r"2030-05-26 \(day first\) or 2026-05-30 \(year"):
        order_of("26. 5. 30.")
    assert iso_date("26. 5. 30.", order_of("26. 5. 30.", dateOrder="YMD")) == "2026-05-30"


def test_one_slip_among_many_dates_costs_its_row_alone() -> None:
    """Two orders in one file are refused if another date depends on them."""
    many = [f"05/{day}/2026" for day in range(13, 29)]
    assert order_of(*many, "30/05/2026", "05/06/2026").slashes == "MDY"
    assert order_of("05/30/2026", "05/29/2026", "30/05/2026").slashes == "MDY"
    with pytest.raises(DateOrderUnknown) as error:
        order_of("05/30/2026", "05/29/2026", "30/05/2026", "05/06/2026")
    assert error.value.message == (
        'the dates of the file contradict each other: row 1: born "05/30/2026" (month first) and '
        'row 3: born "30/05/2026" (day first); write all dates alike, best like 2026-05-30'
    )


def test_an_open_date_names_the_cells_that_contradict_each_other() -> None:
    """Not "no other date shows which": two of them do."""
    with pytest.raises(DateOrderUnknown) as error:
        order_of("May 30, 2026", "30 May 2026", "05/06/2026")
    assert error.value.message == (
        'row 3: born "05/06/2026" is 2026-06-05 (day first) or 2026-05-06 (month first), and the '
        'other dates of the file contradict each other: row 1: born "May 30, 2026" (month first) '
        'and row 2: born "30 May 2026" (day first); set metaData.dateOrder to DMY or MDY, or write '
        "dates like 2026-05-30"
    )


def test_an_order_that_is_not_known_is_refused() -> None:
    """It is one of three."""
    with pytest.raises(BadInput, match="it can be MDY, DMY, YMD"):
        order_of(dateOrder="german")


@given(
    st.lists(st.dates(date(2000, 1, 1), date(2060, 1, 1)), min_size=1, max_size=30),
    st.sampled_from(["%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d-%m-%Y", "%d.%m.%Y", "%Y/%m/%d"]),
)
def test_a_date_is_never_read_as_another_one(days: list[date], form: str) -> None:
    """A file is read as it was written, or refused."""
    texts = [day.strftime(form) for day in days]
    try:
        order = order_of(*texts)
    except DateOrderUnknown:
        assert all(day.day <= 12 for day in days)
        return
    assert [iso_date(text, order) for text in texts] == list(map(date.isoformat, days))


@given(st.lists(st.dates(date(2000, 1, 1), date(2060, 1, 1)), min_size=2, max_size=9), st.data())
def test_signs_are_the_same_after_they_were_kept(days: list[date], data: st.DataObject) -> None:
    """A later slice decides as the first one did."""
    signs = signs_of(*(day.strftime("%d/%m/%Y") for day in days))
    assert DateSigns.from_json(signs.to_json()) == signs
