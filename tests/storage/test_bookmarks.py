"""Which bookmarks are kept."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.query import Bookmark
from openbulk.security import Sealer
from openbulk.storage.accounts import Accounts
from openbulk.storage.bookmarks import (
    KEPT_DAYS,
    KEPT_NEWEST,
    feed_of,
    keep_bookmark,
    newest_bookmark,
    surplus_of,
)

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def kept(moments: list[datetime]) -> list[datetime]:
    """What is left of bookmarks that were taken one after another, each of which ends some."""
    left: list[datetime] = []
    for moment in sorted(moments):
        left.append(moment)
        surplus = surplus_of(left)
        left = [one for one in left if one not in surplus]
    return left


@given(st.lists(st.integers(0, 80 * 24), max_size=200, unique=True))
def test_there_is_a_bound_and_the_newest_are_kept(hours: list[int]) -> None:
    moments = sorted(NOON + hour * HOUR for hour in hours)
    left = kept(moments)
    assert len(left) <= KEPT_NEWEST + KEPT_DAYS
    assert left[-KEPT_NEWEST:] == moments[-KEPT_NEWEST:]


def test_a_weekly_job_finds_one_of_its_day_beside_an_hourly_job() -> None:
    """It reads a day's changes more at most."""
    now = NOON + 30 * DAY
    left = kept([NOON + n * HOUR for n in range(30 * 24)])
    newest = max(moment for moment in left if moment <= now - 7 * DAY)
    assert now - 7 * DAY - newest < DAY


async def test_a_bookmark_of_the_same_moment_takes_the_place_of_the_other(
    engine: AsyncEngine,
) -> None:
    feed = feed_of(1, "things", {}, 100)
    async with engine.begin() as connection:
        for text in ("first", "second"):
            await keep_bookmark(connection, feed, Bookmark(text, NOON))
        assert await newest_bookmark(connection, feed, NOON) == "second"


async def test_a_bookmark_is_not_found_for_a_moment_before_its_own(engine: AsyncEngine) -> None:
    """Not by a fraction of the millisecond that is kept."""
    feed, fraction = feed_of(1, "things", {}, 100), timedelta(microseconds=600)
    async with engine.begin() as connection:
        await keep_bookmark(connection, feed, Bookmark("place", NOON - fraction))
        assert (
            await newest_bookmark(connection, feed, NOON - fraction - timedelta(microseconds=1))
            is None
        )
        assert await newest_bookmark(connection, feed, NOON) == "place"
        await keep_bookmark(connection, feed, Bookmark("later", NOON + DAY))
        assert await newest_bookmark(connection, feed, NOON + DAY - fraction / 2) == "place"


async def test_the_bookmarks_of_an_instance_go_with_it(engine: AsyncEngine) -> None:
    """Another may get its number."""
    feeds = [feed_of(instance, "things", {}, 100) for instance in (1, 2)]
    async with engine.begin() as connection:
        for feed in feeds:
            await keep_bookmark(connection, feed, Bookmark("place", NOON))
    await Accounts(engine, Sealer([bytes(32)])).delete_instance(1)
    async with engine.connect() as connection:
        assert [await newest_bookmark(connection, feed, NOON) for feed in feeds] == [None, "place"]
