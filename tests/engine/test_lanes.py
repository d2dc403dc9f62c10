"""Promises about slices that begin in a lane without the queue: a lane never has two."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, text

from openbulk.engine.queue.lanes import Entry, beginning, enter, entering
from openbulk.storage.database import open_lane_engine, open_shared_lane_engine
from support.harness import until

TABLE = "workflow_status"
ANSWER_SECONDS = 120.0
IN_LANE_7 = "SELECT workflow_uuid, status FROM workflow_status WHERE queue_partition_key = '7'"


def make_lanes(engine: Engine) -> Engine:
    """An engine whose commits enter lanes, with the columns of DBOS's table that count for that."""
    with engine.begin() as connection:
        connection.execute(
            text(
                f"CREATE TABLE {TABLE} (workflow_uuid text PRIMARY KEY, status text, "
                "queue_name text, queue_partition_key text)"
            )
        )
    event.listen(engine, "commit", partial(enter, table=TABLE))
    return engine


@pytest.fixture(params=["sqlite", "postgresql"])
def lanes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        engine = make_lanes(open_lane_engine(tmp_path / "lanes.db"))
    else:
        engine = make_lanes(open_shared_lane_engine(request.getfixturevalue("database")))
    yield engine
    engine.dispose()


@pytest.fixture
def shared_lanes(database: str) -> Iterator[Engine]:
    engine = make_lanes(open_shared_lane_engine(database))
    yield engine
    engine.dispose()


def insert(connection: Connection, id: str, status: str, lane: str | None) -> None:
    """A row as DBOS writes it. It knows no lane of work that begins at once."""
    queue = None if lane is None else "lanes"
    connection.execute(
        text(f"INSERT INTO {TABLE} VALUES (:id, :status, :queue, :lane)"),
        {"id": id, "status": status, "queue": queue, "lane": lane},
    )


def begin(engine: Engine, id: str, lane: int) -> bool:
    """Begin a slice without the queue, if the lane is free."""
    with beginning(lane, id) as attempt, engine.begin() as connection:
        insert(connection, id, "PENDING", None)
    return attempt.has_begun


def enqueue(engine: Engine, entry: Entry, id: str) -> None:
    """Put a slice into the queue."""
    with entering(entry), engine.begin() as connection:
        insert(connection, id, "ENQUEUED", "7")


def rows(engine: Engine) -> list[tuple[str, str]]:
    """The slices in lane 7."""
    with engine.connect() as connection:
        return [(row[0], row[1]) for row in connection.execute(text(IN_LANE_7))]


def test_a_slice_begins_in_a_lane_that_is_free(lanes: Engine) -> None:
    """Whatever runs in another lane, has ended in this one, or will be due in it."""
    with lanes.begin() as connection:
        insert(connection, "other", "PENDING", "8")
        insert(connection, "ended", "SUCCESS", "7")
        insert(connection, "later", "DELAYED", "7")
    assert begin(lanes, "new", 7)
    assert ("new", "PENDING") in rows(lanes)


@pytest.mark.parametrize("status", ["ENQUEUED", "PENDING"])
def test_a_slice_waits_in_the_queue_if_its_lane_is_busy(lanes: Engine, status: str) -> None:
    """Nothing of it is left behind."""
    with lanes.begin() as connection:
        insert(connection, "first", status, "7")
    assert not begin(lanes, "new", 7)
    assert begin(lanes, "beside", 8)
    assert rows(lanes) == [("first", status)]


@pytest.mark.parametrize("entry", [Entry(7), Entry(None), None])
def test_nothing_enters_a_lane_while_a_slice_begins_in_it(
    shared_lanes: Engine, entry: Entry | None
) -> None:
    """Neither work of the queue, nor delayed work that is due, nor another slice without it."""
    with ThreadPoolExecutor(1) as threads:
        with shared_lanes.connect() as connection:
            insert(connection, "first", "PENDING", None)
            with entering(Entry(7, "first")):
                enter(connection, TABLE)
            enter_too: Callable[[], object] = partial(begin, shared_lanes, "second", 7)
            if entry is not None:
                enter_too = partial(enqueue, shared_lanes, entry, "second")
            second = threads.submit(enter_too)
            wait_until_one_waits(shared_lanes)
            assert rows(shared_lanes) == []
            connection.commit()
        has_begun = second.result(ANSWER_SECONDS)
    others = {} if entry is None else {"second": "ENQUEUED"}
    assert dict(rows(shared_lanes)) == {"first": "PENDING", **others}
    assert not has_begun


def wait_until_one_waits(engine: Engine) -> None:
    """Wait until a transaction waits for a lane."""
    waiting = text(
        "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        "WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
    )

    def one_waits() -> bool:
        with engine.connect() as connection:
            return connection.execute(waiting).first() is not None

    until(one_waits, ANSWER_SECONDS, "a transaction waits for a lane")
