"""Undo in databases: rows with a key of several columns, and locks between look and write."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from openbulk.connectors.base import UndoesWrites
from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.schema import id_text, split_id
from openbulk.domain.errors import RetryLater
from openbulk.domain.records import Action, Outcome, OutcomeKind, Target
from openbulk.testing.connectors import KeptImages, reversal_of
from support.mariadb import Mariadb, wait_for_who_waits
from support.sql_databases import Database, Open

TEAMS = "CREATE TABLE teams (land text, city text, points int DEFAULT 3, PRIMARY KEY (land, city))"
ROWS: Sequence[Mapping[str, Any]] = [
    {"land": "DE", "city": "Bonn, am Rhein", "points": 1},
    {"land": "DE, AT", "city": "b\\,ack", "points": 2},
    {"land": "", "city": "%s ü", "points": 3},
]
ALL = "SELECT land, city, points FROM teams ORDER BY land, city"
WRITES: Sequence[tuple[str, Sequence[Mapping[str, Any]]]] = [
    ("create", [{"land": "FR", "city": "Lyon,"}, {"land": ",", "city": "\\"}]),
    ("update", [{**row, "points": 7} for row in ROWS]),
    ("upsert", [{**ROWS[0], "points": 9}, {"land": "FR", "city": "Nice", "points": None}]),
    ("delete", [{"land": row["land"], "city": row["city"]} for row in ROWS]),
]


ChangePoints = Callable[[Database, "asyncio.Task[Any]"], Awaitable[None]]


async def write_and_keep(
    database: Database, rows: Sequence[Mapping[str, Any]], action: str
) -> list[Outcome]:
    outcomes = await database.outcomes(
        "teams", rows, action, run=f"job {action}", before_images=KeptImages(), is_typed=True
    )
    assert all(one.problem is None for one in outcomes), outcomes
    return outcomes


async def undo(
    database: Database, outcomes: Sequence[Outcome], run: str, **how: Any
) -> list[Outcome]:
    assert isinstance(database.connector, UndoesWrites)
    reversals = [reversal_of(one) for one in outcomes if one.before or one.version]
    target = Target("teams", Action.UPSERT, run=run, before_images=KeptImages(), records=99)
    how = {"overwrites": False, "is_trial": False, **how}
    return sorted(await database.connector.undo(target, reversals, **how), key=lambda one: one.row)


@pytest.mark.parametrize(("action", "rows"), WRITES)
async def test_rows_with_a_key_of_two_columns_are_put_back(
    either: Open, action: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Whatever is in the key; and an undo can be undone."""
    database = await either(TEAMS)
    await database.write("teams", ROWS, is_typed=True)
    features = (await database.connector.objects())["teams"]
    assert Action(action) in features.undoes
    before = database.execute(ALL)
    outcomes = await write_and_keep(database, rows, action)
    after = database.execute(ALL)
    assert before != after
    trial = await undo(database, outcomes, "trial", is_trial=True)
    undone = await undo(database, outcomes, "undo")
    assert [one.kind for one in undone] == [OutcomeKind.REVERSED] * len(rows), undone
    assert [one.kind for one in trial] == [OutcomeKind.REVERSED] * len(rows)
    assert database.execute(ALL) == before
    redone = await undo(database, undone, "undo of the undo")
    assert [one.kind for one in redone] == [OutcomeKind.REVERSED] * len(rows), redone
    assert database.execute(ALL) == after


async def test_a_row_with_a_key_of_two_columns_that_somebody_has_changed_is_kept(
    either: Open,
) -> None:
    """Also one that only its default tells from the file."""
    database = await either(TEAMS)
    rows = [{"land": "FR", "city": "Lyon"}, {"land": "FR", "city": "Nice"}]
    outcomes = await write_and_keep(database, rows, "create")
    database.execute("UPDATE teams SET points = 4 WHERE city = 'Nice'")
    undone = await undo(database, outcomes, "undo")
    assert [one.kind for one in undone] == [OutcomeKind.REVERSED, OutcomeKind.KEPT], undone
    assert database.execute(ALL) == [("FR", "Nice", 4)]


@pytest.fixture
def change_points(mariadb: Mariadb) -> ChangePoints:
    """Changes a row in another transaction, which ends once a task waits for it."""

    async def change(database: Database, waiting: "asyncio.Task[Any]") -> None:
        (name,) = database.execute("SELECT DATABASE()")[0]
        with mariadb.connect(name) as owner, owner.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("UPDATE teams SET points = 8 WHERE city LIKE 'Bonn%'")
            await asyncio.sleep(0)  # the task begins
            await asyncio.to_thread(wait_for_who_waits, mariadb, name)
            assert not waiting.done()
            cursor.execute("COMMIT")
        await waiting

    return change


async def test_an_undo_waits_for_who_changes_its_row(
    mysql: Open, change_points: ChangePoints
) -> None:
    """And then sees the change: the row is kept."""
    database = await mysql(TEAMS)
    await database.write("teams", ROWS, is_typed=True)
    outcomes = await write_and_keep(database, [{**ROWS[0], "points": 7}], "update")
    undoing = asyncio.create_task(undo(database, outcomes, "undo"))
    await change_points(database, undoing)
    assert [one.kind for one in undoing.result()] == [OutcomeKind.KEPT]
    assert (8,) in database.execute("SELECT points FROM teams")


async def test_what_a_job_overwrites_is_what_was_there_when_it_wrote(
    mysql: Open, change_points: ChangePoints
) -> None:
    """Somebody changes the row at the same moment: that change is what the undo brings back."""
    database = await mysql(TEAMS)
    await database.write("teams", ROWS, is_typed=True)
    writing = asyncio.create_task(write_and_keep(database, [{**ROWS[0], "points": 7}], "update"))
    await change_points(database, writing)
    assert (7,) in database.execute("SELECT points FROM teams")
    await undo(database, writing.result(), "undo")
    assert (8,) in database.execute("SELECT points FROM teams")


async def test_an_undo_that_ends_in_a_deadlock_is_a_wait(mysql: Open, mariadb: Mariadb) -> None:
    """Nothing of it is done, and it can be sent again."""
    database = await mysql(TEAMS)
    await database.write("teams", ROWS, is_typed=True)
    outcomes = await write_and_keep(database, [{**one, "points": 7} for one in ROWS[:2]], "update")
    (name,) = database.execute("SELECT DATABASE()")[0]
    database.execute("CREATE TABLE log (line int) ENGINE InnoDB")
    with mariadb.connect(name) as owner, owner.cursor() as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 50")
        cursor.execute("BEGIN")
        # A transaction that has changed more is not the one to be undone.
        cursor.execute("INSERT INTO log SELECT seq FROM seq_1_to_1000")
        cursor.execute("UPDATE teams SET points = 1 WHERE land = 'DE, AT'")
        undoing = asyncio.create_task(undo(database, outcomes, "undo"))
        await asyncio.sleep(0)
        await asyncio.to_thread(wait_for_who_waits, mariadb, name)
        cursor.execute("UPDATE teams SET points = 1 WHERE land = 'DE'")
        with pytest.raises(RetryLater):
            await undoing
        cursor.execute("ROLLBACK")
    again = await undo(database, outcomes, "undo")
    assert [one.kind for one in again] == [OutcomeKind.REVERSED] * 2


@pytest.mark.parametrize("key", [("a", "b"), ("a,b", ""), ("", "\\"), (",", ",\\,"), ("\\,", "\n")])
def test_an_id_has_the_values_of_its_key(key: tuple[str, str]) -> None:
    assert split_id(id_text(key), 2) == [*key]


def test_an_id_of_another_key_is_refused() -> None:
    with pytest.raises(FieldError, match="has 3 values; the primary key has 2"):
        split_id("a,b,c", 2)
