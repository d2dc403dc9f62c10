"""Databases, for real: PostgreSQL and SQLite files."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from openbulk.connectors.base import ConnectionContext, Connector, PlansWrites
from openbulk.connectors.sql import MysqlProvider, PostgresqlProvider, SqliteProvider
from openbulk.domain.conditions import All, Comparison, Condition, Either, Not
from openbulk.domain.errors import BadInput, NotFound, Refused, RetryLater
from openbulk.domain.plan import Change, PlannedKind
from openbulk.domain.query import Order, PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.notify.egress import allowed_address
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE
from openbulk.testing.connectors import (
    Connect,
    ConnectorTests,
    apply_plan,
    plan,
    record,
    records_of,
)
from openbulk.testing.connectors import send as send_as_one_run
from support import forget
from support.harness import until
from support.mariadb import WAITING, Mariadb, wait_for_who_waits
from support.postgres import Postgres

FROM_THE_START = PageRequest()
PEOPLE = """CREATE TABLE people (
    id {serial},
    email varchar(40) UNIQUE,
    name text NOT NULL,
    age integer CHECK (age >= 0),
    active boolean,
    born date,
    seen timestamp,
    paid numeric(10, 2)
)"""
TEAMS = """CREATE TABLE teams (
    land text, city text, points integer DEFAULT 0, PRIMARY KEY (land, city)
)"""
LOG = "CREATE TABLE log (line text)"
BOSSES = (
    "CREATE TABLE bosses (id integer PRIMARY KEY, "
    "boss integer REFERENCES bosses (id) {deferred}, note text)"
)


def context_without_http(configuration: Mapping[str, str]) -> ConnectionContext:
    """For configurations that are refused before a connection is made."""
    return ConnectionContext(configuration, None, forget)  # type: ignore[arg-type]


async def resolve(host: str, port: int) -> str:
    return await allowed_address(host, port, allowed=LOOPBACK_AND_PRIVATE)


def statements(serial: str, deferred: str = "") -> list[str]:
    return [PEOPLE.format(serial=serial), TEAMS, LOG, BOSSES.format(deferred=deferred)]


class SqlTests(ConnectorTests):
    """The promises of both databases."""

    object_name = "people"
    good = (
        {"name": "Ann", "age": "41"},
        {"name": "Bob", "age": "7"},
        {"name": "Cara", "active": "yes"},
    )
    bad = {"name": "Dan", "age": "-1"}  # noqa: RUF012
    distinct_field = "name"

    def target(self) -> Target:
        """Every call of `send` is a job of its own, unless a test names a run."""
        return replace(super().target(), run="")

    async def test_a_batch_that_is_sent_twice_creates_once_if_writes_are_idempotent(
        self, connect: Connect
    ) -> None:
        """Within one job."""
        target = super().target()
        for _ in range(2):
            assert kinds(await send(connect, target, self.records())) == [OutcomeKind.CREATED] * 3
        assert await self.distinct_values(connect()) == ["Ann", "Bob", "Cara"]

    async def test_rows_of_a_table_that_changed_since_their_plan_have_drifted(
        self, connect: Connect
    ) -> None:
        """Also new ones that exist by now, those to delete, and those that are gone."""
        await self.skip_unless_it_plans(connect())
        people = [{"id": n, "name": name, "age": n} for n, name in enumerate(("Ann", "Bob"), 1)]
        delete = replace(self.target(), action=Action.DELETE)
        update = replace(self.target(), action=Action.UPDATE)
        upsert = replace(self.target(), action=Action.UPSERT)
        for target, known, row, foreign in (
            (self.target(), [], people[0], (self.target(), {"id": 1, "name": "Eve"})),
            (upsert, [], people[0], (self.target(), {"id": 1, "name": "Eve"})),
            (upsert, people, {"id": 1, "name": "Zoe"}, (delete, {"id": 1})),
            (update, people, {"id": 1, "name": "Zoe"}, (delete, {"id": 1})),
            (update, people, {"id": 1, "name": "Zoe"}, (update, {"id": 1, "name": "Eve"})),
            (upsert, people, {"id": 1, "name": "Ann"}, (update, {"id": 1, "name": "Eve"})),
            (delete, people, {"id": 1}, (update, {"id": 1, "age": 80})),
        ):
            await send(connect, delete, records_of([{"id": 1}, {"id": 2}]))
            await send(connect, self.target(), records_of(known))
            batch = records_of([row, {"id": 2, "name": "Bo"}])
            planned = await plan(connect, target, batch)
            await send(connect, foreign[0], records_of([foreign[1]]))
            outcomes = await apply_plan(connect, replace(target, run=uuid4().hex), batch, planned)
            assert outcomes[0].kind is OutcomeKind.DRIFTED, (target, outcomes)
            assert outcomes[1].kind.value == planned[1].kind.value, (target, outcomes)

    async def test_what_a_plan_does_not_touch_is_no_drift(self, connect: Connect) -> None:
        """A column that the file does not have."""
        await self.skip_unless_it_plans(connect())
        await send(connect, self.target(), records_of([{"id": 1, "name": "Ann", "age": 41}]))
        update = replace(self.target(), action=Action.UPDATE)
        batch = records_of([{"id": 1, "name": "Anna"}])
        planned = await plan(connect, update, batch)
        await send(connect, update, records_of([{"id": 1, "age": 42}]))
        (outcome,) = await apply_plan(connect, replace(update, run="r"), batch, planned)
        assert outcome.kind is OutcomeKind.UPDATED
        (again,) = await apply_plan(connect, replace(update, run="r"), batch, planned)
        assert again.kind is OutcomeKind.UPDATED, "its answer was lost: the log has it"

    async def test_a_batch_of_many_with_some_bad_rows_loses_only_those(
        self, connect: Connect
    ) -> None:
        """Wherever they are, and whatever is wrong with them."""
        values: list[dict[str, Any]] = [
            {"email": f"n{n}@example.com", "name": f"N{n}", "age": n} for n in range(1_000)
        ]
        values[0]["name"] = None
        values[17]["age"] = -1
        values[500]["email"] = values[499]["email"]
        values[501]["age"] = "old"
        values[998]["born"] = "30.05.2026"
        values[999]["nickname"] = "Nine"
        outcomes = await send(
            connect, self.target(), [record(row, one) for row, one in enumerate(values, 1)]
        )
        refused = {one.row: problem(one) for one in outcomes if one.kind is OutcomeKind.FAILED}
        assert sorted(refused) == [1, 18, 501, 502, 999, 1000]
        assert refused[502] == "age is 'old', which is not a whole number; write it like 42"
        assert refused[999] == "born is '30.05.2026', which is not a date; write it like 2026-05-30"
        assert (
            refused[1000].startswith("people has no column 'nickname'; did you mean 'name'?")
            or "nickname" in refused[1000]
        )
        assert all(one.id for one in outcomes if one.kind is OutcomeKind.CREATED)

    async def test_a_plan_shows_what_each_row_would_change(self, connect: Connect) -> None:
        """Before and after, also of a row that an earlier one of its batch would write."""
        await send(connect, self.target(), self.records())
        connector = connect()
        await self.skip_unless_it_plans(connector)
        assert isinstance(connector, PlansWrites)
        by_name = Target("people", Action.UPSERT, "name")
        rows = [
            {"name": "Ann", "age": 42},
            {"name": "Dan", "age": 1},
            {"name": "Dan", "age": 2},
            {"name": "Bob", "age": 7},
        ]
        batch = [record(row, one) for row, one in enumerate(rows, 1)]
        planned = sorted(await connector.plan(by_name, batch), key=lambda one: one.row)
        assert [(one.kind, one.changes) for one in planned] == [
            (PlannedKind.UPDATED, {"age": Change(41, 42)}),
            (PlannedKind.CREATED, {}),
            (PlannedKind.UPDATED, {"age": Change(1, 2)}),
            (PlannedKind.UNCHANGED, {}),
        ]
        await send(connect, self.target(), [record(1, {"name": "Ann"})])
        twice = await connector.plan(by_name, batch[:1])
        assert [(one.kind, one.matches) for one in twice] == [(PlannedKind.AMBIGUOUS, 2)]

    async def test_rows_are_created_updated_and_deleted_by_their_identity(
        self, connect: Connect
    ) -> None:
        """The primary key, or the column that the caller names. Equal rows are unchanged."""
        await send(connect, self.target(), self.records())
        by_key = replace(self.target(), action=Action.UPDATE)
        assert kinds(await send(connect, by_key, [record(1, {"id": "1", "age": "42"})])) == [
            OutcomeKind.UPDATED
        ]
        assert kinds(await send(connect, by_key, [record(1, {"id": "1", "age": 42})])) == [
            OutcomeKind.UNCHANGED
        ]
        by_name = Target("people", Action.UPSERT, "name")
        rows = [
            {"name": "Ann", "age": 42},
            {"name": "Bob", "age": 8},
            {"name": "Dan", "age": 1},
            {"name": "Dan", "age": 2},
        ]
        outcomes = await send(
            connect, by_name, [record(row, one) for row, one in enumerate(rows, 1)]
        )
        assert kinds(outcomes) == [
            OutcomeKind.UNCHANGED,
            OutcomeKind.UPDATED,
            OutcomeKind.CREATED,
            OutcomeKind.UPDATED,
        ]
        assert outcomes[3].id == outcomes[2].id, "the second row changed what the first had made"
        missing = await send(
            connect, by_key, [record(1, {"id": 99, "age": 1}), record(2, {"age": 1})]
        )
        assert [problem(one) for one in missing] == [
            "people has no row with id = 99; use action upsert to create it",
            "id is missing: it identifies the record",
        ]
        gone = replace(by_name, action=Action.DELETE)
        assert kinds(await send(connect, gone, [record(1, {"name": "Dan"})])) == [
            OutcomeKind.DELETED
        ]
        assert kinds(await send(connect, gone, [record(1, {"name": "Dan"})])) == [
            OutcomeKind.NOT_FOUND
        ]
        assert await self.distinct_values(connect()) == ["Ann", "Bob", "Cara"]

    async def test_an_upsert_without_the_key_that_the_database_makes_is_a_new_row(
        self, connect: Connect
    ) -> None:
        """Each record creates a row."""
        target = replace(self.target(), action=Action.UPSERT)
        assert kinds(await send(connect, target, self.records())) == [OutcomeKind.CREATED] * 3

    async def test_keys_of_several_columns_tell_rows_apart(self, connect: Connect) -> None:
        """All of them together. `get` needs a key of one column."""
        target = Target("teams", Action.UPSERT)
        rows: list[dict[str, Any]] = [
            {"land": "DE", "city": "Bonn", "points": 1},
            {"land": "DE", "city": "Ulm"},
        ]
        assert (
            kinds(await send(connect, target, [record(n, one) for n, one in enumerate(rows, 1)]))
            == [OutcomeKind.CREATED] * 2
        )
        again = [{**rows[0], "points": 2}, {**rows[1], "points": 0}]
        outcomes = await send(connect, target, [record(n, one) for n, one in enumerate(again, 1)])
        assert (kinds(outcomes), outcomes[0].id) == (
            [OutcomeKind.UPDATED, OutcomeKind.UNCHANGED],
            "DE,Bonn",
        )
        assert (await connect().objects())["teams"].id is None
        with pytest.raises(NotFound):
            await connect().get("teams", "DE,Bonn", {})

    async def test_a_record_that_fits_several_rows_changes_none_of_them(
        self, connect: Connect
    ) -> None:
        """A guess would be wrong half of the time."""
        await send(
            connect,
            Target("log", Action.CREATE),
            [record(n, {"line": "same"}) for n in range(1, 3)],
        )
        (outcome,) = await send(
            connect, Target("log", Action.DELETE, "line"), [record(1, {"line": "same"})]
        )
        assert problem(outcome).startswith("2 rows of log have line = 'same'")
        (outcome,) = await send(
            connect, Target("log", Action.UPDATE), [record(1, {"line": "same"})]
        )
        assert "no primary key" in problem(outcome)

    async def test_many_batches_begin_at_the_same_time(self, connect: Connect) -> None:
        """In a database that has no write log yet, from several connectors."""
        connectors = [connect() for _ in range(3)]
        batches = [[record(n, {"line": f"{n}"})] for n in range(1, 13)]
        target = Target("log", Action.CREATE, run="at once")
        done = await asyncio.gather(
            *(connectors[n % 3].write(target, batch) for n, batch in enumerate(batches))
        )
        assert [one.kind for outcomes in done for one in outcomes] == [OutcomeKind.CREATED] * 12

    async def test_a_batch_that_is_sent_again_is_found_in_the_write_log(
        self, connect: Connect
    ) -> None:
        """Also by another process, with batches cut differently, and in a table without a key."""
        target = Target("log", Action.CREATE, run="job 1")
        lines = [record(row, {"line": f"line {row}"}) for row in range(1, 11)]
        await send(connect, target, lines[:4])
        await send(connect, target, lines[2:8])
        await send(connect, target, lines)
        assert sorted(one["line"] for one in await rows_of(connect(), Query("log"))) == sorted(
            f"line {row}" for row in range(1, 11)
        )
        await send(connect, replace(target, run="job 2"), lines)
        assert len(await rows_of(connect(), Query("log"))) == 20, "another job is another thing"
        assert "openbulk_writes" not in await connect().objects()

    async def test_a_retry_writes_no_row_that_an_earlier_job_has_written(
        self, connect: Connect
    ) -> None:
        """Whatever came of the answer. A row that was refused there is written."""
        first = Target("log", Action.CREATE, run="job 1")
        lines = [record(row, {"line": f"line {row}"}) for row in range(1, 5)]
        await send(connect, first, [*lines[:2], record(3, {"lines": "no such column"})])
        retry = Target("log", Action.CREATE, run="job 2", earlier_runs=("job 1",))
        outcomes = await send(connect, retry, lines)
        assert [one.kind for one in outcomes] == [OutcomeKind.CREATED] * 4
        last = replace(retry, run="job 3", earlier_runs=("job 1", "job 2"))
        await send(connect, last, lines)
        assert len(await rows_of(connect(), Query("log"))) == 4

    async def test_every_kind_of_value_comes_back_as_it_was(self, connect: Connect) -> None:
        """In the spelling of its column. A missing value is null."""
        values = {
            "name": "Ann",
            "age": 41,
            "active": "true",
            "born": "1985-02-28",
            "seen": "2026-05-30T10:00:00",
            "paid": "12.5",
        }
        await send(connect, self.target(), [record(1, values)])
        (row,) = await rows_of(connect(), Query("people"))
        assert {**row, "seen": row["seen"].replace(" ", "T"), "active": bool(row["active"])} == {
            **values,
            "active": True,
            "paid": 12.5,
            "id": 1,
            "email": None,
        }
        assert await connect().get("people", "1", {}) == row

    @pytest.mark.parametrize(
        ("where", "names"),
        [
            (Comparison("age", ">", ("8",)), ["Cara", "Dan"]),
            (Comparison("age", "!=", (9,)), ["Ann", "Bob", "Dan"]),
            (Not(Comparison("age", ">=", (9,))), ["Ann", "Bob"]),
            (Comparison("age", "is null"), ["Eve"]),
            (Comparison("age", "in", ("7", 8)), ["Ann", "Bob"]),
            (Comparison("name", "like", ("%a%",)), ["Cara", "Dan"]),
            (Comparison("name", "like", ("_ve",)), ["Eve"]),
            (
                Either((Comparison("name", "=", ("Ann",)), Comparison("age", "=", (10,)))),
                ["Ann", "Dan"],
            ),
            (
                All((Comparison("age", "<=", (9,)), Comparison("active", "=", (True,)))),
                ["Ann", "Cara"],
            ),
            (Comparison("born", "<", ("2000-01-01",)), ["Ann"]),
            (Comparison("email", "=", ("x" * 60,)), []),
        ],
    )
    async def test_the_database_applies_conditions(
        self, connect: Connect, where: Condition, names: list[str]
    ) -> None:
        """All that a query can have."""
        rows: list[dict[str, Any]] = [
            {"name": "Ann", "age": 7, "active": True, "born": "1985-02-28"},
            {"name": "Bob", "age": 8, "active": False, "born": "2004-02-29"},
            {"name": "Cara", "age": 9, "active": True},
            {"name": "Dan", "age": 10},
            {"name": "Eve"},
        ]
        await send(connect, self.target(), [record(n, one) for n, one in enumerate(rows, 1)])
        found = await rows_of(connect(), Query("people", where=where), PageRequest(2))
        assert [one["name"] for one in found] == names

    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    async def test_pages_keep_the_order_of_equal_and_missing_values(
        self, connect: Connect, size: int
    ) -> None:
        """Missing values come last, or first in a descending order, as where openbulk sorts."""
        ages = [3, None, 1, 3, None, 2, 3]
        rows: list[dict[str, Any]] = [
            {"name": f"N{n}", **({"age": age} if age is not None else {})}
            for n, age in enumerate(ages)
        ]
        await send(connect, self.target(), [record(n, one) for n, one in enumerate(rows, 1)])
        for order, names in (
            ((Order("age"),), ["N2", "N5", "N0", "N3", "N6", "N1", "N4"]),
            (
                (Order("age", descending=True), Order("name", descending=True)),
                ["N4", "N1", "N6", "N3", "N0", "N5", "N2"],
            ),
            ((Order("name", descending=True),), [f"N{n}" for n in range(6, -1, -1)]),
        ):
            found = await rows_of(connect(), Query("people", order=order), PageRequest(size))
            assert [one["name"] for one in found] == names, order
        lines = [record(n, {"line": f"{n}"}) for n in range(1, 8)]
        await send(connect, Target("log", Action.CREATE), lines)
        assert len(await rows_of(connect(), Query("log"), PageRequest(size))) == 7, (
            "a table without a key"
        )

    async def test_only_the_wanted_columns_are_read(self, connect: Connect) -> None:
        """The order and the cursor may need other columns, which are not in the records."""
        await send(connect, self.target(), self.records())
        found = await rows_of(
            connect(), Query("people", fields=("name",), order=(Order("age"),)), PageRequest(1)
        )
        assert found == [{"name": "Bob"}, {"name": "Ann"}, {"name": "Cara"}]

    @pytest.mark.parametrize(
        ("query", "after"),
        [
            (Query("people", where=Comparison("agee", "=", (1,))), None),
            (Query("people", where=Comparison("age", "=", ("old",))), None),
            (Query("people", where=Comparison("seen.year", "=", (1,))), None),
            (Query("people", order=(Order("agee"),)), None),
            (Query("people"), "circus"),
            (Query("people"), "[]"),
        ],
    )
    async def test_a_query_that_makes_no_sense_is_refused_in_words(
        self, connect: Connect, query: Query, after: str | None
    ) -> None:
        """By openbulk, not by the database."""
        with pytest.raises(BadInput) as refused:
            await rows_of(connect(), query, PageRequest(after=after))
        assert len(refused.value.message) > 20

    async def test_rows_that_refer_to_rows_of_the_same_file_are_taken(
        self, connect: Connect
    ) -> None:
        """Whichever columns they have. A row whose reference came later is tried again."""
        rows: list[dict[str, Any]] = [
            {"id": 1, "boss": 2, "note": "x"},
            {"id": 2},
            {"id": 3, "boss": 99, "note": "x"},
        ]
        outcomes = await send(
            connect,
            Target("bosses", Action.CREATE),
            [record(n, one) for n, one in enumerate(rows, 1)],
        )
        assert kinds(outcomes) == [OutcomeKind.CREATED, OutcomeKind.CREATED, OutcomeKind.FAILED]

    async def test_texts_are_texts_whatever_is_in_them(self, connect: Connect) -> None:
        """No value is a part of a statement."""
        names = ["'; DROP TABLE people; --", '"', "%(x)s :x ?", "\\", "ä 漢字 🎉", "a\nb"]
        await send(
            connect, self.target(), [record(n, {"name": one}) for n, one in enumerate(names, 1)]
        )
        assert [one["name"] for one in await rows_of(connect(), Query("people"))] == names
        for name in names:
            where = Comparison("name", "=", (name,))
            assert [
                one["name"] for one in await rows_of(connect(), Query("people", where=where))
            ] == [name]
        (outcome,) = await send(connect, self.target(), [record(9, {"name": "a\x00b"})])
        assert "NUL" in problem(outcome)


class TestPostgresql(SqlTests):
    @pytest.fixture
    def database(self, postgres: Postgres) -> str:
        serial = "integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"
        return postgres.new_database(*statements(serial, "DEFERRABLE INITIALLY DEFERRED"))

    @pytest.fixture
    async def connect(self, postgres: Postgres, database: str, http: aiohttp.ClientSession) -> Any:
        made: list[Connector] = []

        def connect() -> Connector:
            made.append(
                PostgresqlProvider(resolve).connect(
                    ConnectionContext(postgres.configuration(database), http, forget)
                )
            )
            return made[-1]

        yield connect
        for connector in made:
            await connector.close()

    @pytest.fixture
    async def connect_with_wrong_credentials(
        self, postgres: Postgres, database: str, http: aiohttp.ClientSession
    ) -> Connect:
        configuration = postgres.configuration(database, password="wrong")
        return lambda: PostgresqlProvider(resolve).connect(
            ConnectionContext(configuration, http, forget)
        )

    @pytest.fixture
    async def connect_to_nowhere(self, postgres: Postgres, http: aiohttp.ClientSession) -> Connect:
        configuration = {**postgres.configuration("x"), "db.port": "1"}
        return lambda: PostgresqlProvider(resolve).connect(
            ConnectionContext(configuration, http, forget)
        )

    async def test_every_type_comes_back(
        self, postgres: Postgres, http: aiohttp.ClientSession
    ) -> None:
        """A value that does not fit is refused with one that would."""
        database = postgres.new_database(
            "CREATE TYPE mood AS ENUM ('good', 'bad')",
            "CREATE DOMAIN zip AS text CHECK (VALUE ~ '^[0-9]{5}$')",
            "CREATE TABLE things (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), at timestamptz, "
            "data jsonb, tags text[], raw bytea, mood mood, zip zip, host inet, big numeric, "
            "t time, double_ int GENERATED ALWAYS AS (1 + 1) STORED)",
        )
        connector = PostgresqlProvider(resolve).connect(
            ConnectionContext(postgres.configuration(database), http, forget)
        )
        values = {
            "id": "0b4ad3c6-6f6e-4b5b-9f0e-2d8f0c6b7a11",
            "at": "2026-05-30T10:00:00",
            "data": '{"a": [1]}',
            "tags": '["x", "y"]',
            "raw": "aGk=",
            "mood": "good",
            "zip": "53111",
            "host": "10.0.0.1",
            "big": "12345678901234567890.5",
            "t": "10:30",
        }
        target = Target("things", Action.UPSERT, options={"timeZone": "Europe/Berlin"})
        (outcome,) = await connector.write(target, [record(1, values)])
        assert (outcome.kind, outcome.id) == (OutcomeKind.CREATED, values["id"])
        assert kinds(await connector.write(target, [record(2, values)])) == [OutcomeKind.UNCHANGED]
        (row,) = await rows_of(connector, Query("things"))
        assert row == {
            **values,
            "at": "2026-05-30T08:00:00+00:00",
            "data": {"a": [1]},
            "tags": ["x", "y"],
            "t": "10:30:00",
            "double_": 2,
        }
        wrong = {
            "mood": "angry",
            "zip": "x",
            "double_": 3,
            "host": "here",
            "raw": "*",
            "id": "1",
            "tags": "x",
            "at": "now",
        }
        rows = [record(n, {name: value}) for n, (name, value) in enumerate(wrong.items(), 10)]
        outcomes = await connector.write(Target("things", Action.CREATE), rows)
        assert kinds(outcomes) == [OutcomeKind.FAILED] * len(wrong)
        (made,) = await connector.write(
            Target("things", Action.CREATE), [record(30, {"zip": "53111"})]
        )
        assert made.id and len(made.id) == 36
        schema = await connector.metadata("things")
        assert schema["properties"]["mood"]["enum"] == ["good", "bad"]
        assert schema["properties"]["double_"]["readOnly"]
        await connector.close()

    async def test_an_error_of_a_trigger_fails_its_row(
        self, postgres: Postgres, http: aiohttp.ClientSession
    ) -> None:
        """In the trigger's own words."""
        database = postgres.new_database(
            "CREATE TABLE things (id int PRIMARY KEY)",
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF NEW.id = 13 THEN RAISE 'thirteen is unlucky'; END IF; RETURN NEW; END $$",
            "CREATE TRIGGER no BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION no()",
        )
        connector = PostgresqlProvider(resolve).connect(
            ConnectionContext(postgres.configuration(database), http, forget)
        )
        rows = [record(n, {"id": n}) for n in range(1, 31)]
        outcomes = await connector.write(Target("things", Action.CREATE), rows)
        assert [problem(one) for one in outcomes if one.problem] == [
            "the database refuses the row: thirteen is unlucky"
        ]
        await connector.close()

    async def test_a_user_without_rights_to_create_the_write_log_gets_the_statement(
        self, postgres: Postgres, http: aiohttp.ClientSession
    ) -> None:
        """Somebody else can execute it. A table that the user may not write stops the job, too."""
        database = postgres.new_database(
            "CREATE TABLE things (id int PRIMARY KEY)",
            f"CREATE USER {(user := 'u' + postgres.new_database()[5:])} PASSWORD 'p'",
            f"GRANT SELECT, INSERT ON things TO {user}",
        )
        configuration = postgres.configuration(database, username=user, password="p")
        connector = PostgresqlProvider(resolve).connect(
            ConnectionContext(configuration, http, forget)
        )
        target = Target("things", Action.CREATE)
        with pytest.raises(Refused) as refused:
            await connector.write(target, [record(1, {"id": 1})])
        statement = refused.value.message.partition("or create it: ")[2]
        with postgres.connect(database) as owner:
            owner.execute(statement.encode())
            owner.execute(f"GRANT SELECT, INSERT, DELETE ON openbulk_writes TO {user}".encode())
        assert kinds(await connector.write(target, [record(1, {"id": 1})])) == [OutcomeKind.CREATED]
        with pytest.raises(Refused) as refused:
            await connector.write(replace(target, action=Action.DELETE), [record(2, {"id": 1})])
        assert "permission denied" in refused.value.message
        await connector.close()

    async def test_a_connection_that_was_cut_is_made_again(
        self, postgres: Postgres, database: str, connect: Connect
    ) -> None:
        """The call in flight has done nothing."""
        connector = connect()
        await connector.write(self.target(), self.records())
        with postgres.connect() as owner:
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [database],
            )
        assert len(await rows_of(connector, Query("people"))) == 3
        with postgres.connect(database) as owner, owner.transaction():
            owner.execute("LOCK TABLE people IN ACCESS EXCLUSIVE MODE")
            writing = asyncio.create_task(
                connector.write(self.target(), [record(9, {"name": "Zoe"})])
            )
            await asyncio.to_thread(_cut_who_waits, postgres, database)
            with pytest.raises(RetryLater):
                await writing
        assert kinds(await connector.write(self.target(), [record(9, {"name": "Zoe"})])) == [
            OutcomeKind.CREATED
        ]

    async def test_a_database_that_is_not_there_stops_the_job(
        self, postgres: Postgres, http: aiohttp.ClientSession
    ) -> None:
        """The configuration has to be changed."""
        connector = PostgresqlProvider(resolve).connect(
            ConnectionContext(postgres.configuration("circus"), http, forget)
        )
        with pytest.raises(Refused, match="circus"):
            await connector.check()

    async def test_private_addresses_are_refused(
        self, postgres: Postgres, http: aiohttp.ClientSession
    ) -> None:
        """The setting that allows them is the one for all services."""

        async def public_only(host: str, port: int) -> str:
            return await allowed_address(host, port, allowed=())

        connector = PostgresqlProvider(public_only).connect(
            ConnectionContext(postgres.configuration("postgres"), http, forget)
        )
        with pytest.raises(Refused, match="a private address"):
            await connector.check()

    @pytest.mark.parametrize(
        "change",
        [
            {"db.host": ""},
            {"db.host": "/tmp"},
            {"db.port": "x"},
            {"db.ssl.mode": "maybe"},
            {"username": ""},
        ],
    )
    def test_a_configuration_that_makes_no_sense_is_refused(
        self, change: Mapping[str, str]
    ) -> None:
        """Before a connection is made."""
        with pytest.raises(BadInput):
            PostgresqlProvider(resolve).connect(
                context_without_http({**Postgres(1).configuration("x"), **change})
            )


class TestMariadb(SqlTests):
    @pytest.fixture
    def database(self, mariadb: Mariadb) -> str:
        return mariadb.new_database(*map(_in_mysql, statements("int AUTO_INCREMENT PRIMARY KEY")))

    @pytest.fixture
    async def connect(self, mariadb: Mariadb, database: str, http: aiohttp.ClientSession) -> Any:
        made: list[Connector] = []

        def connect() -> Connector:
            context = ConnectionContext(mariadb.configuration(database), http, forget)
            made.append(MysqlProvider(resolve).connect(context))
            return made[-1]

        yield connect
        for connector in made:
            await connector.close()

    @pytest.fixture
    async def connect_with_wrong_credentials(
        self, mariadb: Mariadb, database: str, http: aiohttp.ClientSession
    ) -> Connect:
        configuration = mariadb.configuration(database, password="wrong")
        return lambda: MysqlProvider(resolve).connect(
            ConnectionContext(configuration, http, forget)
        )

    @pytest.fixture
    async def connect_to_nowhere(self, mariadb: Mariadb, http: aiohttp.ClientSession) -> Connect:
        configuration = {**mariadb.configuration("x"), "db.port": "1"}
        return lambda: MysqlProvider(resolve).connect(
            ConnectionContext(configuration, http, forget)
        )

    async def test_a_user_without_rights_to_create_the_write_log_gets_the_statement(
        self, mariadb: Mariadb, database: str, http: aiohttp.ClientSession
    ) -> None:
        """Somebody else can execute it."""
        user = f"u{uuid4().hex[:12]}"
        mariadb.execute(
            database,
            f"CREATE USER {user}@'%' IDENTIFIED BY 'p'",
            f"GRANT SELECT, INSERT ON people TO {user}@'%'",
        )
        configuration = mariadb.configuration(database, username=user, password="p")
        connector = MysqlProvider(resolve).connect(ConnectionContext(configuration, http, forget))
        with pytest.raises(Refused) as refused:
            await connector.write(self.target(), self.records())
        statement = refused.value.message.partition("or create it: ")[2]
        mariadb.execute(
            database,
            statement,
            f"GRANT SELECT, INSERT, DELETE, UPDATE ON openbulk_writes TO {user}@'%'",
        )
        assert (
            kinds(await connector.write(self.target(), self.records())) == [OutcomeKind.CREATED] * 3
        )
        with pytest.raises(Refused, match="DELETE command denied"):
            target = replace(self.target(), action=Action.DELETE)
            await connector.write(target, [record(1, {"id": 1})])
        await connector.close()

    async def test_a_lock_that_is_not_given_up_is_a_wait(
        self, mariadb: Mariadb, database: str, connect: Connect
    ) -> None:
        """So is a connection that is cut while it waits. The call has done nothing."""
        connector = connect()
        await connector.write(self.target(), self.records())
        with mariadb.connect(database) as owner, owner.cursor() as cursor:
            cursor.execute("LOCK TABLES people WRITE")
            writing = asyncio.create_task(
                connector.write(self.target(), [record(9, {"name": "Zoe"})])
            )
            await asyncio.to_thread(_kill_who_waits, mariadb, database)
            with pytest.raises(RetryLater):
                await writing
            reading = asyncio.create_task(rows_of(connector, Query("people")))
            await asyncio.to_thread(wait_for_who_waits, mariadb, database)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            cursor.execute("UNLOCK TABLES")
        assert len(await rows_of(connector, Query("people"))) == 3
        assert kinds(await connector.write(self.target(), [record(9, {"name": "Zoe"})])) == [
            OutcomeKind.CREATED
        ]

    async def test_a_deadlock_is_a_wait(
        self, mariadb: Mariadb, database: str, connect: Connect
    ) -> None:
        """One of two transactions that wait for one another is undone. It can be sent again."""
        connector = connect()
        await connector.write(self.target(), self.records())
        change = replace(self.target(), action=Action.UPDATE)
        rows = [record(1, {"id": 1, "age": 50}), record(2, {"id": 2, "age": 51})]
        with mariadb.connect(database) as owner, owner.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 50")
            cursor.execute("BEGIN")
            # A transaction that has changed more is not the one to be undone.
            cursor.execute("INSERT INTO log SELECT seq FROM seq_1_to_1000")
            cursor.execute("UPDATE people SET age = 1 WHERE id = 2")
            writing = asyncio.create_task(connector.write(change, rows))
            await asyncio.to_thread(wait_for_who_waits, mariadb, database)
            cursor.execute("UPDATE people SET age = 1 WHERE id = 1")
            with pytest.raises(RetryLater):
                await writing
            cursor.execute("ROLLBACK")
        assert kinds(await connector.write(change, rows)) == [OutcomeKind.UPDATED] * 2

    async def test_a_database_that_is_not_there_stops_the_job(
        self, mariadb: Mariadb, http: aiohttp.ClientSession
    ) -> None:
        """The configuration has to be changed."""
        connector = MysqlProvider(resolve).connect(
            ConnectionContext(mariadb.configuration("circus"), http, forget)
        )
        with pytest.raises(Refused, match="circus"):
            await connector.check()

    @pytest.mark.parametrize(
        "change",
        [{"db.host": ""}, {"db.host": "/tmp"}, {"db.port": "x"}, {"db.ssl.mode": "maybe"}],
    )
    def test_a_configuration_that_makes_no_sense_is_refused(
        self, change: Mapping[str, str]
    ) -> None:
        """Before a connection is made."""
        with pytest.raises(BadInput):
            MysqlProvider(resolve).connect(
                context_without_http({**Mariadb(1).configuration("x"), **change})
            )


class TestSqlite(SqlTests):
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        with sqlite3.connect(tmp_path / "people.db") as connection:
            for statement in statements("integer PRIMARY KEY"):
                connection.execute(statement)
        return tmp_path / "people.db"

    @pytest.fixture
    async def connect(self, file: Path, http: aiohttp.ClientSession) -> Any:
        made: list[Connector] = []

        def connect() -> Connector:
            made.append(
                SqliteProvider(file.parent).connect(
                    ConnectionContext({"db.file": file.name}, http, forget)
                )
            )
            return made[-1]

        yield connect
        for connector in made:
            await connector.close()

    @pytest.mark.parametrize(
        "name",
        [
            *("", "circus.db", "../people.db", "/etc/passwd", "link.db", "."),
            *("people.db\0", "\0", "\ud800.db", "p" * 5_000, "loop.db"),
        ],
    )
    def test_only_files_of_the_folder_are_opened(self, tmp_path: Path, name: str) -> None:
        """No name leads out of it."""
        folder = tmp_path / "folder"
        folder.mkdir()
        (tmp_path / "people.db").touch()
        (folder / "link.db").symlink_to(tmp_path / "people.db")
        (folder / "loop.db").symlink_to(folder / "loop.db")
        with pytest.raises(BadInput):
            SqliteProvider(folder).connect(context_without_http({"db.file": name}))
        with pytest.raises(BadInput, match="OPENBULK_SQLITE_FOLDER"):
            SqliteProvider(None).connect(context_without_http({"db.file": "people.db"}))

    async def test_a_file_that_is_no_database_stops_the_job(
        self, tmp_path: Path, http: aiohttp.ClientSession
    ) -> None:
        """Waiting does not help."""
        (tmp_path / "text.db").write_text("This is a text, and not a database. " * 100)
        connector = SqliteProvider(tmp_path).connect(
            ConnectionContext({"db.file": "text.db"}, http, forget)
        )
        with pytest.raises(Refused, match="not a database"):
            await connector.objects()
        await connector.close()

    async def test_values_of_another_type_than_their_columns_are_read_as_they_are(
        self, file: Path, connect: Connect
    ) -> None:
        """SQLite keeps a value of any type in any column."""
        with sqlite3.connect(file) as connection:
            connection.execute(
                "INSERT INTO people (name, born, age, active) "
                "VALUES ('Ann', '30/05/85', 'old', 'maybe')"
            )
        (row,) = await rows_of(connect(), Query("people"))
        assert (row["born"], row["age"], row["active"]) == ("30/05/85", "old", "maybe")


def _in_mysql(statement: str) -> str:
    """A statement in MySQL: an index is on a part of a text, and a column alone refers to none."""
    return (
        statement.replace("land text, city text", "land varchar(40), city varchar(40)")
        .replace("boss integer REFERENCES bosses (id)", "boss integer")
        .replace("note text)", "note text, FOREIGN KEY (boss) REFERENCES bosses (id))")
        .replace("seen timestamp", "seen datetime(6)")
    )


async def send(connect: Connect, target: Target, batch: Sequence[Record]) -> list[Outcome]:
    """Write a batch as a job of its own, unless the target names a run."""
    return await send_as_one_run(connect, replace(target, run=target.run or uuid4().hex), batch)


def kinds(outcomes: Any) -> list[OutcomeKind]:
    return [one.kind for one in outcomes]


def problem(outcome: Outcome) -> str:
    assert outcome.problem is not None, outcome
    return outcome.problem.message


async def rows_of(
    connector: Connector, query: Query, request: PageRequest = FROM_THE_START
) -> list[Mapping[str, Any]]:
    return [row async for page in connector.read(query, request) for row in page.records]


def _cut_who_waits(postgres: Postgres, database: str) -> None:
    """Wait until a connection waits for a lock, and cut it."""
    waiting = "datname = %s AND wait_event_type = 'Lock'"
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {waiting}"
    with postgres.connect() as owner:
        until(lambda: owner.execute(cut, [database]).fetchall(), 60, "a connection waits")


def _kill_who_waits(mariadb: Mariadb, database: str) -> None:
    """Wait until a connection waits for a lock, and cut it."""
    wait_for_who_waits(mariadb, database)
    for (number,) in mariadb.execute(None, WAITING.format(database=database)):
        mariadb.execute(None, f"KILL {number}")
