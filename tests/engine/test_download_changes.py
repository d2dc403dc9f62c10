"""Downloads of changes: from a bookmark on, and exact even if the bookmark has expired."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from openbulk.connectors.base import Features
from openbulk.domain.conditions import Comparison
from openbulk.domain.errors import CursorExpired, RetryLater
from openbulk.domain.job import Job, Position, Status
from openbulk.domain.query import Bookmark, Order, Page, PageRequest, Query
from openbulk.engine.slices.download import MAX_RESTARTS
from openbulk.engine.slices.ending import Complete, Continue, Fail, Snooze
from openbulk.storage.download_ledger import DownloadLedger
from support.downloads import ALL, Bench, Numbered

NIGHT = datetime(2026, 9, 1, 3, tzinfo=UTC)
DAY = timedelta(days=1)
CHANGED = [2, 3, 5, 7, 11, 13, 17, 19, 23]


@dataclass
class Changing(Numbered):
    """The same with a feed of changes, which begins at a bookmark of a night."""

    night: datetime = NIGHT
    changed: list[int] = field(default_factory=lambda: CHANGED)
    forgotten: dict[str | None, int] = field(default_factory=dict)
    """Bookmarks, and the page of their feed that is not given any more."""
    asked: list[tuple[str | None, str | None, bool]] = field(default_factory=list)
    """Of each reading: bookmark, cursor, and whether it was bounded by a date."""

    async def objects(self) -> Mapping[str, Features]:
        return {
            "things": Features(paths=("boxes/{box}/things",), changed="updated", has_changes=True)
        }

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        self.asked.append((request.since, request.after, query.changed_since is not None))
        since = datetime.fromisoformat(request.since) if request.since else None
        numbers = self.changed if since else ALL
        begin = int(request.after or 0)
        while True:
            page = begin // request.size
            if request.since in self.forgotten and page >= self.forgotten[request.since]:
                raise CursorExpired("forgotten")
            if since is None and (error := self.failures.pop(page, None)):
                raise error
            end = begin + request.size
            records = [{"n": n, "updated": self.updated(n).isoformat()} for n in numbers[begin:end]]
            is_last = end >= len(numbers)
            bookmark = Bookmark(self.night.isoformat(), self.night) if is_last else None
            yield Page(records, None if is_last else str(end), bookmark)
            if is_last:
                return
            begin = end

    def updated(self, n: int) -> datetime:
        """Changed records were changed in the hour after a bookmark; the others long before."""
        return NIGHT + timedelta(hours=1) if n in self.changed else NIGHT - 100 * DAY


async def whole(bench: Bench, connector: Changing, **more: Any) -> None:
    """A first download, of everything."""
    assert await bench.run_slice(await bench.job(**more), connector) == Complete()
    connector.asked.clear()


async def changes(bench: Bench, since: datetime = NIGHT, **more: Any) -> Job:
    """A download of what was changed since."""
    where = Comparison("updated", ">=", (since.isoformat(),))
    return await bench.job(where=where, changed_since=since, **more)


async def test_what_was_changed_is_read_from_the_bookmark_of_an_earlier_download(
    bench: Bench,
) -> None:
    """And this one leaves a bookmark, too."""
    connector = Changing()
    await whole(bench, connector)
    connector.night = NIGHT + DAY
    for night in (NIGHT, NIGHT + timedelta(minutes=30)):
        job = await changes(bench, night)
        assert await bench.run_slice(job, connector) == Complete()
        assert await bench.numbers(job) == CHANGED
    assert connector.asked == [(NIGHT.isoformat(), None, True)] * 2
    job = await changes(bench, NIGHT + 2 * DAY)
    assert await bench.run_slice(job, connector) == Complete()
    assert connector.asked[-1] == ((NIGHT + DAY).isoformat(), None, True)
    assert await bench.numbers(job) == [], (
        "what was changed between the bookmark and the date is left out"
    )


async def test_a_bookmark_of_after_the_date_is_not_used(bench: Bench) -> None:
    """What was changed before it would be missed."""
    connector = Changing()
    await whole(bench, connector)
    job = await changes(bench, NIGHT - timedelta(milliseconds=1))
    assert await bench.run_slice(job, connector) == Complete()
    assert connector.asked == [(None, None, True)]
    assert await bench.numbers(job) == CHANGED


@pytest.mark.parametrize(
    "other",
    [
        {"instance": 2},
        {"parameters": {"showDeleted": "true"}},
        {"object": "boxes/7/things"},
        {"page_size": 5},
        {"limit": 100},
        {"page_limit": 100},
    ],
)
async def test_a_bookmark_is_for_the_same_records_asked_for_in_the_same_way(
    bench: Bench, other: dict[str, Any]
) -> None:
    """Not for another instance, other parameters or another page size; nor with a limit."""
    connector = Changing()
    await whole(bench, connector)
    job = await changes(bench, **other)
    assert await bench.run_slice(job, connector) == Complete()
    assert connector.asked == [(None, None, True)]
    assert await bench.numbers(job) == CHANGED


@pytest.mark.parametrize("bound", [{"limit": 20}, {"page_limit": 6}])
async def test_a_download_that_stops_before_the_end_leaves_no_bookmark(
    bench: Bench, bound: dict[str, Any]
) -> None:
    """The bookmark stands on the last page."""
    connector = Changing()
    await whole(bench, connector, **bound)
    await bench.run_slice(await changes(bench), connector)
    assert connector.asked == [(None, None, True)]


async def test_a_limit_of_what_is_sorted_does_not_bound_what_is_read(bench: Bench) -> None:
    """All changes are read, sorted, and counted."""
    connector = Changing()
    await whole(bench, connector)
    job = await changes(bench, order=(Order("n", descending=True),), limit=2)
    assert await bench.run_slice(job, connector) == Complete()
    assert connector.asked == [(NIGHT.isoformat(), None, True)]
    assert await bench.numbers(job) == [23, 19]


async def test_a_turn_that_is_cut_short_goes_on_among_the_changes(bench: Bench) -> None:
    """Whatever bookmarks there are by then."""
    connector = Changing(draining=asyncio.Event())
    await whole(bench, Changing())
    job = await changes(bench, NIGHT + timedelta(minutes=30))
    assert connector.draining is not None
    connector.draining.set()
    assert await bench.run_slice(job, connector) == Continue()
    await whole(bench, Changing(night=NIGHT + timedelta(minutes=20)))
    while await bench.run_slice(job, connector) != Complete():
        pass
    assert connector.asked == [(NIGHT.isoformat(), after, True) for after in (None, "4", "8")]
    assert await bench.numbers(job) == CHANGED


@pytest.mark.parametrize("page", [0, 1, 2])
@pytest.mark.parametrize("more", [{}, {"order": (Order("n"),)}])
async def test_a_forgotten_bookmark_means_reading_everything_anew(
    bench: Bench, page: int, more: dict[str, Any]
) -> None:
    """In the same job, on any page; no record comes twice, and the bookmark is not used again."""
    connector = Changing(forgotten={NIGHT.isoformat(): page})
    await whole(bench, connector)
    connector.night = NIGHT + DAY
    job = await changes(bench, **more)
    assert await bench.run_slice(job, connector) == Complete()
    assert connector.asked == [(NIGHT.isoformat(), None, True), (None, None, False)]
    assert await bench.numbers(job) == CHANGED
    now = await bench.ledger.job(job.id)
    assert now is not None
    assert (now.records, now.cursor, now.columns) == (9, 9, ("n", "updated"))
    connector.asked.clear()
    await bench.run_slice(await changes(bench), connector)
    await bench.run_slice(await changes(bench, NIGHT + DAY), connector)
    assert connector.asked == [(None, None, True), ((NIGHT + DAY).isoformat(), None, True)]


@pytest.mark.parametrize("page", [1, 2])
async def test_turns_of_a_job_never_mix_changes_with_everything(bench: Bench, page: int) -> None:
    """The bookmark is forgotten between two slices, and the job waits while it reads everything."""
    connector = Changing(draining=asyncio.Event())
    await whole(bench, Changing())
    job = await changes(bench)
    assert connector.draining is not None
    connector.draining.set()
    for _ in range(page):
        assert await bench.run_slice(job, connector) == Continue()
    assert await bench.numbers(job) == CHANGED[: 4 * page]
    connector.forgotten = {NIGHT.isoformat(): 0}
    connector.failures = {4: RetryLater("quota", after=60)}
    connector.draining.clear()
    assert await bench.run_slice(job, connector) == Snooze("quota", 60)
    assert await bench.run_slice(job, connector) == Complete()
    assert await bench.numbers(job) == CHANGED


async def test_a_crash_on_the_way_back_to_the_beginning_doubles_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is written down, and after."""
    connector = Changing(forgotten={NIGHT.isoformat(): 2})
    await whole(bench, connector)
    job = await changes(bench)
    restart, crashes = DownloadLedger.restart, ["before", "after"]

    async def crashing(*args: Any, **more: Any) -> None:
        if crashes and crashes.pop(0) == "before":
            raise ZeroDivisionError
        await restart(*args, **more)
        raise ZeroDivisionError

    monkeypatch.setattr(DownloadLedger, "restart", crashing)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await bench.run_slice(job, connector)
    assert await bench.run_slice(job, connector) == Complete()
    assert await bench.numbers(job) == CHANGED


async def test_a_page_that_is_not_known_any_more_means_reading_anew(bench: Bench) -> None:
    """A cursor runs out while a job waits for long."""
    connector = Changing(failures={3: RetryLater("quota", after=3600)})
    job = await bench.job()
    assert await bench.run_slice(job, connector) == Snooze("quota", 3600)
    connector.failures = {3: CursorExpired("forgotten")}
    assert await bench.run_slice(job, connector) == Complete()
    assert await bench.numbers(job) == ALL


async def test_reading_anew_ends_when_it_does_not_help(bench: Bench) -> None:
    """The job says so."""
    connector = Changing(forgotten={None: 3})
    job = await bench.job()
    assert await bench.run_slice(job, connector) == Fail(Status.ERROR, "forgotten: start a new job")
    assert len(connector.asked) == 1 + MAX_RESTARTS


async def test_what_another_job_began_cannot_be_read_anew(bench: Bench) -> None:
    """The records of that one would be there twice."""
    connector = Changing(failures={3: CursorExpired("forgotten")})
    job = await bench.job(begin=Position("8", continues=True))
    assert await bench.run_slice(job, connector) == Fail(Status.ERROR, "forgotten: start a new job")
