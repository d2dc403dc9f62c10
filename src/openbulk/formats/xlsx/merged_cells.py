"""Cells of a sheet that were merged into one (ECMA-376, part 1, 18.3.1.55).

Only the first of them has a value, and people see it in all of them.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from openbulk.domain.errors import BadInput
from openbulk.formats.archives import reading_archive
from openbulk.formats.text import read_chunks

MAX_MERGED = 200_000
_LONGEST_TAG = 512
_NAME = b"mergeCell"
_MERGED = re.compile(
    rb'<(?:\w+:)?mergeCell\b[^<>]{0,400}?\bref="([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})"'
)


@dataclass(frozen=True, slots=True)
class Merged:
    """A rectangle of merged cells. Columns count from 0, lines from 1."""

    first_line: int
    last_line: int
    first_column: int
    last_column: int


class MergedCells:
    """The merged cells of a sheet, line by line."""

    def __init__(self, merged: Iterable[Merged]) -> None:
        self._waiting = sorted(merged, key=lambda one: one.first_line, reverse=True)

    def take(self, line: int) -> list[Merged]:
        """Those that begin on this line, or on one before it and were not taken."""
        taken: list[Merged] = []
        while self._waiting and self._waiting[-1].first_line <= line:
            taken.append(self._waiting.pop())
        return taken


def find_merged(part: IO[bytes]) -> Iterator[Merged]:
    """The merged cells of a sheet.

    They are behind all rows, and are needed before: the part is searched, not parsed. Raises
    BadInput if there are too many to hold.
    """
    held = b""
    count = 0
    with reading_archive("the workbook"):
        for chunk in read_chunks(part):
            held += chunk
            end = 0
            for found in _MERGED.finditer(held) if _NAME in held else ():
                end = found.end()
                count += 1
                yield _parse_merged(found)
            if count > MAX_MERGED:
                raise BadInput(f"the sheet has more than {MAX_MERGED:,} merged cells; send a CSV")
            held = held[max(end, len(held) - _LONGEST_TAG) :]


def _parse_merged(found: re.Match[bytes]) -> Merged:
    left, top, right, bottom = (group.decode() for group in found.groups())
    return Merged(int(top), int(bottom), column_number(left), column_number(right))


def column_number(letters: str) -> int:
    """The number of a column, from 0: `A` is 0, `AB` is 27."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1
