"""A row that a database refuses beside others has the outcome that it has alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from openbulk.domain.errors import Refused
from openbulk.domain.records import OutcomeKind
from support.sql_databases import Database, Open

Rows = Sequence[Mapping[str, Any]]
TABLES = (
    "CREATE TABLE lands (code varchar(9) PRIMARY KEY)",
    "INSERT INTO lands VALUES ('DE')",
    "CREATE TABLE people (id int PRIMARY KEY, email varchar(40) UNIQUE, name text NOT NULL, "
    "age int, a int, b int, land varchar(9), CONSTRAINT grown CHECK (age >= 0), "
    "CHECK (a < 100), UNIQUE (a, b), FOREIGN KEY (land) REFERENCES lands (code))",
    "INSERT INTO people VALUES (900, 'taken', 'Ann', 1, 2, 3, 'DE'), "
    "(901, 'other', 'Bob', 1, 3, 3, 'DE')",
)
GOOD = {"name": "Cy", "age": 7, "land": "DE"}
FAULTS: Rows = [
    {"age": -1},
    {"name": None},
    {"email": "taken"},
    {"a": 2, "b": 3},
    {"a": 100},
    {"land": "XX"},
    {"age": -1, "email": "taken"},
]


def file(faults: Rows, first: int = 1) -> list[dict[str, Any]]:
    """A file in which each row with a fault has good ones around it."""
    rows = [one for fault in faults for one in (GOOD, {**GOOD, **fault})]
    return [{"id": number, **row} for number, row in enumerate([*rows, GOOD], first)]


async def assert_as_alone(
    database: Database, name: str, rows: Rows, action: str = "create", refused: int = 0
) -> None:
    """Write rows together, then the refused ones alone: they have the same problems."""
    outcomes = await database.outcomes(name, rows, action, is_typed=True)
    failed = [place for place, one in enumerate(outcomes) if one.kind is OutcomeKind.FAILED]
    assert len(failed) == refused, outcomes
    for place in failed:
        (alone,) = await database.outcomes(name, [rows[place]], action, is_typed=True)
        assert alone.problem == outcomes[place].problem


@pytest.mark.parametrize("action", ["create", "upsert"])
async def test_new_rows_are_refused_as_they_are_alone(either: Open, action: str) -> None:
    database = await either(*TABLES)
    await assert_as_alone(database, "people", file(FAULTS), action, refused=len(FAULTS))
    assert database.execute("SELECT count(*) FROM people") == [(2 + len(FAULTS) + 1,)]


async def test_changed_rows_are_refused_as_they_are_alone(either: Open) -> None:
    """Each in a column of its own, so that each needs another statement."""
    database = await either(*TABLES)
    await database.write("people", file([GOOD] * len(FAULTS)), is_typed=True)
    rows = [{**row, "age": 8} if row.get("age") == 7 else row for row in file(FAULTS)]
    await assert_as_alone(database, "people", rows, "update", refused=len(FAULTS))
    kept = database.execute("SELECT count(*) FROM people WHERE age = 8")
    assert kept == [(len(FAULTS) + 1,)], "every good row is changed, and no bad one"


async def test_rows_that_others_refer_to_are_not_deleted(either: Open) -> None:
    database = await either(*TABLES, "INSERT INTO lands VALUES ('FR'), ('IT')")
    rows = [{"code": code} for code in ("FR", "DE", "IT", "ES")]
    await assert_as_alone(database, "lands", rows, "delete", refused=1)
    assert database.execute("SELECT code FROM lands") == [("DE",)]


async def test_rows_of_postgresql_are_refused_as_they_are_alone(postgresql: Open) -> None:
    """Types, domains, lengths, exclusions, triggers and deferred constraints."""
    database = await postgresql(
        "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
        "CREATE DOMAIN given AS text NOT NULL",
        "CREATE TYPE place AS (city text, zip int)",
        'CREATE TABLE "o%""$openbulk$" (id int PRIMARY KEY)',
        'CREATE TABLE things (id int PRIMARY KEY, "ad dress%" inet, home place, tags int[], '
        "more jsonb, number positive, word given DEFAULT '', bits bit(3), photo bytea, "
        "during int4range, other int DEFAULT NULL "
        'REFERENCES "o%""$openbulk$" DEFERRABLE INITIALLY DEFERRED, '
        "amount money, EXCLUDE USING gist (during WITH &&))",
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 16 THEN "
        "RAISE 'not \"this\"\n one' USING ERRCODE = 'U0001', DETAIL = 'a detail'; END IF; "
        "RETURN NEW; END $$",
        "CREATE TRIGGER no BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION no()",
    )
    faults: Rows = [
        {"ad dress%": "here"},
        {"home": "(Bonn,x)"},
        {"number": -1},
        {"word": None},
        {"bits": "1011"},
        {"during": "[1,3)"},
        {"other": 7},
        {"amount": "1.00"},
    ]
    good = {"ad dress%": "10.0.0.1", "home": "(Bonn,1)", "tags": [1, 2], "more": {"a": "%s"}}
    rows = [{**row, **good, **{n: row[n] for n in row if n in good}} for row in file(faults)]
    rows = [{n: v for n, v in row.items() if n not in GOOD} for row in rows]
    rows[0]["during"] = "[2,5)"
    await assert_as_alone(database, "things", rows, refused=8)


async def test_rows_that_a_policy_refuses_are_refused_as_they_are_alone(postgresql: Open) -> None:
    database = await postgresql(
        "CREATE TABLE t (id int PRIMARY KEY, age int CHECK (age > 0))",
        "DROP ROLE IF EXISTS narrow",
        "CREATE ROLE narrow LOGIN PASSWORD 'narrow'",
        "GRANT ALL ON SCHEMA public TO narrow",
        "GRANT ALL ON t TO narrow",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY low ON t USING (id < 5)",
        username="narrow",
        password="narrow",
    )
    rows = [{"id": n, "age": n - 1} for n in (1, 2, 9, 3, 8, 4)]
    await assert_as_alone(database, "t", rows, refused=3)
    assert database.execute("SELECT id FROM t") == [(2,), (3,), (4,)]


async def test_a_bad_row_does_not_hide_that_the_user_may_not_update(postgresql: Open) -> None:
    """The job ends: the other rows could not be written either."""
    database = await postgresql(
        "CREATE TABLE t (id int PRIMARY KEY, age int CHECK (age > 0))",
        "INSERT INTO t VALUES (7, 7)",
        "DROP ROLE IF EXISTS adder",
        "CREATE ROLE adder LOGIN PASSWORD 'adder'",
        "GRANT ALL ON SCHEMA public TO adder",
        "GRANT SELECT, INSERT ON t TO adder",
        username="adder",
        password="adder",
    )
    rows = [{"id": 1, "age": 0}, {"id": 7, "age": 8}, {"id": 3, "age": 1}]
    with pytest.raises(Refused, match="permission denied"):
        await database.write("t", rows, "upsert")
    assert database.execute("SELECT id, age FROM t") == [(7, 7)]


async def test_rows_of_a_user_without_plpgsql_are_refused_as_well(postgresql: Open) -> None:
    """The batch is taken apart, as the database cannot try its rows."""
    database = await postgresql(
        "CREATE TABLE t (id int PRIMARY KEY, age int CHECK (age > 0))",
        "DROP ROLE IF EXISTS wordless",
        "CREATE ROLE wordless LOGIN PASSWORD 'wordless'",
        "GRANT ALL ON SCHEMA public TO wordless",
        "GRANT ALL ON t TO wordless",
        "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC",
        username="wordless",
        password="wordless",
    )
    await assert_as_alone(database, "t", [{"id": n, "age": n % 3} for n in range(9)], refused=3)


async def test_rows_of_mariadb_are_refused_as_they_are_alone(mysql: Open) -> None:
    """Types, lengths, enumerations, triggers, and values that would be changed in silence."""
    database = await mysql(
        "CREATE TABLE things (id int AUTO_INCREMENT PRIMARY KEY, word varchar(3), small tinyint, "
        "place point, mood enum('good', 'bad'), latin varchar(9) CHARACTER SET latin1, "
        "at timestamp NOT NULL DEFAULT now(), doc json)",
        "CREATE TRIGGER no BEFORE INSERT ON things FOR EACH ROW IF NEW.small = 13 THEN SIGNAL "
        "SQLSTATE '45000' SET MESSAGE_TEXT = 'not \"this\" one'; END IF",
    )
    faults: Rows = [
        {"small": 13},
        {"place": "here"},
        {"latin": "😀"},
        {"at": None},
        {"at": "2040-01-01T00:00:00Z"},
        {"doc": None},
        {"id": 1},
    ]
    rows = [one for fault in faults for one in ({"word": "a"}, {"word": "b", **fault})]
    # The number of the last one was that of a row which was tried, and has another number now.
    await assert_as_alone(database, "things", rows, refused=5)
