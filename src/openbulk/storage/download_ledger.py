"""What the slice of a download reads from the ledger and writes there."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import case, delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.domain.job import Position
from openbulk.domain.query import Bookmark
from openbulk.storage.bookmarks import Feed, forget_bookmarks, keep_bookmark, newest_bookmark
from openbulk.storage.files import Part
from openbulk.storage.slice_ledger import SliceLedger, parts_from
from openbulk.storage.tables import jobs, parts


class DownloadLedger:
    """The parts of a download, its position, and its bookmarks, behind the fence of a slice."""

    def __init__(self, slice_ledger: SliceLedger) -> None:
        self._slice = slice_ledger

    async def parts_from(self, row: int) -> Sequence[Part]:
        """The part that holds a row, and the parts after it."""
        return await self._slice.read(partial(parts_from, job_id=self._slice.job.id, row=row))

    async def commit_part(
        self,
        *,
        first_row: int,
        records: int,
        size: int,
        position: Position,
        columns: Sequence[str],
        is_last: bool,
        bookmark: tuple[Feed, Bookmark] | None = None,
    ) -> None:
        """Record a new part of a download: `records` records in `size` bytes, from `first_row` on.

        `position` is after the part. At the end of a feed of changes, `bookmark` is the place where
        the next download begins to read that feed.
        """
        count = first_row - 1 + records
        changes: dict[str, Any] = {
            "cursor": count,
            # A repeated write finds its own cursor.
            "kept_bytes": case(
                (jobs.c.cursor < count, jobs.c.kept_bytes + size), else_=jobs.c.kept_bytes
            ),
            "position": asdict(position),
            "columns": list(columns),
            "slice_attempts": 0,
            "waits": 0,
            "waiting_for": None,
        }
        if is_last:
            changes["records"] = count
        part = {"job_id": self._slice.job.id, "first_row": first_row}

        async def write(connection: AsyncConnection) -> None:
            await self._slice.change_job(connection, **changes)
            if records:
                # A superseded runner may have recorded a part here; replace it.
                await connection.execute(delete(parts).filter_by(**part))
                await connection.execute(insert(parts).values(**part, fence=self._slice.fence))
            if bookmark is not None:
                await keep_bookmark(connection, *bookmark)

        await self._slice.write(write)

    async def bookmark(self, feed: Feed, until: datetime) -> str | None:
        """A feed's newest bookmark taken at or before `until`; None if there is none."""
        return await self._slice.read(partial(newest_bookmark, feed=feed, until=until))

    async def restart(self, position: Position, *, lost: tuple[Feed, datetime] | None) -> None:
        """Begin the download again: forget its parts.

        With `lost`, also forget that feed's bookmarks taken at or before that time.
        """

        async def write(connection: AsyncConnection) -> None:
            await self._slice.change_job(
                connection, cursor=0, kept_bytes=0, position=asdict(position), columns=[]
            )
            await self._slice.write_parts(connection, [])
            if lost is not None:
                await forget_bookmarks(connection, *lost)

        await self._slice.write(write)

    async def replace_parts(self, records: int, first_rows: Sequence[int]) -> None:
        """Record that a download was sorted and split into new parts."""

        async def write(connection: AsyncConnection) -> None:
            changes = {"cursor": records, "records": records, "slice_attempts": 0}
            await self._slice.change_job(connection, **changes)
            await self._slice.write_parts(connection, first_rows)

        await self._slice.write(write)
