"""Which row of a table is its header."""

from collections.abc import Sequence

import pytest

from openbulk.formats.header import find_header

NAMES = ["name", "town", "born"]
ROW = ["Ana", "Bern", "1990-04-02"]


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        ([NAMES, ROW], 0),
        ([[], [""], NAMES, ROW], 2),
        ([["Members"], NAMES, ROW], 1),
        ([["Members", "", ""], NAMES, ROW, ["Bo", "", ""], ROW, ROW], 1),
        ([["Members"], [], ["printed on May 30"], [], NAMES, ROW], 4),
        ([["Department", "History"], ["Printed", "2026-05-30"], [], NAMES, ROW], 3),
        ([["Members, 2026"], ["name", "town"], ["Ana", "Bern"]], 1),
        ([["name"], ["Ana"], ["Bo"]], 0),
    ],
)
def test_a_header_is_below_blank_rows_and_titles(
    rows: Sequence[Sequence[str]], header: int
) -> None:
    """A title has fewer cells than the rows below it."""
    assert find_header(rows) == header


@pytest.mark.parametrize(
    "rows",
    [
        [["name"], ["Li", " Bo"], ["Ma", " Yo"]],
        [["First Name"], ["Li", " Bo"], ["Ma", " Yo"]],
        [["email"], ["a@x.example", "b@x.example", "c@x.example"], ["d", "e", "f"]],
        [["id", "name"], ["1", "a", "b"], ["2", "c", "d"]],
        [["name", "town"], ["Ana", "Bern", "remark"], ["Bo", "Genf", "remark"]],
        [["name", ""], ["Ana", "remark"], ["Bo", ""]],
        [["name", "town"], [], ROW, ["Bo", "Genf"], ["Cy", "Rom"]],
    ],
)
def test_a_row_that_is_too_wide_is_not_taken_for_a_header(rows: Sequence[Sequence[str]]) -> None:
    """It is a broken row, and says so."""
    assert find_header(rows) == 0


def test_a_table_without_a_text_has_no_header() -> None:
    """Whatever its cells are."""
    assert find_header([[], ["", " "]]) is None
