"""What separates the cells of a CSV: the character that fits best, or a question if several do."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openbulk.domain.file_questions import Choice, Example, OpenQuestion, Question

DELIMITERS: Mapping[str, str] = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
"""The characters that are tried, with their names in `metaData`."""
_MOST = 0.75
"""Share of the rows that are as wide as the header, in a table that may be one."""
_CELLS, _CELL_CHARACTERS, _LINE_CHARACTERS = 6, 30, 100


@dataclass(frozen=True, slots=True)
class FoundTable:
    """The first rows of a file, read with one delimiter."""

    delimiter: str
    rows: Sequence[Sequence[str]]
    """The header, and what is below it."""

    @property
    def width(self) -> int:
        """Cells of the header."""
        return len(self.rows[0]) if self.rows else 0

    @property
    def fitting(self) -> int:
        """Rows that have as many cells as the header."""
        return sum(len(row) == self.width for row in self.rows)

    @property
    def fitness(self) -> tuple[int, int]:
        """How many rows have as many cells as the header, and how many cells that is.

        (0, 0) if the header is a single cell: every character that the file lacks would fit.
        """
        return (self.fitting, self.width) if self.width > 1 else (0, 0)

    @property
    def may_be_meant(self) -> bool:
        """Whether most of the rows fit."""
        filled = sum(any(row) for row in self.rows)
        return self.width > 1 and self.fitting >= _MOST * filled

    def is_better_than(self, other: "FoundTable") -> bool:
        """Whether no row speaks for the other one."""
        if self.fitting < other.fitting or self.width < other.width:
            return False
        return self.fitness != other.fitness


class DelimiterUnknown(OpenQuestion):
    """A CSV can be read with several delimiters, and is a good table with each."""

    def __init__(self, tables: Sequence[FoundTable], line: str) -> None:
        """`line` is the header as the file has it."""
        names = [DELIMITERS[one.delimiter] for one in tables]
        choices = [Choice(name, _show(one)) for name, one in zip(names, tables, strict=True)]
        readings = " or ".join(f"{one.shown} ({one.value})" for one in choices)
        super().__init__(
            Question(
                "delimiter",
                f"the file does not show what separates its cells: its first row is {readings}; "
                f"set metaData.delimiter to {' or '.join(names)}",
                tuple(choices),
                Example(None, None, line.strip("\r\n")[:_LINE_CHARACTERS]),
            )
        )


def _show(table: FoundTable) -> str:
    """The first record, or the header of a table without one."""
    row = next((row for row in table.rows[1:] if any(row)), table.rows[0])
    cells = [repr(cell[:_CELL_CHARACTERS]) for cell in row[:_CELLS]]
    return f"{len(row)} cells: {', '.join(cells)}{', ...' * (len(row) > _CELLS)}"


def choose_delimiter(tables: Sequence[FoundTable], sample: Sequence[str]) -> str:
    """The delimiter of a file, which was read with each of them. `sample` are its first lines.

    Raises DelimiterUnknown if two of them make tables that are as good as each other.
    """
    best = max(tables, key=lambda one: one.fitness)
    possible = [one for one in tables if one.may_be_meant]
    of_text = [one for one in possible if not _is_punctuation(one.delimiter, sample)]
    candidates = of_text or possible
    if not candidates:
        return best.delimiter
    best = max(candidates, key=lambda one: one.fitness)
    rivals = [one for one in candidates if one is not best and not best.is_better_than(one)]
    if not rivals:
        return best.delimiter
    header = best.delimiter.join(best.rows[0])
    raise DelimiterUnknown([best, *rivals], header)


def _is_punctuation(delimiter: str, sample: Sequence[str]) -> bool:
    """Whether a blank follows the character wherever it is: `Li, Bo; Bern` has two cells."""
    text = "".join(sample)
    return not re.search(rf"{re.escape(delimiter)}(?! )", text)
