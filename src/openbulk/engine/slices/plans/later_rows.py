"""The later rows of a job that have written the records of earlier ones.

A record has what the last row has written. So a verification compares each field in the last row
that wrote it. Which rows have written one record, the ids say that the service gave them.

They are kept in a temporary SQLite database, which goes to disk as it grows
(https://sqlite.org/inmemorydb.html).
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from openbulk.domain.row_kinds import RowChoice
from openbulk.exact_json import pack_line, unpack_line
from openbulk.threads import Threads

MAX_JOBS = 16
_SCHEMA = """
CREATE TABLE written (record INTEGER, row INTEGER, is_gone INTEGER);
CREATE TABLE repeated (row INTEGER PRIMARY KEY, record INTEGER, is_gone INTEGER, names BLOB);
CREATE TABLE later (row INTEGER PRIMARY KEY, is_gone INTEGER, names BLOB);
"""
_KEEP_REPEATED = """
INSERT INTO repeated (row, record, is_gone) SELECT row, record, is_gone FROM written
WHERE record IN (SELECT record FROM written GROUP BY record HAVING count(*) > 1)
"""
_FROM_THE_LAST = "SELECT record, row, is_gone, names FROM repeated ORDER BY record, row DESC"
_THREADS = Threads("later rows", 1)


class WrittenId(NamedTuple):
    """The id of the record that a row has written, or deleted."""

    row: int
    id: str
    is_gone: bool


class Later(NamedTuple):
    """What later rows have done to the record of a row."""

    is_gone: bool
    """Whether the last of them has deleted it."""
    fields: frozenset[str]
    """The fields that they have written."""


class LaterRows:
    """The later rows of one job's records, once they are found."""

    def __init__(self) -> None:
        self._database = _new_database()
        self.is_complete = False
        """Whether they are found."""
        self.finding = asyncio.Lock()

    def begin(self) -> None:
        """Begin to find them; what a search has found that was interrupted is forgotten."""
        self._database.close()
        self._database = _new_database()

    async def add(self, written: Iterable[WrittenId]) -> None:
        """Take rows with the records that they have written."""
        rows = [(hash(one.id), one.row, one.is_gone) for one in written]
        await self._insert("INSERT INTO written VALUES (?, ?, ?)", rows)

    async def repeated_rows(self, count: int) -> RowChoice:
        """The rows, of so many, that share their record with another one."""
        choice = RowChoice(count)
        choice.add(await _THREADS.run(_keep_repeated, self._database))
        return choice

    async def add_fields(self, fields: Iterable[tuple[int, Iterable[str]]]) -> None:
        """Take the names of the fields that repeated rows have written."""
        names = [(pack_line(list(some)), row) for row, some in fields]
        await self._insert("UPDATE repeated SET names = ? WHERE row = ?", names)

    async def finish(self) -> None:
        """Note that all rows are added, and all fields of those that are repeated."""
        await _THREADS.run(_find_later, self._database)
        self.is_complete = True

    def of(self, row: int) -> Later | None:
        """What later rows have done to the record of a row; None if there are none."""
        find = "SELECT is_gone, names FROM later WHERE row = ?"
        found = self._database.execute(find, (row,)).fetchone()
        return None if found is None else Later(bool(found[0]), frozenset(unpack_line(found[1])))

    async def _insert(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, rows)
        self._database.execute("COMMIT")


def _new_database() -> sqlite3.Connection:
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    database.executescript(_SCHEMA)
    return database


def _keep_repeated(database: sqlite3.Connection) -> list[int]:
    database.execute(_KEEP_REPEATED)
    database.execute("DROP TABLE written")
    return [row for (row,) in database.execute("SELECT row FROM repeated")]


def _find_later(database: sqlite3.Connection) -> None:
    database.execute("BEGIN")
    found = database.execute(_FROM_THE_LAST)
    for _, rows in groupby(found, itemgetter(0)):
        database.executemany("INSERT INTO later VALUES (?, ?, ?)", _later_of(rows))
    database.execute("COMMIT")


def _later_of(rows: Iterable[tuple[int, int, int, bytes]]) -> Iterator[tuple[int, int, bytes]]:
    """The entries of the table `later`, from the rows of one record, the last one first."""
    is_gone: int | None = None
    fields: set[str] = set()
    was_deleted = False
    for _, row, deletes, names in rows:
        own = set(unpack_line(names)) if names else set()
        if is_gone is None:
            is_gone = deletes
        else:
            # What was deleted since is not in the record that there is now.
            hidden = fields | own if was_deleted or deletes else fields
            yield row, is_gone, pack_line(sorted(hidden))
        fields |= own
        was_deleted = was_deleted or bool(deletes)


class LaterRowsOfJobs:
    """The later rows of the jobs that this process has verified last."""

    def __init__(self) -> None:
        self._jobs: dict[int, LaterRows] = {}

    def of(self, job_id: int) -> LaterRows:
        """The later rows of a job. Those of the job that waited longest are forgotten."""
        rows = self._jobs.pop(job_id, None) or LaterRows()
        if len(self._jobs) == MAX_JOBS:
            self._jobs.pop(next(iter(self._jobs)))
        self._jobs[job_id] = rows
        return rows
