"""What an older version has written is there after the tables were brought up to date."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import openbulk.storage
from openbulk.domain.errors import CannotStart
from openbulk.domain.job import IdempotencyKey, Position
from openbulk.domain.records import OutcomeKind
from openbulk.domain.workflow import RunStatus
from openbulk.storage.budgets import Budgets, Spending
from openbulk.storage.database import allow_idle, migrate
from openbulk.storage.ledger import Ledger
from openbulk.storage.runs import Runs
from openbulk.storage.schedules import Schedules
from openbulk.storage.slice_ledger import SliceLedger

DOWNLOAD = {
    "object": "events",
    "options": {},
    "file": "planned",
    "file_size": 0,
    "file_format": "csv",
    "callback_url": None,
    "position": {"after": "c7", "anew": 1},
    "query": {
        "fields": [],
        "where": None,
        "order": [],
        "is_sorted_by_service": False,
        "limit": None,
        "page_size": None,
        "page_limit": None,
        "parameters": {},
        "changed_since": None,
        "keeps_nulls": False,
        "text": "",
        "is_v3": False,
    },
}
PLAN = {
    "download": DOWNLOAD,
    "changes": None,
    "destination": None,
    "told": {"query": "select * from events"},
}
ROWS: list[tuple[str, dict[str, Any]]] = [
    ("organizations", {"id": 1, "secret_fingerprint": "o"}),
    (
        "jobs",
        {
            **{name: DOWNLOAD[name] for name in ("object", "file_size", "file_format")},
            "id": 5,
            "organization_id": 1,
            "instance_id": 7,
            "options": "{}",
            "file": "f",
            "query": json.dumps(DOWNLOAD["query"]),
            "position": json.dumps({"after": "c1", "anew": 2}),
            "status": "RUNNING",
            "created_at": 0,
        },
    ),
    ("outcomes", {"job_id": 5, "row": 1, "fate": "failed", "problem": "no title"}),
    ("idempotency_keys", {"instance_id": 7, "key": "k", "content": "abc", "job_id": 5}),
    (
        "budgets",
        {"scope": "s", "slots": "[[3, 4]]", "refused_at": 0, "closed_until": 0, "closed_for": ""},
    ),
    (
        "runs",
        {"id": "r", "organization_id": 1, "instance_id": 7, "progress": "RUNNING", "created_at": 0},
    ),
    (
        "transfers",
        {
            "id": 1,
            "run_id": "r",
            "place": 0,
            "plan": json.dumps(PLAN),
            "read_file": "a",
            "sent_file": "b",
            "progress": "COMPLETED",
        },
    ),
    (
        "schedules",
        {
            "id": "n",
            "organization_id": 1,
            "instance_id": 7,
            "name": "nightly",
            "description": "",
            "cron": "0 0 12 ? * MON-FRI",
            "request": "{}",
            "plans": json.dumps([PLAN]),
            "created_at": 0,
            "due_at": 0,
        },
    ),
    ("mark", {"id": 1, "word": "w0rd", "place": "here"}),
]


async def test_words_of_before_0007_are_read_as_those_of_now(empty_engine: AsyncEngine) -> None:
    engine = empty_engine
    async with engine.begin() as connection:
        await allow_idle(connection)
        await connection.run_sync(upgrade_to, "0006")
        await _insert(connection, *ROWS)
    await migrate(engine)
    ledger, runs, schedules = Ledger(engine), Runs(engine), Schedules(engine)
    job = await ledger.job(5)
    assert job is not None and job.position == Position(after="c1", restarts=2)
    (error,) = await ledger.errors(5, after=0, limit=10)
    assert (error.row, error.kind, error.problem) == (1, OutcomeKind.FAILED, "no title")
    assert await ledger.job_with_key(7, "k") == (job, IdempotencyKey("k", "abc"))
    spending = await Budgets(engine).change(["s"], lambda spent: (spent, spent[0]))
    assert spending == Spending(buckets=((3, 4),))
    (run,) = await runs.unfinished_runs()
    assert run.status is RunStatus.RUNNING
    (transfer,) = await runs.transfers(run)
    assert transfer.status is RunStatus.COMPLETED
    (due,) = await schedules.due(datetime(2030, 1, 1, tzinfo=UTC))
    schedule = await schedules.get(due)
    assert schedule is not None
    for spec in (transfer.spec, *schedule.specs):
        assert spec.request == PLAN["told"]
        assert spec.download.query.object == "events"
    async with engine.connect() as connection:
        found = (await connection.execute(text("SELECT identity, location FROM file_store"))).one()
        assert tuple(found) == ("w0rd", "here")


async def test_numbers_of_deleted_instances_are_not_given_again(
    empty_engine: AsyncEngine,
) -> None:
    """Not even those that an earlier version gave. What refers to the tables is still there."""
    engine = empty_engine
    instance = {
        "organization_id": 1,
        "element": "memory",
        "name": "Mine",
        "token_fingerprint": "t",
        "sealed_configuration": b"",
        "tags": "[]",
        "created_at": 0,
    }
    names = {"instance_id": 3, "name": "meetings", "transformation": "{}", "changed_at": 0}
    async with engine.begin() as connection:
        await allow_idle(connection)
        await connection.run_sync(upgrade_to, "0006")
        await _insert(connection, *ROWS)
        await connection.run_sync(upgrade_to, "0013")
        await _insert(connection, ("instances", {"id": 3, **instance}), ("transformations", names))
    await migrate(engine)
    async with engine.begin() as connection:
        assert (await connection.execute(text("SELECT name FROM transformations"))).one()
        assert (await connection.execute(text("SELECT job_id FROM idempotency_keys"))).one()
        if engine.dialect.name == "postgresql":
            return  # its sequences never go back, and have not seen the numbers of this test
        await connection.execute(text("DELETE FROM transformations"))
        await connection.execute(text("DELETE FROM instances"))
        await _insert(connection, ("instances", instance))
        numbers = await connection.execute(text("SELECT id FROM instances"))
        # The jobs of an instance that is gone have 7.
        assert numbers.scalar_one() == 8


async def test_outcomes_of_before_0015_are_read_from_blocks_and_grouped(
    empty_engine: AsyncEngine,
) -> None:
    """Also where rows are missing, and where a row that was sent has its outcome."""
    engine = empty_engine
    failed: dict[str, Any] = {
        "row": 4,
        "kind": "failed",
        "problem": "no date",
        "field": "f",
        "line": 6,
    }
    outcomes: list[dict[str, Any]] = [
        {"row": row, "kind": "created", "record_id": f"i{row}"} for row in (2, 5, 1_002, 1_003)
    ]
    rows = [("outcomes", {"job_id": 5, **values}) for values in (*outcomes, failed)]
    intents = [("intents", {"job_id": 5, "row": row}) for row in (5, 6)]
    async with engine.begin() as connection:
        await allow_idle(connection)
        await connection.run_sync(upgrade_to, "0006")
        await _insert(connection, *ROWS)  # row 1 has failed
        await connection.run_sync(upgrade_to, "0014")
        await _insert(connection, *rows, *intents)
    await migrate(engine)
    ledger = Ledger(engine)
    found = await ledger.job(5)
    assert found is not None
    begun = SliceLedger(engine, found, 0, reading=engine)
    assert (await begun.rows_to_send())[1] == [(1, 2), (4, 5), (1_002, 1_003)]
    assert await begun.ids_written(2, 1_002) == {2: "i2", 5: "i5", 1_002: "i1002"}
    assert await begun.open_intents() == {6}
    errors = await ledger.errors(5, after=0, limit=10)
    assert [(error.row, error.line, error.problem, error.field) for error in errors] == [
        (1, None, "no title", None),
        (4, 6, "no date", "f"),
    ]
    groups = await ledger.error_groups(5, limit=10)
    assert [(group.count, group.first.row) for group in groups] == [(1, 1), (1, 4)]


async def _insert(connection: AsyncConnection, *rows: tuple[str, dict[str, Any]]) -> None:
    for table, row in rows:
        columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        await connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)


async def test_an_earlier_version_that_still_works_stops_the_start(
    empty_engine: AsyncEngine,
) -> None:
    """Its statements would fail with the old names."""
    if empty_engine.dialect.name == "sqlite":
        pytest.skip("a SQLite ledger has one process")
    async with empty_engine.begin() as connection:
        await allow_idle(connection)
        await connection.run_sync(upgrade_to, "0006")
        now = "extract(epoch FROM clock_timestamp())"
        await connection.execute(text(f"INSERT INTO workers (id, beat) VALUES ('w', {now})"))
    with pytest.raises(CannotStart, match="stop all of them"):
        await migrate(empty_engine)
    async with empty_engine.begin() as connection:
        await connection.execute(text(f"UPDATE workers SET beat = {now} - 60"))
    await migrate(empty_engine)


async def test_the_ledger_of_a_newer_version_stops_the_start(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(CannotStart, match=r"newer version .* start that version .*9999"):
        await migrate(engine)


def upgrade_to(connection: Connection, revision: str) -> None:
    config = Config()
    folder = next(iter(openbulk.storage.__path__))
    config.set_main_option("script_location", f"{folder}/migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
