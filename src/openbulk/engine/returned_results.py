"""A results file that comes back, mended outside: its rows are matched by `openbulk.row`."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from openbulk.domain.errors import BadInput, TooLarge
from openbulk.domain.formulas import guard
from openbulk.domain.job import Job
from openbulk.domain.mending import Mend, problem_left
from openbulk.domain.records import Row
from openbulk.domain.row_kinds import RETRIED, RowChoice, RowKinds
from openbulk.engine.mended_columns import column_of_table
from openbulk.engine.results_file import OWN_COLUMNS, ROW, UNREAD
from openbulk.exact_json import pack_line, unpack_line
from openbulk.storage.mends import MAX_BYTES, MAX_ROWS

_WHOLE_NUMBER = re.compile(r"0*(\d{1,15})(?:\.0+)?")
_NO_VALUES = frozenset(OWN_COLUMNS) - {UNREAD}
"""Columns that say what became of a row, and nothing of what is in it."""
SHOWN_ROWS = 10
WHAT_IS_RETRIED = "rows that failed, are unknown or were not reached"


class ReturnedResults:
    """The rows of a results file. Raises BadInput for what cannot be retried."""

    def __init__(self, job: Job, kinds: RowKinds, retried: Mapping[int, RowChoice]) -> None:
        """`retried` are the rows of the job that others retry, by their ids."""
        self._job = job
        self._kinds = kinds
        self._retried = retried
        self._packed: dict[int, bytes] = {}
        self._places: dict[int, str] = {}
        self._size = 0
        self._columns: Sequence[str] = ()
        self._names: dict[str, str] = {}
        """The columns of the job, by those of the file."""
        self._problems: dict[int, str] = {}
        """What is still wrong with rows that could not be read."""

    @property
    def numbers(self) -> Collection[int]:
        """The rows of the job that are in the file."""
        return self._packed.keys()

    def add(self, row: Row) -> None:
        """Take a row."""
        place = f"row {row.number}" if row.line is None else f"line {row.line}"
        if row.values is None:
            problem = "it cannot be read" if row.problem is None else row.problem.message
            raise BadInput(f"{place} of the file: {problem}")
        number = self._number(place, row.values.get(ROW))
        self._packed[number] = pack_line(self._own_values(row.values))
        self._places[number] = place
        self._size += len(self._packed[number])
        if len(self._packed) > MAX_ROWS or self._size > MAX_BYTES:
            raise TooLarge(
                f"the file has more than {MAX_ROWS:,} rows, or {MAX_BYTES // 2**20} MB; send it in "
                "several pieces, each as a retry of its own"
            )

    def _number(self, place: str, value: Any) -> int:
        """The number of a row, which can be retried."""
        job = self._job
        found = None if isinstance(value, bool) else _WHOLE_NUMBER.fullmatch(str(value))
        if found is None:
            shown = "is empty" if value is None else f"is {str(value)[:40]!r}"
            raise BadInput(
                f"{place} of the file: {ROW} {shown}; it is the number of a row of job {job.id}, "
                f"as in /bulk/{job.id}/results"
            )
        number = int(found[1])
        if not self._kinds.has(number):
            raise BadInput(f"{place} of the file: job {job.id} has no row {number}; leave it out")
        if number in self._packed:
            raise BadInput(f"{place} of the file: row {number} comes twice; leave one of them out")
        if self._kinds.of(number) not in RETRIED:
            raise BadInput(
                f"{place} of the file: row {number} of job {job.id} was written; leave it out: "
                f"only {WHAT_IS_RETRIED} can be retried"
            )
        for other, rows in self._retried.items():
            if number in rows:
                raise BadInput(
                    f"{place} of the file: job {other} retries row {number} of job {job.id} "
                    "already; retry that one"
                )
        return number

    # --- its columns ---

    def set_columns(self, names: Iterable[str]) -> None:
        """Take the columns of a table: a cell that a row leaves empty is an empty one."""
        self._columns = [self._own_name(name) for name in names if name not in OWN_COLUMNS]
        if UNREAD in names:
            self._columns.append(UNREAD)

    def _own_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a row by the columns of the job, and what is left unread of it."""
        own: dict[str, Any] = {}
        for given, value in values.items():
            name = given if given in OWN_COLUMNS else self._own_name(given)
            if name in own:
                raise BadInput(f"two columns of the file are {name[:80]!r}; leave one of them out")
            own[name] = value
        return {name: one for name, one in own.items() if name not in _NO_VALUES}

    def _own_name(self, name: str) -> str:
        """The column of the job that a column of the file means: its name may be guarded."""
        if not self._job.columns:
            return name
        if name not in self._names:
            guarded = {guard(one): one for one in self._job.columns}
            self._names[name] = guarded.get(name) or column_of_table(self._job, name)
        return self._names[name]

    # --- its rows ---

    def mend_of(self, row: Row) -> Mend:
        """What the file has mended in a row of the job."""
        values = unpack_line(self._packed.pop(row.number))
        missing = list(self._missing(row, {*values, *self._columns}))
        unread = values.pop(UNREAD, None)
        mend = self._mend_of_cells(values) if self._job.columns else Mend(values, is_file=True)
        if row.problem is not None:
            problem = self._problem_of(row, mend, missing, unread)
            if problem is not None:
                self._problems[row.number] = problem
        return mend

    def _mend_of_cells(self, values: Mapping[str, Any]) -> Mend:
        """JSON has null for an empty cell, and all formats have a text that clears a field."""
        null = self._job.options.get("nullValue")
        names = dict.fromkeys([*self._columns, *values])
        empty = {name for name in names if name != UNREAD and values.get(name) is None}
        cells = {
            name: None if null and value == null else value
            for name, value in values.items()
            if name not in empty
        }
        return Mend(cells, tuple(empty), is_file=True)

    def _missing(self, row: Row, given: Collection[str]) -> Iterator[str]:
        """The columns that a row which could not be read needs, and the file does not have."""
        yield from (name for name in self._job.columns if name not in {*given, *OWN_COLUMNS})
        if row.unread and UNREAD not in given:
            yield UNREAD

    def _problem_of(
        self, row: Row, mend: Mend, missing: Collection[str], unread: Any
    ) -> str | None:
        """What is wrong with a row that could not be read, after its number; None if mended."""
        if missing:
            are = "is" if len(missing) == 1 else "are"
            return f"needs all its columns, and {', '.join(missing)} {are} missing"
        if unread not in (None, ""):
            reason = "" if row.problem is None else f" ({row.problem.message})"
            return (
                f"still has text in {UNREAD}{reason}: put it where it belongs, and empty {UNREAD}"
            )
        fields = [name for name in row.cells or () if name in mend.values]
        if fields and not self._job.columns:
            return (
                f"has {fields[0]!r}, which is a column of the file; {self._job.upload.file_format} "
                "makes fields of it: write the fields of the whole record in place of the columns"
            )
        return problem_left(row, mend.values_in(row, self._job.columns), self._job.columns)

    def require_whole(self) -> None:
        """Raise BadInput if a row that could not be read is still no record."""
        if not self._problems:
            return
        (first, problem), *others = sorted(self._problems.items())
        shown = ", ".join(str(number) for number, _ in others[:SHOWN_ROWS])
        more = " and others" * (len(others) > SHOWN_ROWS)
        raise BadInput(
            f"{self._places[first]} of the file: row {first} could not be read, and {problem}; "
            "mend it, or leave it out" + f" (also row {shown}{more})" * bool(others)
        )
