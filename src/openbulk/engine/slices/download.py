"""One turn of a download: pages come from the service, and what is wanted of them is kept in parts.

A part and the position behind it are written down together: whatever dies, the next turn goes on behind the last part.
Where a service keeps a feed of changes, a download that has read to its end leaves a bookmark, and one that wants what
was changed since a later moment begins there. Where the service has forgotten the place, everything is read anew.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import structlog

from openbulk.connectors.base import Connector, Features
from openbulk.connectors.targets import refusal_to_read, resolve_object
from openbulk.domain.errors import (
    AnswerLost,
    CallWithdrawn,
    CursorExpired,
    Fenced,
    NotFound,
    RetryLater,
    ServiceError,
)
from openbulk.domain.job import Download, Position, Status
from openbulk.domain.query import Bookmark, Page, PageRequest, Query, fields_of, holds
from openbulk.domain.records import flatten, nest, value_at
from openbulk.engine.retry import MAX_RESENDS, wait_before_resend
from openbulk.engine.slices.deadline import SliceDeadline
from openbulk.engine.slices.ending import Complete, Continue, Ending, Fail, ending_of
from openbulk.engine.slices.parts import BYTES_PER_PART, RECORDS_PER_PART
from openbulk.engine.slices.sorting import forget_unsorted, sort
from openbulk.storage.bookmarks import Feed, feed_of
from openbulk.storage.files import FileStore, Part
from openbulk.storage.slice_ledger import SliceLedger

log = structlog.get_logger()

PAGE_SIZE = 2_500
"""Most records that are asked for at a time; they are held in memory."""
POLL_FIRST = 0.05
POLL_MOST = 2.0
"""Seconds between two questions whether a service has records ready."""
MAX_RESTARTS = 3
"""How often a job reads from the beginning again, before it ends."""


class DownloadSlice:
    """Runs one turn of one job."""

    def __init__(
        self,
        ledger: SliceLedger,
        *,
        connector: Connector,
        files: FileStore,
        deadline: SliceDeadline,
    ) -> None:
        self._job = ledger.job
        self._connector = connector
        self._ledger = ledger
        self._files = files
        self._deadline = deadline
        self._kept = ledger.job.cursor
        self._wanted = ledger.job.download.where
        self._feed: Feed | None = None
        self._part = _Part(ledger.job.columns, ledger.job.position)

    async def run(self) -> Ending:
        """Read until the turn ends; how it ended. Raises Fenced where somebody else took over."""
        if self._job.records is not None:
            return Complete()
        if self._job.position.is_end and self._job.download.is_sorted_here:
            return await self._sort()
        resends = 0
        while True:
            begin = self._part.position
            try:
                return await self._read()
            except NotFound as error:
                return Fail(Status.ERROR, error.message)
            except CursorExpired as error:
                if not self._may_restart:
                    return Fail(Status.ERROR, f"{error.message}: ask for it as a new job")
                await self._restart()
            except CallWithdrawn as error:
                raise Fenced from error
            except ServiceError as error:
                resends = 0 if self._part.position != begin else resends + 1
                await self._keep()
                if not _is_hiccup(error) or resends > MAX_RESENDS or await self._deadline.is_over():
                    return ending_of(error)
                await asyncio.sleep(wait_before_resend(resends + 1, random.random()))  # noqa: S311

    async def _read(self) -> Ending:
        objects = await self._connector.objects()
        name, told = resolve_object(self._job.download.object, objects)
        if (refusal := refusal_to_read(name, objects)) is not None:
            return Fail(Status.ERROR, refusal)
        self._wanted = None if objects[name].applies_where else self._job.download.where
        await self._choose_feed(name, told, objects[name])
        pause = POLL_FIRST
        async for page in self._pages(name, told):
            self._take(page)
            if self._part.is_full or self._part.position.is_end:
                await self._keep()
            if not page.records and page.next:
                pause = await self._wait_for_records(pause)
            if self._part.position.is_end:
                return await self._sort() if self._job.download.is_sorted_here else Complete()
            if await self._deadline.is_over():
                await self._keep()
                return Continue()
        raise AssertionError("a connector's last page says that it is the last")

    async def _choose_feed(self, name: str, told: Mapping[str, str], features: Features) -> None:
        """Begin at a bookmark, where there is one from which on every change is known that is asked for.

        Not where a limit bounds what is read: the records that come first in a list of changes are others.
        """
        if not features.has_changes:
            return
        download = self._job.download
        parameters = {**told, **download.parameters}
        self._feed = feed_of(self._job.instance_id, name, parameters, _page_size(download))
        is_bounded = self._limit is not None or download.page_limit is not None
        if self._part.position != Position() or download.changed_since is None or is_bounded:
            return
        since = await self._ledger.bookmark(self._feed, download.changed_since)
        self._part.position = Position(since=since)

    @property
    def _may_restart(self) -> bool:
        """Not where what was read before belongs to another job, and not for ever."""
        return not self._part.position.continues and self._part.position.restarts < MAX_RESTARTS

    async def _restart(self) -> None:
        """Forget what was kept, and the bookmark: from now on everything is read, whenever it was changed."""
        before, until = self._part.position, self._job.download.changed_since
        position = Position(restarts=before.restarts + 1)
        lost = (self._feed, until) if self._feed and before.since and until else None
        await self._ledger.restart_download(position, lost=lost)
        log.info(
            "reading anew", job=self._job.id, kept=self._kept, of_changes=before.since is not None
        )
        self._kept, self._part = 0, _Part((), position)

    async def _sort(self) -> Ending:
        """Everything has been read: bring it into its order, in one go."""
        download = self._job.download
        parts = await self._ledger.parts_from(1)
        done = await sort(
            self._files,
            download.file,
            parts,
            download.order,
            download.limit,
            self._deadline.is_called_off,
        )
        if done is None:
            return Continue()
        await self._ledger.replace_parts(done.records, done.first_rows)
        await forget_unsorted(self._files, download.file)
        return Complete()

    @property
    def _limit(self) -> int | None:
        """How many records to read: all of them, where they are sorted before they are counted."""
        return None if self._job.download.is_sorted_here else self._job.download.limit

    async def _wait_for_records(self, pause: float) -> float:
        """The service still works on them; how long to wait the next time."""
        await self._keep()
        await asyncio.sleep(pause)
        return min(POLL_MOST, pause * 1.5)

    async def _pages(self, name: str, told: Mapping[str, str]) -> AsyncIterator[Page]:
        download, position = self._job.download, self._part.position
        if position.is_end:  # of the job that this one goes on with
            yield Page([], None)
            return
        query = query_of(download, name, told, position)
        request = PageRequest(_page_size(download), position.after, position.since)
        async for page in self._connector.read(query, request):
            yield page

    def _take(self, page: Page) -> None:
        """Take the records of a page that are wanted, as many as are."""
        download, part = self._job.download, self._part
        begin = part.position.skip
        for number, record in enumerate(page.records[begin:], begin + 1):
            if self._limit is not None and self._kept + len(part.lines) >= self._limit:
                part.position = replace(part.position, skip=number - 1, is_end=True)
                return
            if self._wanted is None or holds(self._wanted, record):
                part.add(chosen(record, download))
        pages = part.position.pages + 1
        is_enough = (self._limit is not None and self._kept + len(part.lines) >= self._limit) or (
            download.page_limit is not None and pages >= download.page_limit
        )
        part.position = replace(
            part.position,
            after=page.next,
            skip=0,
            is_end=page.next is None or is_enough,
            pages=pages,
        )
        part.bookmark = page.bookmark

    async def _keep(self) -> None:
        """Write the part down. Raises Fenced."""
        part = self._part
        first_row = self._kept + 1
        if part.lines:
            await self._ledger.hold()
            await self._files.put(
                Part(first_row, self._ledger.fence).path(self._job.download.file),
                b"\n".join(part.lines),
            )
        await self._ledger.commit_part(
            first_row=first_row,
            records=len(part.lines),
            position=part.position,
            columns=list(part.columns),
            is_last=part.position.is_end and not self._job.download.is_sorted_here,
            bookmark=(self._feed, part.bookmark) if self._feed and part.bookmark else None,
        )
        self._kept += len(part.lines)
        self._part = _Part(tuple(part.columns), part.position)


def query_of(download: Download, name: str, told: Mapping[str, str], position: Position) -> Query:
    """What to ask the service for from a position on; `name` and `told` are its object by `resolve_object`."""
    return Query(
        name,
        parameters={**told, **download.parameters},
        fields=_needed(download),
        # Reading everything leaves a new bookmark; the condition chooses what was changed since.
        changed_since=None if position.restarts else download.changed_since,
        where=download.where,
        order=download.order if download.is_sorted_by_service else (),
    )


def _page_size(download: Download) -> int:
    return min(download.page_size or PAGE_SIZE, PAGE_SIZE)


def _needed(download: Download) -> tuple[str, ...]:
    """The fields that are asked for, and those that the condition looks at."""
    if not download.fields:
        return ()
    return (*download.fields, *(fields_of(download.where) if download.where else ()))


def _is_hiccup(error: ServiceError) -> bool:
    """Whether a page may be asked for again at once: reading it twice does no harm."""
    return isinstance(error, AnswerLost) or (isinstance(error, RetryLater) and error.after is None)


def chosen(record: Mapping[str, Any], download: Download) -> Mapping[str, Any]:
    """The fields of a record that were asked for, less those that it does not have."""
    if not download.fields:
        return record
    found = {name: value_at(record, name) for name in download.fields}
    return nest(
        {name: value for name, value in found.items() if value is not None or download.keeps_nulls}
    )


class _Part:
    """Records on their way into the file store."""

    def __init__(self, columns: Sequence[str], position: Position) -> None:
        self.columns = dict.fromkeys(columns)
        self.position = position
        self.lines: list[bytes] = []
        self.bookmark: Bookmark | None = None
        """Of the feed that has been read to its end."""
        self._bytes = 0

    def add(self, record: Mapping[str, Any]) -> None:
        self.columns |= dict.fromkeys(flatten(record))
        self.lines.append(orjson.dumps(record, default=str))
        self._bytes += len(self.lines[-1])

    @property
    def is_full(self) -> bool:
        return len(self.lines) >= RECORDS_PER_PART or self._bytes >= BYTES_PER_PART
