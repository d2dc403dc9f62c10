"""The earlier rows of a file that a row depends on: what it does is planned behind them.

A plan writes nothing. So a row that changes what an earlier row would create finds nothing at the
service. It is planned together with the earlier one, whose plan is known already.

Rows are kept in a temporary SQLite database, which goes to disk as it grows
(https://sqlite.org/inmemorydb.html).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import closing

from openbulk.domain.records import JobRecords, Record
from openbulk.exact_json import pack_line, unpack_line

MAX_JOBS = 16
MAX_EARLIER = 1_000
"""Earlier rows that a batch is planned with: the last ones."""
_SCHEMA = """
CREATE TABLE records (row INTEGER PRIMARY KEY, key TEXT, content BLOB);
CREATE TABLE keys (key INTEGER, row INTEGER, PRIMARY KEY (key, row)) WITHOUT ROWID;
CREATE TABLE meant (name TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID;
"""
_FIND = "SELECT row FROM keys WHERE key = ? AND row < ? ORDER BY row DESC LIMIT ?"
KeysOf = Callable[[Record], Iterable[Hashable]]


class EarlierRows:
    """The rows of one job that this process has planned, or read."""

    def __init__(self) -> None:
        self._database = _new_database()
        self.fence: int | None = None
        """The number of the last slice whose rows are known."""
        self.loading = asyncio.Lock()
        self._attempt = 0
        self._unrecorded: set[int] = set()

    def note_planned(self, rows: Iterable[int]) -> None:
        """Note rows that are planned, and not recorded yet."""
        self._unrecorded.update(rows)

    def note_recorded(self, rows: Iterable[int]) -> None:
        """Note rows whose plan is recorded."""
        self._unrecorded.difference_update(rows)

    def begin_slice(self, records: JobRecords) -> None:
        """Begin a slice. If a slice before it could not record what it had planned, start over.

        Its rows are planned once more: as if they had not been planned before.
        """
        if self._unrecorded and self.fence != records.fence:
            self._database.close()
            self._database = _new_database()
            self.fence = None
            self._attempt += 1
            self._unrecorded = set()

    def run_of(self, run: str) -> str:
        """The run under which a connector remembers what it has planned (`Target.run`)."""
        return f"{run}/{self._attempt}" if self._attempt else run

    def has_gap(self, records: JobRecords) -> bool:
        """Whether another process has planned rows of the job before this slice of it."""
        is_known = self.fence is not None and records.fence - self.fence in (0, 1)
        return not is_known and records.last > 0

    def before(self, batch: Sequence[Record], keys_of: KeysOf) -> list[Record]:
        """The earlier records that share a key with one of a batch, which is kept for later."""
        keys = {record.row: {hash(key) for key in keys_of(record)} for record in batch}
        self.add([record for record in batch if keys[record.row]], keys_of)
        rows: set[int] = set()
        for row, own in keys.items():
            for key in own:
                rows.update(
                    one for (one,) in self._database.execute(_FIND, (key, row, MAX_EARLIER))
                )
        return [self._record(row) for row in sorted(rows - keys.keys())[-MAX_EARLIER:]]

    def add(self, batch: Sequence[Record], keys_of: KeysOf) -> None:
        """Keep records for the rows behind them."""
        contents = [(one.row, one.key, pack_line(dict(one.values))) for one in batch]
        keys = [(hash(key), one.row) for one in batch for key in keys_of(one)]
        self._database.execute("BEGIN")
        self._database.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", contents)
        self._database.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?)", keys)
        self._database.execute("COMMIT")

    def is_repeated(self, row: int, name: str | None) -> bool:
        """Note which record a row means; return whether an earlier one means it, too."""
        if name is None:
            return False
        self._database.execute("INSERT OR IGNORE INTO meant VALUES (?, ?)", (name, row))
        find = "SELECT row FROM meant WHERE name = ?"
        with closing(self._database.execute(find, (name,))) as found:
            first: int = found.fetchone()[0]
        return first < row

    def _record(self, row: int) -> Record:
        find = "SELECT key, content FROM records WHERE row = ?"
        key, content = self._database.execute(find, (row,)).fetchone()
        return Record(row, unpack_line(content), key)


def _new_database() -> sqlite3.Connection:
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    database.executescript(_SCHEMA)
    return database


class EarlierRowsOfJobs:
    """The rows of the jobs that this process has planned last."""

    def __init__(self) -> None:
        self._jobs: dict[int, EarlierRows] = {}

    def of(self, job_id: int) -> EarlierRows:
        """The rows of a job. Those of the job that was not planned for longest are forgotten."""
        rows = self._jobs.pop(job_id, None) or EarlierRows()
        if len(self._jobs) == MAX_JOBS:
            self._jobs.pop(next(iter(self._jobs)))
        self._jobs[job_id] = rows
        return rows
