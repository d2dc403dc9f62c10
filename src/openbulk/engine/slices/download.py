"""One slice of a download: it reads pages from the service, and keeps the wanted records in parts.

A part and the position after it are committed together. After any crash, the next slice continues
after the last part.

If a service keeps a feed of changes, a download that reads to the end leaves a bookmark. A later
download of the changes since then begins at that bookmark. If a page token or a bookmark has
expired, the download restarts, and reads everything.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

import structlog

from openbulk.connectors.answers import PageCount
from openbulk.connectors.base import Connector, Features
from openbulk.connectors.targets import refusal_to_read, resolve_object
from openbulk.domain.errors import (
    AnswerLost,
    BadInput,
    CallWithdrawn,
    CursorExpired,
    Fenced,
    NotFound,
    RetryLater,
    ServiceError,
)
from openbulk.domain.job import Position, Status
from openbulk.domain.query import Bookmark, Page, PageRequest, Query
from openbulk.domain.records import flatten
from openbulk.engine.backoff import MAX_RESENDS, wait_before_resend
from openbulk.engine.pages import (
    position_after,
    presenter_of,
    query_for_connector,
    wanted_records,
)
from openbulk.engine.renamed_messages import message_shown
from openbulk.engine.slices.deadline import SliceDeadline
from openbulk.engine.slices.ending import Complete, Continue, Ending, Fail, ending_of
from openbulk.engine.slices.external_sort import RUN_BYTES, forget_unsorted, sort
from openbulk.engine.slices.memory import MemoryShare
from openbulk.engine.slices.pauses import Pauses
from openbulk.exact_json import pack_line, trim
from openbulk.reading.packing import BYTES_PER_PART, RECORDS_PER_PART
from openbulk.storage.bookmarks import Feed, feed_of
from openbulk.storage.download_ledger import DownloadLedger
from openbulk.storage.files import FileStore, Part
from openbulk.storage.slice_ledger import SliceLedger

log = structlog.get_logger()

MAX_PAGE_SIZE = 2_500
"""Maximum records in one page; they are held in memory."""
FIRST_POLL_SECONDS = 0.05
MAX_POLL_SECONDS = 2.0
"""Pauses between two reads while the service still prepares the records."""
SPARSE_PAGE_SIZE = 100
"""A service whose pages are smaller than this is not known."""
MAX_RESTARTS = 3
"""A job that has to restart more often fails."""


class DownloadSlice:
    """Runs one slice of one job."""

    def __init__(
        self,
        ledger: SliceLedger,
        *,
        connector: Connector,
        files: FileStore,
        deadline: SliceDeadline,
        memory: MemoryShare,
    ) -> None:
        self._job = ledger.job
        self._connector = connector
        self._ledger = ledger
        self._download_ledger = DownloadLedger(ledger)
        self._files = files
        self._deadline = deadline
        self._memory = memory
        self._download = ledger.job.download
        self._query = self._download.query
        self._condition = self._query.where
        self._present = presenter_of(self._query, keep_nulls=self._download.keeps_nulls)
        self._page_size = min(self._download.page_size or MAX_PAGE_SIZE, MAX_PAGE_SIZE)
        self._page_limit = _or_infinity(self._download.page_limit)
        # To sort, openbulk reads to the end: the first records are not known before.
        self._limit = inf if self._download.is_sorted_here else _or_infinity(self._query.limit)
        self._kept = ledger.job.cursor
        self._feed: Feed | None = None
        self._documents: frozenset[str] = frozenset()
        self._part = _Part(ledger.job.columns, ledger.job.position)

    async def run(self) -> Ending:
        """Read until the slice ends, and return how it ended.

        Raises Fenced if another process has taken over the slice.
        """
        if self._job.records is not None:
            return Complete()
        if self._job.position.is_end and self._download.is_sorted_here:
            return await self._sort()
        return await self._read_with_resends()

    async def _read_with_resends(self) -> Ending:
        resends = 0
        while True:
            begin = self._part.position
            try:
                return await self._read()
            except (NotFound, BadInput) as error:
                return Fail(Status.ERROR, message_shown(error.message, self._query))
            except CursorExpired as error:
                if not self._may_restart():
                    return Fail(Status.ERROR, f"{error.message}: start a new job")
                await self._restart()
            except CallWithdrawn as error:
                raise Fenced from error
            except ServiceError as error:
                # Progress resets the count: only consecutive failures end the slice.
                resends = resends + 1 if self._part.position == begin else 0
                await self._keep()
                if resends > MAX_RESENDS or not await self._may_resend(error):
                    return ending_of(error)
                await asyncio.sleep(wait_before_resend(resends + 1, random.random()))  # noqa: S311

    async def _may_resend(self, error: ServiceError) -> bool:
        """Whether to read the page again within this slice. Reading a page twice does no harm."""
        is_transient = isinstance(error, AnswerLost) or (
            isinstance(error, RetryLater) and error.after is None
        )
        return is_transient and not await self._deadline.is_over()

    async def _read(self) -> Ending:
        objects = await self._connector.objects()
        resolved = resolve_object(self._query.object, objects)
        refusal = refusal_to_read(resolved.name, objects)
        if refusal is not None:
            return Fail(Status.ERROR, refusal)
        features = objects[resolved.name]
        if features.applies_where:
            self._condition = None
        self._documents = frozenset(map(self._query.name_shown, features.documents))
        query = query_for_connector(
            self._query, resolved, is_sorted_by_service=self._download.is_sorted_by_service
        )
        await self._choose_feed(query, features)
        return await self._read_pages(query)

    async def _read_pages(self, query: Query) -> Ending:
        pause = FIRST_POLL_SECONDS
        async for page in self._pages(query):
            begin = self._part.position
            await self._take(page)
            is_same = page.next == begin.after
            # A page of which the rest is still to be read comes again.
            is_read = self._part.position.pages > begin.pages
            if is_read and page.next is not None and not is_same:
                self._count(page)
            is_end = self._part.position.is_end
            if is_end or self._part.is_full:
                await self._keep()
            if is_end:
                return await self._sort() if self._download.is_sorted_here else Complete()
            # The service still prepares the records; a new page token leads to other ones.
            if page.is_pending and is_same:
                pause = await self._wait_for_records(pause)
            if await self._deadline.is_over():
                await self._keep()
                return Continue()
        raise AssertionError("the connector's pages ended without a last page")

    async def _pages(self, query: Query) -> AsyncIterator[Page]:
        position = self._part.position
        if position.is_end:  # the job that this one continues has read everything
            yield Page([], None)
            return
        if position.restarts:
            # Reading everything leaves a new bookmark; `where` selects what was changed.
            query = replace(query, changed_since=None)
        request = PageRequest(self._page_size, position.after, position.since)
        async for page in self._connector.read(query, request):
            yield page

    async def _wait_for_records(self, pause: float) -> float:
        """Pause while the service prepares the records, and return the next pause."""
        await self._keep()
        await asyncio.sleep(pause)
        return min(MAX_POLL_SECONDS, pause * 1.5)

    # --- changes ---

    async def _choose_feed(self, query: Query, features: Features) -> None:
        """Begin at a bookmark, if there is one from before all wanted changes.

        A limit excludes it: the first records in a list of changes are not the object's first.
        """
        if not features.has_changes:
            return
        self._feed = feed_of(self._job.instance_id, query.object, query.parameters, self._page_size)
        is_limited = min(self._limit, self._page_limit) < inf
        if is_limited or query.changed_since is None or self._part.position != Position():
            return
        since = await self._download_ledger.bookmark(self._feed, query.changed_since)
        self._part.position = Position(since=since)

    def _may_restart(self) -> bool:
        """Whether to restart: at most MAX_RESTARTS times, and not if it continues another job."""
        position = self._part.position
        return not position.continues and position.restarts < MAX_RESTARTS

    async def _restart(self) -> None:
        """Forget the kept records and the lost bookmark.

        From now on the job reads all records, changed or not; `where` selects the wanted ones.
        """
        before, since = self._part.position, self._query.changed_since
        position = Position(restarts=before.restarts + 1)
        lost = None
        if self._feed and before.since and since:
            lost = (self._feed, since)
        await self._download_ledger.restart(position, lost=lost)
        log.info(
            "download restarted",
            job=self._job.id,
            kept=self._kept,
            had_bookmark=before.since is not None,
        )
        self._kept, self._part = 0, _Part((), position)

    # --- parts ---

    async def _take(self, page: Page) -> None:
        """Add the wanted records of a page to the part, and move its position after them.

        Large records fill several parts, which are kept one by one.
        """
        begin = self._part.position
        position = position_after(page, begin)
        pauses = Pauses()
        for number, record in wanted_records(page, begin, self._condition):
            await pauses.take_if_due()
            if self._room <= 0:
                position = replace(begin, skip=number)
                break
            selected = self._present(record)
            line = trim(pack_line(selected, default=str))
            if not self._part.has_room(line):
                self._part.position = replace(begin, skip=number)
                await self._keep()
            self._part.add(selected, line, self._documents)
        part = self._part
        is_end = self._room <= 0 or position.pages >= self._page_limit
        part.position = replace(position, is_end=is_end or position.is_end)
        # A bookmark stands for the whole list, so a page that was not read to its end leaves none.
        if position.pages > begin.pages:
            part.bookmark = page.bookmark

    def _count(self, page: Page) -> None:
        """Count a page that is not the last. Raises Refused if the list has no end."""
        position = self._part.position
        # The connector knows the size of the service's pages, and is stricter within one slice.
        size = min(self._page_size, SPARSE_PAGE_SIZE)
        count = PageCount(size, position.sparse, position.pages, position.mark)
        listed = len(page.records) if page.listed is None else page.listed
        count.add(listed, "the service", page.next)
        self._part.position = replace(position, sparse=count.sparse, mark=count.mark)

    @property
    def _room(self) -> float:
        """How many more records are wanted."""
        return self._limit - self._kept - len(self._part.lines)

    async def _keep(self) -> None:
        """Commit the part, and begin the next one. Raises Fenced."""
        part = self._part
        first_row = self._kept + 1
        size, bookmark = 0, None
        if self._feed and part.bookmark:
            bookmark = (self._feed, part.bookmark)
        if part.lines:
            await self._ledger.lease.wait_until_held()
            # The fence is in the path: a process that lost the slice cannot overwrite this part.
            path = Part(first_row, self._ledger.fence).path(self._download.file)
            content = b"\n".join(part.lines)
            await self._files.put(path, content)
            size = len(content)
        await self._download_ledger.commit_part(
            first_row=first_row,
            records=len(part.lines),
            size=size,
            position=part.position,
            columns=list(part.columns),
            is_last=part.position.is_end and not self._download.is_sorted_here,
            bookmark=bookmark,
        )
        self._kept += len(part.lines)
        self._part = _Part(tuple(part.columns), part.position)

    async def _sort(self) -> Ending:
        """Sort all records in this slice: a later slice cannot continue a sort."""
        file = self._download.file
        await self._memory.admit(RUN_BYTES, self._deadline.must_stop)
        parts = await self._download_ledger.parts_from(1)
        cut = await sort(
            self._files,
            file,
            parts,
            self._query.shown_order,
            self._query.limit,
            self._deadline.must_stop,
        )
        if cut is None:
            return Continue()
        # The ledger first: until it names the sorted parts, a restart needs the unsorted ones.
        await self._download_ledger.replace_parts(cut.records, cut.first_rows)
        await forget_unsorted(self._files, file)
        return Complete()


def _or_infinity(limit: int | None) -> float:
    return inf if limit is None else limit


class _Part:
    """Records on their way into the file store, and the position after them."""

    def __init__(self, columns: Sequence[str], position: Position) -> None:
        self.columns = dict.fromkeys(columns)
        self.position = position
        self.lines: list[bytes] = []
        self.bookmark: Bookmark | None = None
        """The feed's bookmark, once the feed has been read to its end."""
        self._bytes = 0

    def has_room(self, line: bytes) -> bool:
        return not self.lines or self._bytes + len(line) <= BYTES_PER_PART

    def add(self, record: Mapping[str, Any], line: bytes, documents: frozenset[str]) -> None:
        wholes = dict.fromkeys(documents & record.keys()) if documents else {}
        self.columns |= dict.fromkeys(flatten({**record, **wholes} if wholes else record))
        self.lines.append(line)
        self._bytes += len(line)

    @property
    def is_full(self) -> bool:
        return len(self.lines) >= RECORDS_PER_PART or self._bytes >= BYTES_PER_PART
