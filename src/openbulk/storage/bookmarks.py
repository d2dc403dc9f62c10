"""Bookmarks: where a download has stopped reading a feed of changes, and the next one begins."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from openbulk.domain.query import Bookmark
from openbulk.storage.tables import bookmarks

KEPT_NEWEST = 3
"""The newest of each feed: a job for changes since the last one began needs an older one."""
KEPT_DAYS = 35
"""And the newest of each of so many days, for a weekly or monthly job beside an hourly one."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed of changes: of those records of an instance that certain parameters choose."""

    instance_id: int
    digest: str
    """The digest of the object and of all parameters that choose its records."""


def feed_of(instance_id: int, object: str, parameters: Mapping[str, str], page_size: int) -> Feed:
    """The feed of an object."""
    # Google wants all parameters as they were, and names no exception for the page size.
    asked = json.dumps([object, page_size, sorted(parameters.items())])
    return Feed(instance_id, hashlib.sha256(asked.encode()).hexdigest())


async def newest_bookmark(connection: AsyncConnection, feed: Feed, until: datetime) -> str | None:
    """The text of a feed's newest bookmark that was taken at a moment or before."""
    text: str | None = await connection.scalar(
        select(bookmarks.c.text)
        .where(_of(feed), bookmarks.c.taken_at <= _cut(until))
        .order_by(bookmarks.c.taken_at.desc())
        .limit(1)
    )
    return text


async def keep_bookmark(connection: AsyncConnection, feed: Feed, bookmark: Bookmark) -> None:
    """Remember a bookmark, and forget those that are no longer worth keeping."""
    taken_at = _cut(bookmark.taken_at + timedelta(microseconds=999))
    await connection.execute(delete(bookmarks).where(_of(feed), bookmarks.c.taken_at == taken_at))
    await connection.execute(
        insert(bookmarks).values(
            instance_id=feed.instance_id, feed=feed.digest, taken_at=taken_at, text=bookmark.text
        )
    )
    moments = (await connection.scalars(select(bookmarks.c.taken_at).where(_of(feed)))).all()
    if surplus := surplus_of(moments):
        await connection.execute(
            delete(bookmarks).where(_of(feed), bookmarks.c.taken_at.in_(surplus))
        )


async def forget_bookmarks(connection: AsyncConnection, feed: Feed, until: datetime) -> None:
    """Forget the bookmarks up to a moment, which the service takes no longer."""
    await connection.execute(delete(bookmarks).where(_of(feed), bookmarks.c.taken_at <= until))


def surplus_of(moments: Sequence[datetime]) -> Sequence[datetime]:
    """Which bookmarks of a feed are not kept, by when they were taken."""
    newest_first = sorted(moments, reverse=True)
    newest_of_day = {moment.date(): moment for moment in sorted(moments)}
    kept = {*newest_first[:KEPT_NEWEST], *sorted(newest_of_day.values(), reverse=True)[:KEPT_DAYS]}
    return [moment for moment in newest_first if moment not in kept]


def _cut(moment: datetime) -> datetime:
    """The moment to the millisecond, as it is kept."""
    # It is not rounded up: a bookmark must not be found for a moment before its own.
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _of(feed: Feed) -> ColumnElement[bool]:
    return and_(bookmarks.c.instance_id == feed.instance_id, bookmarks.c.feed == feed.digest)
