"""Bookmarks: the places in feeds of changes where one download stopped and the next begins."""

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
"""Newest bookmarks kept of each feed: a job may need one from before the last job began."""
KEPT_DAYS = 35
"""Days of which the newest bookmark is also kept, for a weekly job next to an hourly one."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed of changes to the records of an instance that certain parameters select."""

    instance_id: int
    digest: str
    """The digest of the object and of all parameters that select its records."""


def feed_of(instance_id: int, object: str, parameters: Mapping[str, str], page_size: int) -> Feed:
    """The feed of an object."""
    # Google requires the same parameters again, and documents no exception for the page size.
    request = json.dumps([object, page_size, sorted(parameters.items())])
    return Feed(instance_id, hashlib.sha256(request.encode()).hexdigest())


async def newest_bookmark(connection: AsyncConnection, feed: Feed, until: datetime) -> str | None:
    """The text of a feed's newest bookmark taken at or before `until`; None if there is none."""
    text: str | None = await connection.scalar(
        select(bookmarks.c.text)
        .where(_of(feed), bookmarks.c.taken_at <= until)
        .order_by(bookmarks.c.taken_at.desc())
        .limit(1)
    )
    return text


async def keep_bookmark(connection: AsyncConnection, feed: Feed, bookmark: Bookmark) -> None:
    """Remember a bookmark, and forget those that are no longer worth keeping."""
    # The ledger cuts to milliseconds, and a bookmark must not be found for a time before its own.
    taken_at = bookmark.taken_at + timedelta(microseconds=999)
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
    """Forget a feed's bookmarks taken at or before `until`: they have expired."""
    await connection.execute(delete(bookmarks).where(_of(feed), bookmarks.c.taken_at <= until))


def surplus_of(moments: Sequence[datetime]) -> Sequence[datetime]:
    """The bookmarks of a feed that are not kept, by the times when they were taken."""
    newest_first = sorted(moments, reverse=True)
    newest_of_day = {moment.date(): moment for moment in sorted(moments)}
    kept = {*newest_first[:KEPT_NEWEST], *sorted(newest_of_day.values(), reverse=True)[:KEPT_DAYS]}
    return [moment for moment in newest_first if moment not in kept]


def _of(feed: Feed) -> ColumnElement[bool]:
    return and_(bookmarks.c.instance_id == feed.instance_id, bookmarks.c.feed == feed.digest)
