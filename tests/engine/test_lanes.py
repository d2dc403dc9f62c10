"""Promises about slices that begin in a lane without the queue: a lane never has two."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, text

from openbulk.engine.queue.lanes import Entry, LaneIsBusy, enter, entering
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


def begin(engine: Engine, id: str, lane: int) -> None:
    """Begin a slice without the queue."""
    with entering(Entry(lane, id)), engine.begin() as connection:
        insert(connection, id, "PENDING", None)


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
    begin(lanes, "new", 7)
    assert ("new", "PENDING") in rows(lanes)


@pytest.mark.parametrize("status", ["ENQUEUED", "PENDING"])
def test_a_slice_waits_in_the_queue_if_its_lane_is_busy(lanes: Engine, status: str) -> None:
    """Nothing of it is left behind."""
    with lanes.begin() as connection:
        insert(connection, "first", status, "7")
    with pytest.raises(LaneIsBusy):
        begin(lanes, "new", 7)
    begin(lanes, "beside", 8)
    assert rows(lanes) == [("first", status)]


@pytest.mark.parametrize("entry", [Entry(7), Entry(7, "second"), Entry(None)])
def test_nothing_enters_a_lane_while_a_slice_begins_in_it(
    shared_lanes: Engine, entry: Entry
) -> None:
    """Neither work of the queue, nor another slice without it, nor delayed work that is due."""
    begins = entry.begins is not None

    def enter_second() -> None:
        try:
            with entering(entry), shared_lanes.begin() as connection:
                status, lane = ("PENDING", None) if begins else ("ENQUEUED", "7")
                insert(connection, "second", status, lane)
        except LaneIsBusy:
            refused.append("second")

    refused: list[str] = []
    second = threading.Thread(target=enter_second)
    with shared_lanes.connect() as connection:
        insert(connection, "first", "PENDING", None)
        with entering(Entry(7, "first")):
            enter(connection, TABLE)
        second.start()
        wait_until_one_waits(shared_lanes)
        assert rows(shared_lanes) == []
        connection.commit()
    second.join(ANSWER_SECONDS)
    assert not second.is_alive()
    found = dict(rows(shared_lanes))
    assert found == ({"first": "PENDING"} if begins else {"first": "PENDING", "second": "ENQUEUED"})
    assert refused == (["second"] if begins else [])


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
