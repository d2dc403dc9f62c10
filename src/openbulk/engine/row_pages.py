"""Pages of the rows of an upload with what became of each, by kind, and by text that they have."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from openbulk.domain.job import Job
from openbulk.domain.mending import Mend
from openbulk.domain.row_kinds import RowChoice, RowKind, RowKinds
from openbulk.engine.mending import MendedRow
from openbulk.engine.results import ResultRow, kinds_of_rows, results_of
from openbulk.exact_json import encode_json
from openbulk.storage.files import FileStore
from openbulk.storage.ledger import Ledger
from openbulk.storage.mends import Mends

MAX_SEARCHED = 20_000
"""Rows that are read for one page of a search: it ends early, and the next page goes on."""
MAX_PAGE_CHARACTERS = 4 * 1024 * 1024
"""A page ends early once its rows have so many characters."""


@dataclass(frozen=True, slots=True)
class RowPage:
    """Some rows of a job, in the order of its file."""

    rows: Sequence[MendedRow]
    next_after: int | None
    """The row after which the next page begins; None if there is none."""


class RowPages:
    """Reads the rows of jobs page by page."""

    def __init__(self, ledger: Ledger, files: FileStore, mends: Mends) -> None:
        self._ledger = ledger
        self._files = files
        self._mends = mends

    async def page(
        self, job: Job, *, wanted: Collection[RowKind], search: str, after: int, limit: int
    ) -> RowPage:
        """The rows of these kinds behind the row `after`, at most `limit`.

        With `search`, those that have the text in a value, an id or an error, in any case. Raises
        Conflict if the rows cannot be read, now or any more.
        """
        kinds = await kinds_of_rows(self._ledger, job)
        chosen = kinds.choose(wanted).following(after)
        read = chosen.first(MAX_SEARCHED if search else limit)
        found, last = await self._rows(job, kinds, read, search, limit)
        has_more = chosen.has_any(last + 1, kinds.records)
        return RowPage(found, last if has_more else None)

    async def _rows(
        self, job: Job, kinds: RowKinds, chosen: RowChoice, search: str, limit: int
    ) -> tuple[Sequence[MendedRow], int]:
        """Those of the chosen rows that are on the page, and the last row that was looked at."""
        wanted, room, last = search.casefold(), MAX_PAGE_CHARACTERS, 0
        found: list[MendedRow] = []
        results = await results_of(self._ledger, self._files, job, kinds, chosen)
        async with aclosing(results.parts()) as parts:
            async for part in parts:
                mends = await self._mends_of(job, part)
                for result in part:
                    last = result.row.number
                    row = MendedRow(result, mends.get(last))
                    text = _text_of(row)
                    if wanted in text.casefold():
                        found.append(row)
                        room -= len(text)
                    if len(found) == limit or room < 0:
                        return found, last
        return found, last

    async def _mends_of(self, job: Job, part: Sequence[ResultRow]) -> Mapping[int, Mend]:
        return await self._mends.between(
            job.id, job.upload, part[0].row.number, part[-1].row.number
        )


def _text_of(row: MendedRow) -> str:
    """All that a search looks at."""
    result = row.result
    texts = [result.id or "", result.row.unread or ""]
    if result.error is not None:
        texts += [result.error.problem, result.error.provider_message or ""]
    values = [*(result.row.values or result.row.cells or {}).values()]
    if row.mend is not None:
        values += row.mend.values.values()
    return "\n".join([*texts, *map(_text_of_value, values)])


def _text_of_value(value: Any) -> str:
    return value if isinstance(value, str) else encode_json(value, default=str).decode()
