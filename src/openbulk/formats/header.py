"""The header of a table: the row that names its fields, below any titles."""

from collections.abc import Sequence

from openbulk.domain.errors import BadInput

SAMPLE_ROWS = 30
"""The number of rows that show which of them is the header."""
_MOST = 0.75


def find_header(rows: Sequence[Sequence[str]]) -> int | None:
    """The index of the header among a table's first rows; None if no row has a text in it.

    The header is the first row with a text, unless that is a title: a title has fewer cells than
    the header below it, and the rows below that are wider than the title, too. `rows` has the first
    SAMPLE_ROWS rows of the table, blank ones included.
    """
    widths = [sum(bool(cell.strip()) for cell in row) for row in rows]
    first = next((index for index, width in enumerate(widths) if width), None)
    if first is None:
        return None
    below = range(first + 1, len(rows))
    return next((i for i in below if _is_below_titles(rows[first : i + 1], widths[first:])), first)


def _is_below_titles(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> bool:
    """Whether the last of these rows is a header, and those above it are titles.

    `widths` has the number of filled cells of these rows, and of those below them.
    """
    *titles, header = widths[: len(rows)]
    title_width = max(titles)
    wider_below = [width > title_width for width in widths[len(rows) :] if width]
    has_wider_rows = sum(wider_below) >= max(1, _MOST * len(wider_below))
    if header <= title_width or not has_wider_rows or not all(map(may_be_name, rows[-1])):
        return False
    is_after_blank_row = titles[-1] == 0
    return is_after_blank_row or header > 2 * title_width or _is_title(rows, title_width)


def may_be_name(cell: str) -> bool:
    """Whether a cell may be in a header. A number, a date or an address may not."""
    text = cell.strip()
    return not text or ("@" not in text and any(map(str.isalpha, text)))


def _is_title(rows: Sequence[Sequence[str]], title_width: int) -> bool:
    """Whether the text above a row reads as a title, and not as the name of its only column.

    A spreadsheet gives a title as many cells as the rows below it. Else it has several words, and
    the commas below it are not those of a text ("Li, Bo").
    """
    if title_width != 1:
        return False
    has_several_words = " " in "".join(rows[0]).strip()
    is_text = any(cell.startswith(" ") for cell in rows[-1])
    return len(rows[0]) > 1 or (has_several_words and not is_text)


def parse_header(cells: Sequence[str], looks_like: str) -> list[str]:
    """The names of the fields, without the empty ones at the end.

    `looks_like` describes the format, for a header without any name. Raises BadInput if a column
    has no name, or two have the same.
    """
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise BadInput(f"the file is empty; {looks_like}")
    columns: dict[str, int] = {}
    for column, name in enumerate(names, 1):
        if not name:
            raise BadInput(f"column {column} has no name in the header; name it or remove it")
        first = columns.setdefault(name, column)
        if first != column:
            raise BadInput(
                f"column {first} and column {column} are both called {name!r}; rename one"
            )
    return names
