"""The parts of a workbook, which is a zip archive of XML (ECMA-376, parts 1 and 2)."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, BinaryIO
from xml.etree.ElementTree import Element

from openbulk.domain.errors import BadInput
from openbulk.formats.archives import open_archive, reading_archive
from openbulk.formats.xlsx.merged_cells import Merged, find_merged
from openbulk.formats.xlsx.number_formats import (
    SINCE_1900,
    SINCE_1904,
    Reader,
    make_built_in_reader,
    make_reader,
    read_number,
)
from openbulk.formats.xlsx.shared_strings import SharedStrings
from openbulk.formats.xlsx.xml import each_child, local_name, parse_part

_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
_MAX_NAMED = 20
_TRUE = frozenset({"1", "true", "on"})
_FOLDER_OF_RELATIONS = "_rels"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of a workbook."""

    name: str
    part: str
    """The path of its part in the archive."""
    visibility: str = "visible"
    """`visible`, `hidden`, or `veryHidden`, which only a program shows again."""

    @property
    def is_visible(self) -> bool:
        """Whether people see it."""
        return self.visibility == "visible"

    @property
    def shown_name(self) -> str:
        """Its name for a message."""
        return self.name + " (hidden)" * (not self.is_visible)


class Package:
    """A workbook that is open. Its parts are read as streams."""

    def __init__(self, file: BinaryIO) -> None:
        """Raises BadInput if the file is not a workbook."""
        self._archive = open_archive(file)
        self._paths = {name.lower().lstrip("/"): name for name in self._archive.namelist()}
        workbook = next(iter(self._relations("", "officeDocument").values()), "xl/workbook.xml")
        self.sheets: list[Sheet] = []
        self._merged: dict[str, Sequence[Merged]] = {}
        self._first_day = SINCE_1900
        self.recalculates = False
        """Whether the results of formulas count only once a spreadsheet program has opened it."""
        self._read_workbook(workbook)
        self.strings = SharedStrings(self._items(workbook))
        self.readers = self._read_styles(workbook)
        """How to read the number of a cell, by the cell's style."""

    def open(self, part: str) -> IO[bytes]:
        """A part as a stream. Raises BadInput if there is none."""
        path = self._paths.get(part.lower())
        if path is None:
            raise BadInput(f"the workbook cannot be read ({part} is missing); save it again")
        with reading_archive("the workbook"):
            return self._archive.open(path)

    def merged_cells(self, sheet: Sheet) -> Sequence[Merged]:
        """The merged cells of a sheet. Raises BadInput."""
        if sheet.part not in self._merged:
            with self.open(sheet.part) as part:
                self._merged[sheet.part] = list(find_merged(part))
        return self._merged[sheet.part]

    def choose_sheet(self, name: Any) -> Sheet:
        """The sheet of that name, in any case; the first visible one for None or "".

        Raises BadInput.
        """
        if name in (None, ""):
            chosen = [sheet for sheet in self.sheets if sheet.is_visible]
            wrong = "the workbook has no visible sheet; metaData.sheet names one"
        else:
            # Excel takes names that differ in case only for the same.
            wanted = str(name).casefold()
            chosen = [sheet for sheet in self.sheets if sheet.name.casefold() == wanted]
            wrong = f"the workbook has no sheet {name!r}"
        for sheet in chosen:
            return sheet
        raise BadInput(f"{wrong}; its sheets are: {self.sheet_names}")

    @property
    def sheet_names(self) -> str:
        """The names of the sheets, for a message; of the first ones if there are many."""
        shown = ", ".join(sheet.shown_name for sheet in self.sheets[:_MAX_NAMED])
        more = len(self.sheets) - _MAX_NAMED
        return f"{shown} and {more:,} more" if more > 0 else shown

    def describe(self, sheet: Sheet) -> str:
        """Which sheet is read, as the end of a message; "" if there is no other one."""
        if len(self.sheets) == 1:
            return ""
        return f" (in the sheet {sheet.name!r}; the workbook's sheets are: {self.sheet_names})"

    def _read_workbook(self, workbook: str) -> None:
        worksheets = self._relations(workbook, "worksheet")
        with self.open(workbook) as part:
            root = parse_part(part)
        for element in root.iter():
            match local_name(element):
                case "workbookPr" if element.get("date1904") in _TRUE:
                    self._first_day = SINCE_1904
                case "calcPr":
                    self.recalculates = element.get("fullCalcOnLoad") in _TRUE
                case "sheet":
                    self._add_sheet(element, worksheets)

    def _add_sheet(self, element: Element, worksheets: Mapping[str, str]) -> None:
        """Add a sheet with cells; a chart, or a macro of Excel 4, has another kind of part."""
        relation = next((value for name, value in element.items() if name.endswith("}id")), "")
        if relation in worksheets:
            visibility = element.get("state", "visible")
            self.sheets.append(Sheet(element.get("name", ""), worksheets[relation], visibility))

    def _relations(self, part: str, kind: str) -> Mapping[str, str]:
        """The parts of a kind that belong to a part, by the id of the relation (part 2, 9.3)."""
        folder, name = posixpath.split(part)
        relations = posixpath.join(folder, _FOLDER_OF_RELATIONS, f"{name}.rels")
        if relations.lower() not in self._paths:
            return {}
        with self.open(relations) as stream:
            return {
                element.get("Id", ""): _resolve(folder, element.get("Target", ""))
                for element in parse_part(stream)
                if element.get("Type", "").rpartition("/")[2] == kind
            }

    def _items(self, workbook: str) -> Iterator[Element]:
        part = self._only_part(workbook, "sharedStrings")
        if part is not None:
            with self.open(part) as stream:
                yield from each_child(stream, "sst", "si")

    def _only_part(self, workbook: str, kind: str) -> str | None:
        """The part of a kind of which a workbook has one at most (ECMA-376, part 1, 12.3)."""
        return next(iter(self._relations(workbook, kind).values()), None)

    def _read_styles(self, workbook: str) -> Sequence[Reader]:
        codes: dict[str, str] = {}
        styles: list[str] = []
        part = self._only_part(workbook, "styles")
        if part is None:
            return ()
        with self.open(part) as stream:
            root = parse_part(stream)
        for element in root.iter():
            match local_name(element):
                case "numFmt":
                    codes.setdefault(element.get("numFmtId", ""), element.get("formatCode", ""))
                case "cellXfs":
                    styles += [style.get("numFmtId", "0") for style in element]
        readers = {number: self._reader_of(number, codes) for number in set(styles)}
        return [readers[number] for number in styles]

    def _reader_of(self, number: str, codes: Mapping[str, str]) -> Reader:
        if number in codes:
            return make_reader(codes[number], self._first_day)
        if not _NUMBER.fullmatch(number):
            return read_number
        return make_built_in_reader(int(number), self._first_day)


def _resolve(folder: str, target: str) -> str:
    """The path of a relation's target in the archive: from its root, or from a folder."""
    path = posixpath.join("/", folder, target.replace("\\", "/"))
    return posixpath.normpath(path).lstrip("/")
