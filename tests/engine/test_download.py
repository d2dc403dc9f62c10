"""Slices of a download: every record is kept once, wherever a slice ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from openbulk.domain.conditions import Comparison
from openbulk.domain.errors import (
    AnswerLost,
    CallWithdrawn,
    Fenced,
    NotFound,
    RetryLater,
    ServiceError,
    SignInAgain,
)
from openbulk.domain.job import Position, Status
from openbulk.domain.query import Order, Page, PageRequest, Query
from openbulk.engine.slices import download as download_module
from openbulk.engine.slices.ending import Complete, Continue, Fail, Snooze
from openbulk.storage.download_ledger import DownloadLedger
from support.downloads import ALL, COUNT, Bench, Numbered


async def test_all_pages_are_kept_in_their_order(bench: Bench) -> None:
    """And the job knows how many, and which fields they have."""
    job = await bench.job()
    assert await bench.run_slice(job, Numbered()) == Complete()
    assert await bench.numbers(job) == ALL
    now = await bench.ledger.job(job.id)
    assert now is not None
    assert (now.records, now.cursor, now.columns) == (COUNT, COUNT, ("n", "odd"))


async def test_a_turn_that_is_cut_short_is_gone_on_with(bench: Bench) -> None:
    """No page is read twice."""
    job = await bench.job()
    draining = asyncio.Event()
    draining.set()
    connector = Numbered(draining=draining)
    while (ending := await bench.run_slice(job, connector)) != Complete():
        assert ending == Continue()
    assert connector.pages == [1, 2, 3, 4, 5, 6, 7]
    assert await bench.numbers(job) == ALL


class Endless(Numbered):
    """A service that always names a next page, and has no record on any."""

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        number = int(request.after or 0)
        while True:
            number += 1
            assert number < 500, "this list has no end"
            if self.draining is not None and number == 150:
                self.draining.set()
            yield Page([], str(number))


async def test_a_list_that_never_ends_ends_the_job_over_any_number_of_slices(bench: Bench) -> None:
    """The slices count its pages together."""
    job, connector = await bench.job(), Endless(draining=asyncio.Event())
    assert await bench.run_slice(job, connector) == Continue()
    connector.draining = None
    while (ending := await bench.run_slice(job, connector)) == Continue():
        pass
    assert isinstance(ending, Fail)
    assert "201 pages in a row with few of the" in ending.reason


class Circle(Numbered):
    """A service whose seventh page leads to its first one."""

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        number = int(request.after or 0)
        while True:
            number = number % 7 + 1
            self.pages.append(number)
            assert len(self.pages) < 100, "this list has no end"
            yield Page([{"n": number}] * 100, str(number))


async def test_a_list_that_goes_in_a_circle_ends_the_job_over_any_number_of_slices(
    bench: Bench,
) -> None:
    """The slices remember a page together: none is long enough to see one twice."""
    draining = asyncio.Event()
    draining.set()
    job, connector = await bench.job(page_size=100), Circle(draining=draining)
    while (ending := await bench.run_slice(job, connector)) == Continue():
        pass
    assert isinstance(ending, Fail)
    assert "a page whose next page is one that came before" in ending.reason


@pytest.mark.parametrize("error", [AnswerLost("lost"), RetryLater("busy")])
async def test_a_page_that_did_not_come_is_asked_for_again_at_once(
    bench: Bench, error: ServiceError
) -> None:
    """A transient error does not end the slice."""
    job = await bench.job()
    connector = Numbered(failures={3: error, 5: error})
    assert await bench.run_slice(job, connector) == Complete()
    assert connector.pages == [1, 2, 3, 4, 5, 6, 7]
    assert await bench.numbers(job) == ALL


async def test_a_page_of_large_records_fills_several_parts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice that ends between them goes on within the page."""
    monkeypatch.setattr(download_module, "BYTES_PER_PART", 30)
    commit_part, commits = DownloadLedger.commit_part, 0

    async def crash_at_the_fourth(self: DownloadLedger, **more: Any) -> None:
        nonlocal commits
        commits += 1
        if commits == 4:
            raise OSError
        await commit_part(self, **more)

    monkeypatch.setattr(DownloadLedger, "commit_part", crash_at_the_fourth)
    job = await bench.job(page_size=10)
    with pytest.raises(OSError, match=r"^$"):
        await bench.run_slice(job, Numbered())
    assert await bench.run_slice(job, Numbered()) == Complete()
    assert await bench.numbers(job) == ALL
    rows = [part.first_row for part in await bench.ledger.parts_from(job.id, 1)]
    assert rows == [1, 3, 5, 7, *range(9, COUNT + 1)]


async def test_what_was_read_before_a_failure_is_kept(bench: Bench) -> None:
    """The job waits as long as the service asks, and continues after the last page."""
    job = await bench.job()
    connector = Numbered(failures={4: RetryLater("quota", after=60), 6: SignInAgain("expired")})
    assert await bench.run_slice(job, connector) == Snooze("quota", 60)
    assert await bench.numbers(job) == ALL[:12]
    assert isinstance(await bench.run_slice(job, connector), Snooze)
    assert await bench.run_slice(job, connector) == Complete()
    assert await bench.numbers(job) == ALL
    assert connector.pages == [1, 2, 3, 4, 5, 6, 7]


async def test_a_crash_between_a_part_and_the_ledger_doubles_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part is written anew under the same name."""
    job = await bench.job()
    commit, crashes = DownloadLedger.commit_part, [True]

    async def crashing(ledger: DownloadLedger, **more: Any) -> None:
        if more["first_row"] > 1 and crashes:
            crashes.clear()
            raise ZeroDivisionError
        await commit(ledger, **more)

    monkeypatch.setattr(DownloadLedger, "commit_part", crashing)
    with pytest.raises(ZeroDivisionError):
        await bench.run_slice(job, Numbered())
    assert await bench.numbers(job) == ALL[:8]
    assert await bench.run_slice(job, Numbered()) == Complete()
    assert await bench.numbers(job) == ALL


async def test_who_was_taken_over_writes_beside_what_was_read_after_him(bench: Bench) -> None:
    """A process that froze before it stored its part has read other records than its successor."""
    job = await bench.job(where=Comparison("odd", "=", (1,)))
    frozen = bench.slice_of(await bench.begin(job), OtherNumbers())
    assert await bench.run_slice(job, Numbered()) == Complete()
    with pytest.raises(Fenced):
        await frozen.run()
    assert await bench.numbers(job) == ALL[::2]


class OtherNumbers(Numbered):
    """What was there some seconds earlier."""

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        yield Page([{"n": -n, "odd": 1} for n in range(1, 14)], None)


async def test_who_was_taken_over_writes_nothing(bench: Bench) -> None:
    """Another process has begun the same slice."""
    job = await bench.job()
    runner = bench.slice_of(await bench.begin(job), Numbered())
    await bench.begin(job)
    with pytest.raises(Fenced):
        await runner.run()
    assert await bench.numbers(job) == []


async def test_a_withdrawn_call_stops_the_slice_as_fenced(bench: Bench) -> None:
    """What it had read is not kept: another process may be reading it."""
    job = await bench.job()
    with pytest.raises(Fenced):
        await bench.run_slice(job, Numbered(failures={2: CallWithdrawn()}))
    assert await bench.numbers(job) == []


@pytest.mark.parametrize("limit", [1, 3, 4, 5, 8, 11, 24, 25, 26])
async def test_jobs_that_go_on_with_each_other_read_everything_once(
    bench: Bench, limit: int
) -> None:
    """Wherever in a page the limit is reached."""
    job = await bench.job(limit=limit)
    assert await bench.run_slice(job, Numbered()) == Complete()
    seen = await bench.numbers(job)
    assert seen == ALL[:limit]
    for _ in range(2):
        done = await bench.ledger.job(job.id)
        assert done is not None
        position = done.position
        has_more = position.after is not None or position.skip > 0
        begin = Position(position.after, position.skip, is_end=not has_more)
        job = await bench.job(limit=limit, begin=begin)
        assert await bench.run_slice(job, Numbered()) == Complete()
        seen += await bench.numbers(job)
    assert seen == ALL[: 3 * limit]


async def test_a_condition_and_fields_choose(bench: Bench) -> None:
    """A limit counts what is wanted."""
    job = await bench.job(where=Comparison("odd", "=", (1,)), fields=("n",), limit=6)
    assert await bench.run_slice(job, Numbered()) == Complete()
    assert await bench.numbers(job) == [1, 3, 5, 7, 9, 11]
    now = await bench.ledger.job(job.id)
    assert now is not None
    assert now.columns == ("n",)


@pytest.mark.parametrize(
    ("object", "hint"),
    [("nothing", "did you mean 'things'?"), ("boxes/7/others", "the objects are: things")],
)
async def test_an_object_that_is_not_there_ends_the_job(
    bench: Bench, object: str, hint: str
) -> None:
    """With the one that is meant, or with those that are."""
    ending = await bench.run_slice(await bench.job(object=object), Numbered())
    assert isinstance(ending, Fail)
    assert (ending.status, hint in ending.reason) == (Status.ERROR, True)


async def test_what_the_service_does_not_find_ends_the_job(bench: Bench) -> None:
    """It will not be there later."""
    failures: dict[int, Any] = {1: NotFound("no such calendar")}
    ending = await bench.run_slice(await bench.job(), Numbered(failures=failures))
    assert ending == Fail(Status.ERROR, "no such calendar")


async def test_records_that_are_not_kept_any_more_are_said_to_be_gone(bench: Bench) -> None:
    """A file is deleted after its days."""
    job = await bench.job()
    await bench.run_slice(job, Numbered())
    await bench.files.delete(job.download.file)
    with pytest.raises(NotFound, match="are no longer kept"):
        await bench.numbers(job)


ODD_FIRST = [*range(25, 0, -2), *range(24, 0, -2)]


@pytest.mark.parametrize("limit", [None, 0, 1, 3, 7, 25, 30])
async def test_records_are_sorted_over_many_runs(bench: Bench, limit: int | None) -> None:
    """By several fields, each up or down; a limit counts the first of them."""
    order = (Order("odd", descending=True), Order("n", descending=True))
    job = await bench.job(order=order, limit=limit)
    assert await bench.run_slice(job, Numbered()) == Complete()
    assert await bench.numbers(job) == ODD_FIRST[:limit]
    now = await bench.ledger.job(job.id)
    assert now is not None
    assert now.records == now.cursor == len(ODD_FIRST[:limit])
    assert await bench.run_slice(job, Numbered()) == Complete()


async def test_records_that_are_alike_keep_the_order_in_which_they_were_read(bench: Bench) -> None:
    """Also those of other runs; what has no value comes last."""
    job = await bench.job(order=(Order("odd"), Order("nothing")))
    assert await bench.run_slice(job, Numbered()) == Complete()
    assert await bench.numbers(job) == [*range(2, 26, 2), *range(1, 26, 2)]


async def test_a_crash_while_sorting_costs_only_the_sorting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is not read again."""
    job = await bench.job(order=(Order("n", descending=True),))
    replace_parts = DownloadLedger.replace_parts

    async def crashing(*args: Any) -> None:
        monkeypatch.setattr(DownloadLedger, "replace_parts", replace_parts)
        raise ZeroDivisionError

    monkeypatch.setattr(DownloadLedger, "replace_parts", crashing)
    connector = Numbered()
    with pytest.raises(ZeroDivisionError):
        await bench.run_slice(job, connector)
    assert await bench.run_slice(job, connector) == Complete()
    assert connector.pages == [1, 2, 3, 4, 5, 6, 7]
    assert await bench.numbers(job) == ALL[::-1]


async def test_nothing_is_sorted_too(bench: Bench) -> None:
    """No record is wanted."""
    job = await bench.job(order=(Order("n"),), where=Comparison("n", "<", (0,)))
    assert await bench.run_slice(job, Numbered()) == Complete()
    assert await bench.numbers(job) == []
