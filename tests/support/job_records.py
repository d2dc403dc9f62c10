"""The records of a job, for tests of connectors to which one of them means another."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from openbulk.domain.records import Record


class JobFile:
    """The records of a job's file, as the engine hands them to a connector in its first slice."""

    fence, cursor, last = 1, 0, 0

    def __init__(self, rows: Mapping[int, Mapping[str, Any]]) -> None:
        """`rows` are the values of each row, by its number."""
        self._rows = rows
        self.reads: list[int] = []
        """Behind which rows the connector has begun to read."""

    @classmethod
    def of(cls, *rows: Mapping[str, Any]) -> "JobFile":
        """A file of these rows."""
        return cls(dict(enumerate(rows, 1)))

    async def each(self, after: int = 0) -> AsyncIterator[tuple[Record, str | None]]:
        self.reads.append(after)
        for number, values in self._rows.items():
            if number > after:
                yield Record(number, values), None
