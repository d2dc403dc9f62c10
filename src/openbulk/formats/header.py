"""The header of a table: the row that names its fields."""

from collections.abc import Sequence

from openbulk.domain.errors import BadInput


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
