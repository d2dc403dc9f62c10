"""Rows that come before the rows that they refer to wait for them, however far on those are."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from openbulk.connectors.sql.schema import RELATED_RECORDS_PER_BATCH
from openbulk.engine.slices.record_reader import MAX_UNRECORDED
from support.harness import Processes, Server, until
from support.postgres import Postgres

STAFF = "CREATE TABLE staff (id int PRIMARY KEY, boss int {}, name text)"
REFERS = "REFERENCES staff"
DEFERRED = "REFERENCES staff DEFERRABLE INITIALLY DEFERRED"
FAR = max(RELATED_RECORDS_PER_BATCH, MAX_UNRECORDED) + 500
"""A number of rows that no batch has: a batch puts its own rows in order."""


@dataclass
class Staff:
    """A table of people who report to one another, in a database of one kind."""

    server: Server
    run: Callable[[str], list[Any]]

    def upload(self, file: bytes, action: str, **metadata: str) -> str:
        """Begin an upload; return the job's id."""
        reply = self.server.upload("staff", file, {"action": action, **metadata})
        assert reply.status == 200, reply.body
        return str(reply.json["id"])

    def failures(self, job_id: str) -> dict[int, str]:
        """Wait for a job to end; return what is wrong with each refused row."""
        status = self.server.finished(job_id, within=180)
        assert status["status"] == "COMPLETE", status
        return {one["rowNum"]: str(one) for one in self.server.errors(job_id)}


@dataclass
class Databases:
    """Makes tables, each in a database of its own, and servers on one folder."""

    kind: str
    processes: Processes
    postgres: Postgres
    folder: Path

    def server(self) -> Server:
        return self.processes.server(
            data_dir=self.folder / "data", OPENBULK_SQLITE_FOLDER=str(self.folder)
        )

    def staff(self, *statements: str) -> Staff:
        if self.kind == "postgresql":
            name = self.postgres.new_database(*statements)

            def run(sql: str) -> list[Any]:
                with self.postgres.connect(name) as connection:
                    return connection.execute(sql.encode()).fetchall()

            return Staff(
                self.server().instance("postgresql", self.postgres.configuration(name)), run
            )
        file = self.folder / "staff.db"
        with closing(sqlite3.connect(file)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

        def read(sql: str) -> list[Any]:
            with closing(sqlite3.connect(file, timeout=30)) as connection:
                return connection.execute(sql).fetchall()

        return Staff(self.server().instance("sqlite", {"db.file": "staff.db"}), read)


@pytest.fixture(params=["postgresql", "sqlite"])
def databases(
    request: pytest.FixtureRequest, processes: Processes, postgres: Postgres, tmp_path: Path
) -> Iterator[Databases]:
    yield Databases(request.param, processes, postgres, tmp_path)


def file_of(*rows: str) -> bytes:
    return "\n".join(["id,boss,name", *rows]).encode()


def children_first(count: int, name: str = "new") -> list[str]:
    """People, each of whom reports to one who comes `count` rows later."""
    children = [f"{n},{n + count},{name}" for n in range(1, count + 1)]
    return [*children, *(f"{n},,{name}" for n in range(count + 1, 2 * count + 1))]


@pytest.mark.parametrize("refers", [REFERS, DEFERRED])
@pytest.mark.long
@pytest.mark.parametrize("action", ["create", "upsert"])
def test_children_come_thousands_of_rows_before_their_parents(
    databases: Databases, action: str, refers: str
) -> None:
    """One of them in vain: it is refused alone, with what it lacks."""
    staff = databases.staff(STAFF.format(refers))
    rows = [f"{n},{n + FAR},new" for n in range(1, 301)]
    rows += [f"{n},,new" for n in range(301, FAR + 301)]
    failures = staff.failures(staff.upload(file_of(*rows, "50000,99999,lost"), action))
    assert list(failures) == [FAR + 301]
    assert "boss is '99999', and staff has no row with id = '99999'" in failures[FAR + 301]
    assert staff.run("SELECT count(*), count(boss) FROM staff") == [(FAR + 300, 300)]


def test_rows_are_updated_to_refer_to_rows_that_come_later(databases: Databases) -> None:
    """A unique value, too, is free only once a later row has given it up."""
    numbers = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 5600)"
    staff = databases.staff(
        f"{STAFF.format(REFERS)}",
        "CREATE UNIQUE INDEX names ON staff(name)",
        f"INSERT INTO staff {numbers} SELECT id, NULL, 'name ' || id FROM n",
    )
    rows = [f"{n},,name {n + 5_400}" for n in range(1, 201)]
    rows += [f"{n},,old {n}" for n in range(201, 5_601)]
    assert staff.failures(staff.upload(file_of(*rows), "update")) == {}
    assert staff.run(
        "SELECT count(*) FROM staff WHERE id <= 200 AND name = 'name ' || (id+5400)"
    ) == [(200,)]


def test_a_row_that_waits_does_not_undo_a_later_row_of_its_key(databases: Databases) -> None:
    """Whatever the database takes for one key."""
    text = "citext" if databases.kind == "postgresql" else "text COLLATE NOCASE"
    staff = databases.staff(
        *(["CREATE EXTENSION citext"] if databases.kind == "postgresql" else []),
        f"CREATE TABLE staff (id {text} PRIMARY KEY, boss {text} REFERENCES staff, name text)",
    )
    rows = [
        "mia,noa,early",
        "ann,noa,early",
        *(f"n{n},,other" for n in range(6_000)),
        "MIA,,late",
        *(f"m{n},,other" for n in range(6_000)),
        "NOA,,boss",
    ]
    failures = staff.failures(staff.upload(file_of(*rows), "upsert"))
    assert list(failures) == [1]
    assert "row 6003 of the file" in failures[1]
    found = staff.run("SELECT id, boss, name FROM staff WHERE name <> 'other' ORDER BY name")
    assert found == [("NOA", None, "boss"), ("ann", "noa", "early"), ("MIA", None, "late")]


@pytest.mark.long
def test_parents_are_deleted_thousands_of_rows_before_their_children(
    databases: Databases,
) -> None:
    count = FAR + 200
    numbers = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {})"
    staff = databases.staff(
        STAFF.format(REFERS),
        "CREATE INDEX bosses ON staff(boss)",
        f"INSERT INTO staff {numbers.format(count)} "
        f"SELECT id, CASE WHEN id > {FAR} THEN id - {FAR} END, 'x' FROM n",
    )
    parents_first = "\n".join(["id", *(str(n) for n in range(1, count + 1))]).encode()
    assert staff.failures(staff.upload(parents_first, "delete")) == {}
    assert staff.run("SELECT count(*) FROM staff") == [(0,)]


@pytest.mark.long
def test_rows_wait_over_kills(databases: Databases) -> None:
    """None is lost, and none undoes a later one."""
    staff = databases.staff(STAFF.format(REFERS))
    rows = [*children_first(FAR), *(f"{n},,late" for n in range(1, 101))]
    job_id = staff.upload(file_of(*rows), "upsert")
    for enough in (1, FAR + 100, FAR + 2_500):
        until(partial(has_rows, staff, enough), 180, f"the table has {enough} rows")
        staff.server.process.kill()
        staff.server = Server(databases.server().process, staff.server.element_token)
    # After a kill, rows that waited are sent first: those come in time for their later rows.
    failures = staff.failures(job_id)
    assert failures.keys() <= set(range(1, 101))
    expected = [(2 * FAR, FAR - len(failures))]
    assert staff.run("SELECT count(*), count(boss) FROM staff") == expected
    assert staff.run("SELECT count(*) FROM staff WHERE name = 'late'") == [(100,)]


def has_rows(staff: Staff, count: int) -> bool:
    """Whether the table has so many rows by now."""
    return bool(staff.run("SELECT count(*) FROM staff")[0][0] >= count)
