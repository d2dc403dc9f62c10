"""Which rows of a file mean a record that an earlier row means, too, and would have it otherwise.

One row must never silently take the place of another. Which of two is right, nobody can say: the
later one is refused. The file decides, not the order in which rows are sent, so that it holds over
kills and takeovers. This process knows the rows that it was handed; others are read from the file.

What rows mean is kept in a temporary SQLite database, which goes to disk as it grows
(https://sqlite.org/inmemorydb.html).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from openbulk.connectors.fields import FieldError
from openbulk.connectors.job_states import JobStates
from openbulk.domain.records import Record, Target
from openbulk.exact_json import encode_json

_SCHEMA = "CREATE TABLE records (name TEXT PRIMARY KEY, fields BLOB) WITHOUT ROWID"
_FIND = "SELECT fields FROM records WHERE name = ?"
_SET = "INSERT INTO records VALUES (?, ?) ON CONFLICT DO UPDATE SET fields = excluded.fields"


@dataclass(frozen=True, slots=True)
class Meaning:
    """The record that a row means."""

    field: str
    """The field that identifies it."""
    label: str
    """For a person."""
    name: str
    """Equal for all rows that mean this record."""
    fields: Mapping[str, Any]
    """What the row says of it."""


MeaningOf = Callable[[Record], Meaning | None]
"""The record that a row means; None if it is a new one in any case, or refused."""


class RepeatedRows:
    """The rows of the jobs of one connector."""

    def __init__(self) -> None:
        self._jobs = JobStates(_JobRows)

    async def problems(
        self, target: Target, batch: Sequence[Record], meaning_of: MeaningOf
    ) -> Mapping[int, FieldError]:
        """What is wrong with rows of a batch that differ from an earlier row of the file."""
        if target.job_records is None or not batch:
            return {}
        return await self._jobs.of(target.run).problems(target, batch, meaning_of)


class _JobRows:
    """The rows of one job."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute(_SCHEMA)
        self._known_until = 0
        """All rows up to here are known."""
        self._loading = asyncio.Lock()

    async def problems(
        self, target: Target, batch: Sequence[Record], meaning_of: MeaningOf
    ) -> Mapping[int, FieldError]:
        # Rows are sent concurrently: the first one loads, and the others wait for it.
        async with self._loading:
            last = max(record.row for record in batch)
            if last > self._known_until + len(batch):
                await self._load(target, last, meaning_of)
            found = {record.row: self._problem(record, meaning_of(record)) for record in batch}
            self._known_until = max(self._known_until, last)
        return {row: problem for row, problem in found.items() if problem is not None}

    async def _load(self, target: Target, last: int, meaning_of: MeaningOf) -> None:
        """Learn what the rows up to this one mean, which this process has not all been handed."""
        assert target.job_records is not None
        async for record, _ in target.job_records.each(after=self._known_until):
            if record.row > last:
                break
            self._problem(record, meaning_of(record))

    def _problem(self, record: Record, meaning: Meaning | None) -> FieldError | None:
        """Note what a row says, and return how it differs from earlier rows, if it does."""
        if meaning is None:
            return None
        found = self._database.execute(_FIND, (meaning.name,)).fetchone()
        known = orjson.loads(found[0]) if found else {}
        said = {name: [record.row, _digest(value)] for name, value in meaning.fields.items()}
        first = {name: known.get(name, one) for name, one in said.items()}
        if len(known) < len({**known, **said}) or not found:
            merged = orjson.dumps({**first, **known})
            self._database.execute(_SET, (meaning.name, merged))
        others = {
            name: row
            for name, (row, digest) in first.items()
            if row < record.row and digest != said[name][1]
        }
        return _problem_of(meaning, others) if others else None


def _digest(value: Any) -> int:
    return hash(encode_json(value))


def _problem_of(meaning: Meaning, others: Mapping[str, int]) -> FieldError:
    row = min(others.values())
    return FieldError(
        meaning.field,
        f"row {row} has the {meaning.label}, too, and differs in {' and '.join(sorted(others))}; "
        "keep one of them",
    )
