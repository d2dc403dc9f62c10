"""For slices of a download: a service that has numbers, a ledger and a file store."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from openbulk.byte_budget import ByteBudget
from openbulk.connectors.base import Connector, Features, NativeBulk
from openbulk.domain.errors import NotFound, ServiceError
from openbulk.domain.job import Download, Job
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Outcome, Record, Target
from openbulk.engine.slices.deadline import SliceDeadline
from openbulk.engine.slices.download import DownloadSlice
from openbulk.engine.slices.downloaded_records import Result
from openbulk.engine.slices.ending import Ending
from openbulk.engine.slices.external_sort import sorted_file
from openbulk.engine.slices.memory import MemoryShare, Seats
from openbulk.storage.files import FileStore
from openbulk.storage.ledger import Ledger
from openbulk.storage.slice_ledger import SliceLedger

COUNT = 25
ALL = list(range(1, COUNT + 1))
QUERY_FIELDS = {one.name for one in fields(Query)}


@dataclass
class Numbered(Connector):
    """A service with records numbered 1 to COUNT; each of `failures` is raised before its page."""

    failures: dict[int, ServiceError] = field(default_factory=dict)
    draining: asyncio.Event | None = None
    pages: list[int] = field(default_factory=list)

    @property
    def native(self) -> NativeBulk | None:
        return None

    async def check(self) -> None: ...

    async def objects(self) -> Mapping[str, Features]:
        return {"things": Features(paths=("boxes/{box}/things",))}

    async def metadata(self, object: str) -> Mapping[str, Any]:
        return {}

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        begin = int(request.after or 0)
        while True:
            number = begin // request.size + 1
            if error := self.failures.pop(number, None):
                raise error
            self.pages.append(number)
            end = min(COUNT, begin + request.size)
            yield Page(
                [{"n": n, "odd": n % 2} for n in range(begin + 1, end + 1)],
                str(end) if end < COUNT else None,
            )
            if end == COUNT:
                return
            begin = end

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        raise NotFound(id)

    async def close(self) -> None:
        pass

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        return {}

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        return []


@dataclass
class Bench:
    """A ledger and a file store, and the slices of their jobs."""

    ledger: Ledger
    files: FileStore

    async def job(self, *, instance: int = 1, **more: Any) -> Job:
        file = os.urandom(4).hex()
        of_query = {name: more.pop(name) for name in QUERY_FIELDS & more.keys()}
        query = Query(**{"object": "things", **of_query})
        download = Download(query, file, **{"page_size": 4, **more})
        return await self.ledger.add_job(
            download, organization_id=1, instance_id=instance, request_id="r", now=datetime.now(UTC)
        )

    async def run_slice(self, job: Job, connector: Numbered) -> Ending:
        begun = await self.begin(job)
        ending = await self.slice_of(begun, connector).run()
        await begun.end()
        return ending

    async def begin(self, job: Job) -> SliceLedger:
        now = await self.ledger.job(job.id)
        assert now is not None
        begun = await self.ledger.begin_slice(job.id, now.slice, datetime.now(UTC))
        assert begun is not None
        return begun

    def slice_of(self, begun: SliceLedger, connector: Numbered) -> DownloadSlice:
        draining = connector.draining or asyncio.Event()
        deadline = SliceDeadline(begun, draining, lambda: datetime.now(UTC))
        return DownloadSlice(
            begun,
            connector=connector,
            files=self.files,
            deadline=deadline,
            memory=MemoryShare(ByteBudget(1), Seats(1, 0, 0.0), "things"),
        )

    async def numbers(self, job: Job) -> list[int]:
        parts = await self.ledger.parts_from(job.id, 1)
        file = sorted_file(job.download.file) if job.download.query.order else job.download.file
        result = Result(self.files, file, parts)
        return [record["n"] for record in await asyncio.to_thread(list, result)]
