"""One bad row, and its neighbours: the database decides about rows, and loses none of them."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from sqlalchemy import event

from openbulk.connectors.sql import (
    Sql,
    databases,
)
from openbulk.domain.conditions import Comparison
from openbulk.domain.errors import BadInput, NotFound, Refused, RetryLater
from openbulk.domain.query import Order, PageRequest, Query
from openbulk.domain.records import Outcome, OutcomeKind
from support.postgres import Postgres
from support.sql_databases import Database, Open, Rows

CREATED, UPDATED, UNCHANGED, DELETED, FAILED, UNKNOWN, NOT_FOUND = (
    OutcomeKind.CREATED,
    OutcomeKind.UPDATED,
    OutcomeKind.UNCHANGED,
    OutcomeKind.DELETED,
    OutcomeKind.FAILED,
    OutcomeKind.UNKNOWN,
    OutcomeKind.NOT_FOUND,
)


def message(outcome: Outcome) -> str:
    assert outcome.problem is not None, outcome
    return outcome.problem.message


# --- equality ---


async def test_nocase_is_one_key(sqlite: Open) -> None:
    """In the table, and in the file."""
    database = await sqlite("CREATE TABLE t (name text COLLATE NOCASE UNIQUE, n int)")
    database.execute("INSERT INTO t VALUES ('Mia', 1)")
    rows = [{"name": "MIA", "n": 2}, {"name": "Noa", "n": 3}, {"name": "noa", "n": 4}]
    kinds = await database.write("t", rows, "upsert", "name")
    assert kinds == [UPDATED, CREATED, UPDATED]
    assert database.execute("SELECT * FROM t") == [("Mia", 2), ("Noa", 4)]
    assert await database.write("t", [{"name": "mia", "n": 2}], "upsert", "name") == [UNCHANGED]
    assert await database.write("t", [{"name": "nOa"}, {"name": "x"}], "delete", "name") == [
        DELETED,
        NOT_FOUND,
    ]


async def test_numbers_are_one_key_however_they_are_written(postgresql: Open) -> None:
    """1.0 is 1.00."""
    database = await postgresql("CREATE TABLE t (k numeric PRIMARY KEY, n int)")
    rows = [{"k": "1.0", "n": "1"}, {"k": "1.00", "n": "2"}, {"k": "1e0", "n": "3"}]
    assert await database.write("t", rows, "upsert") == [CREATED, UPDATED, UPDATED]
    assert database.execute("SELECT n FROM t") == [(3,)]


async def test_a_collation_of_a_column_decides(postgresql: Open) -> None:
    """Also one that the server's own does not agree with."""
    database = await postgresql(
        "CREATE COLLATION folded "
        "(provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "CREATE TABLE t (k text COLLATE folded PRIMARY KEY, n int)",
        "INSERT INTO t VALUES ('Ann', 1)",
    )
    rows = [{"k": "ANN", "n": 2}, {"k": "Bob", "n": 3}, {"k": "bob", "n": 4}]
    assert await database.write("t", rows, "upsert") == [UPDATED, CREATED, UPDATED]
    assert database.execute("SELECT * FROM t ORDER BY 1") == [("Ann", 2), ("Bob", 4)]


@pytest.mark.parametrize(
    ("type_", "before", "value"),
    [
        ("text", None, "None"),
        ("text", "None", None),
        ("jsonb", True, 1),
        ("jsonb", 1, True),
        ("jsonb", 1, "1"),
        ("jsonb", {"a": 0}, {"a": False}),
        ("text", "a", "A"),
        ("citext", "a", "A"),
        ("timetz", "10:00:00+00:00", "11:00:00+01:00"),
    ],
)
async def test_a_value_that_only_looks_the_same_is_written(
    postgresql: Open, type_: str, before: Any, value: Any
) -> None:
    """And then it is unchanged."""
    database = await postgresql(
        "CREATE EXTENSION citext", f"CREATE TABLE t (id int PRIMARY KEY, v {type_})"
    )
    rows = [{"id": 1, "v": before}]
    assert await database.write("t", rows, is_typed=True) == [CREATED]
    rows = [{"id": 1, "v": value}]
    assert await database.write("t", rows, "upsert", is_typed=True) == [UPDATED]
    assert await database.write("t", rows, "upsert", is_typed=True) == [UNCHANGED]


# --- errors of rows, and of jobs ---


async def test_rows_that_refer_to_one_another_are_written_in_any_order(
    either_with_rings: Open,
) -> None:
    """Chains from behind, rings, and rows that refer to nothing."""
    database = await either_with_rings("CREATE TABLE t (id int PRIMARY KEY, boss int REFERENCES t)")
    chain = [{"id": n, "boss": n + 1} for n in range(1, 200)]
    ring = [{"id": 300, "boss": 301}, {"id": 301, "boss": 300}]
    rows: Rows = [*chain, {"id": 200}, *ring, {"id": 400, "boss": 999}, {"id": "x", "boss": 1}]
    kinds = await database.write("t", rows)
    assert [number for number, kind in enumerate(kinds) if kind is FAILED] == [202, 203]
    assert database.execute("SELECT count(*) FROM t") == [(202,)]


async def test_a_bad_row_before_a_ring_of_rows_costs_the_ring_nothing(
    either_with_rings: Open,
) -> None:
    """Nor one behind it, nor one that refers to it."""
    database = await either_with_rings(
        "CREATE TABLE t (id int PRIMARY KEY, boss int REFERENCES t (id))"
    )
    bad = [{"id": 9, "boss": 77}]
    ring = [{"id": number, "boss": number % 4 + 1} for number in range(1, 5)]
    for rows in ([*bad, *ring], [*ring, *bad], [*ring[:2], *bad, *ring[2:]], [*bad, *ring, *bad]):
        for action in ("create", "upsert"):
            kinds = await database.write("t", rows, action)
            assert kinds == [FAILED if row["id"] == 9 else CREATED for row in rows]
            database.execute("DELETE FROM t")


async def test_parents_are_deleted_after_their_children(either: Open) -> None:
    """Whatever the order of the file."""
    database = await either(
        "CREATE TABLE t (id int PRIMARY KEY, boss int REFERENCES t)",
        "CREATE TABLE u (id int REFERENCES t)",
        "INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2), (4, NULL)",
        "INSERT INTO u VALUES (4)",
    )
    kinds = await database.write("t", [{"id": n} for n in (4, 1, 2, 3)], "delete")
    assert kinds == [FAILED, DELETED, DELETED, DELETED]


async def test_rows_around_a_bad_one_are_what_they_are_without_it(either: Open) -> None:
    """The first one refers to a row that comes later, and only the bad one is in the way."""
    database = await either(
        "CREATE TABLE t (id int PRIMARY KEY, boss int REFERENCES t, note text CHECK (note <> 'x'))"
    )
    rows = [
        {"id": 1, "boss": 2, "note": "early"},
        {"id": 2, "note": "x"},
        {"id": 1, "note": "late"},
        {"id": 2, "note": "good"},
    ]
    kinds = await database.write("t", rows, "upsert")
    assert kinds == [CREATED, FAILED, UPDATED, CREATED]
    assert database.execute("SELECT note FROM t ORDER BY id") == [("late",), ("good",)]


async def test_a_later_row_of_a_key_counts_though_an_earlier_one_is_tried_again(
    either: Open,
) -> None:
    """The earlier one fails at first: a row that comes later still has its code."""
    database = await either(
        "CREATE TABLE t (id int PRIMARY KEY, code int UNIQUE, note varchar(9))",
        "INSERT INTO t VALUES (9, 7, 'old')",
    )
    rows: Rows = [
        {"id": 1, "code": 7, "note": "early"},
        {"id": 9, "code": 8},
        {"id": 1, "note": "late"},
    ]
    outcomes = await database.outcomes("t", rows, "upsert")
    assert [one.kind for one in outcomes] == [FAILED, UPDATED, CREATED]
    assert "row 3 of the file" in message(outcomes[0])
    stored = database.execute("SELECT id, code, note FROM t ORDER BY id")
    assert stored == [(1, None, "late"), (9, 8, "old")]
    again = await database.write("t", [rows[0], {"id": 9, "code": 10}], "upsert")
    assert again == [UPDATED, UPDATED], "a code that is free once the later row is written"


async def test_outcomes_of_tried_rows_are_found_in_the_write_log(either: Open) -> None:
    """A batch that is sent again writes nothing twice."""
    database = await either("CREATE TABLE t (id int PRIMARY KEY, boss int REFERENCES t, note text)")
    database.execute("CREATE TABLE log (line text CHECK (line <> 'bad'))")
    rows: Rows = [{"id": 1, "boss": 3}, {"id": "x"}, {"id": 3}, {"id": 4, "boss": 9}]
    first = await database.outcomes("t", rows, run="one")
    assert [one.kind for one in first] == [CREATED, FAILED, CREATED, FAILED]
    assert await database.outcomes("t", rows, run="one") == first
    lines = [{"line": line} for line in ("a", "bad", "b", "bad", "c")]
    kinds = await database.write("log", lines, run="two")
    assert await database.write("log", lines, run="two") == kinds
    assert database.execute("SELECT line FROM log") == [("a",), ("b",), ("c",)]


@pytest.mark.parametrize("code", ["U0001", "42501", "XX000", "08006", "40001", "57014", "P0001"])
async def test_a_code_that_a_trigger_raises_is_about_its_row(postgresql: Open, code: str) -> None:
    """Any code: the connection lives."""
    database = await postgresql(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 2 THEN "
        f"RAISE 'not this one' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no()",
    )
    outcomes = await database.outcomes("t", [{"id": n} for n in (1, 2, 3)])
    assert [one.kind for one in outcomes] == [CREATED, FAILED, CREATED]
    assert "not this one" in message(outcomes[1])


async def test_an_error_inside_a_trigger_is_about_its_row(postgresql: Open) -> None:
    """Such as a table that the trigger's function needs, and nobody has made."""
    database = await postgresql(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 2 THEN "
        "INSERT INTO audit VALUES (NEW.id); END IF; RETURN NEW; END $$",
        "CREATE TRIGGER note AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note()",
    )
    assert await database.write("t", [{"id": n} for n in (1, 2, 3)]) == [CREATED, FAILED, CREATED]


async def test_a_statement_that_takes_too_long_is_divided(
    postgresql: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow triggers must not hold a job forever."""
    monkeypatch.setattr(databases, "_SESSION", "-c statement_timeout=1s")
    database = await postgresql(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE FUNCTION rest() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END $$",
        "CREATE TRIGGER rest BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION rest()",
    )
    assert await database.write("t", [{"id": n} for n in range(8)]) == [CREATED] * 8


async def test_a_table_that_is_gone_stops_the_job(either: Open) -> None:
    """No row of it can be written."""
    database = await either("CREATE TABLE t (id int PRIMARY KEY)")
    assert await database.write("t", [{"id": 1}]) == [CREATED]
    database.execute("DROP TABLE t")
    with pytest.raises(Refused, match="no table 't'"):
        await database.write("t", [{"id": 2}])


async def test_a_database_that_is_made_anew_is_used_as_it_is(either: Open) -> None:
    """With a write log, and with the columns that the table has now."""
    database = await either("CREATE TABLE t (id int PRIMARY KEY, a text)")
    assert await database.write("t", [{"id": 1, "a": "x"}], run="one") == [CREATED]
    database.execute("DROP TABLE openbulk_writes")
    database.execute("DROP TABLE t")
    database.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    assert await database.write("t", [{"id": 1, "a": "x"}], run="two") == [CREATED]
    assert database.execute("SELECT first_row FROM openbulk_writes WHERE run = 'two'") == [(1,)]


async def test_a_change_of_the_tables_is_seen_at_once(either: Open) -> None:
    """A new table, a new column, and one that is gone."""
    database = await either("CREATE TABLE t (id int PRIMARY KEY)")
    assert set(await database.connector.objects()) == {"t"}
    database.execute("CREATE TABLE u (id int PRIMARY KEY)")
    database.execute("ALTER TABLE t ADD COLUMN a text")
    assert set(await database.connector.objects()) == {"t", "u"}
    assert set((await database.connector.metadata("t"))["properties"]) == {"id", "a"}
    database.execute("DROP TABLE t")
    assert set(await database.connector.objects()) == {"u"}


async def test_sqlites_triggers_can_skip_a_row_and_end_a_transaction(sqlite: Open) -> None:
    """A row that is skipped is not called written."""
    database = await sqlite(
        "CREATE TABLE t (id integer PRIMARY KEY, name text)",
        "CREATE TRIGGER skip BEFORE INSERT ON t WHEN NEW.name = 'skip' BEGIN "
        "SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER undo BEFORE INSERT ON t WHEN NEW.name = 'undo' BEGIN "
        "SELECT RAISE(ROLLBACK, 'not this one'); END",
        "CREATE TRIGGER no BEFORE INSERT ON t WHEN NEW.name = 'no' BEGIN "
        "SELECT RAISE(ABORT, 'nor this one'); END",
    )
    names = ["a", "skip", "undo", "b", "no", "c"]
    outcomes = await database.outcomes("t", [{"name": name} for name in names], run="one")
    kinds = [one.kind for one in outcomes]
    assert kinds == [CREATED, UNKNOWN, FAILED, CREATED, FAILED, CREATED]
    assert "skip" in message(outcomes[1])
    assert "not this one" in message(outcomes[2])
    assert await database.outcomes("t", [{"name": name} for name in names], run="one") == outcomes
    assert database.execute("SELECT id, name FROM t") == [(1, "a"), (2, "b"), (3, "c")]


async def test_sqlites_deferred_constraints_refuse_their_row(sqlite: Open) -> None:
    """They are checked when the batch is committed."""
    database = await sqlite(
        "CREATE TABLE u (id integer PRIMARY KEY)",
        "CREATE TABLE t (id integer PRIMARY KEY, u int REFERENCES u DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO u VALUES (1)",
    )
    rows = [{"id": n, "u": 1 + (n == 3)} for n in range(1, 6)]
    assert await database.write("t", rows) == [CREATED, CREATED, FAILED, CREATED, CREATED]


# --- rows that the database holds back ---


async def test_a_trigger_that_drops_some_rows_is_named(postgresql: Open) -> None:
    """Its neighbours have their ids."""
    database = await postgresql(
        "CREATE TABLE t (id serial PRIMARY KEY, name text UNIQUE)",
        "CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT FROM t WHERE name = NEW.name) THEN RETURN NULL; END IF; "
        "RETURN NEW; END $$",
        "CREATE TRIGGER once BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION once()",
    )
    outcomes = await database.outcomes("t", [{"name": name} for name in "abacb"])
    assert [one.kind for one in outcomes] == [CREATED, CREATED, UNKNOWN, CREATED, UNKNOWN]
    assert "(once)" in message(outcomes[2])
    stored = {str(key): name for key, name in database.execute("SELECT id, name FROM t")}
    assert [stored[str(one.id)] for one in outcomes if one.kind is CREATED] == ["a", "b", "c"]


async def test_a_trigger_that_hides_rows_instead_of_deleting_them_is_named(
    postgresql: Open,
) -> None:
    """The row is not called deleted."""
    database = await postgresql(
        "CREATE TABLE t (id int PRIMARY KEY, hidden bool DEFAULT false)",
        "CREATE FUNCTION hide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE t SET hidden = true WHERE id = OLD.id; RETURN NULL; END $$",
        "CREATE TRIGGER hide BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION hide()",
        "INSERT INTO t VALUES (1), (2)",
    )
    outcomes = await database.outcomes("t", [{"id": 1}], "delete")
    assert [one.kind for one in outcomes] == [UNKNOWN]
    assert "(hide)" in message(outcomes[0])
    assert database.execute("SELECT * FROM t ORDER BY 1") == [(1, True), (2, False)]


async def test_a_policy_that_hides_rows_from_updates_is_told(
    postgres: Postgres, postgresql: Open
) -> None:
    """The update would change nothing, without an error."""
    role = f"u{postgres.new_database()[5:]}"
    database = await postgresql(
        f"CREATE USER {role}",
        f"GRANT CREATE ON SCHEMA public TO {role}",
        "CREATE TABLE t (id int PRIMARY KEY, team text, note text)",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY reads ON t FOR SELECT USING (true)",
        "CREATE POLICY writes ON t FOR UPDATE USING (team = 'red')",
        f"GRANT ALL ON t TO {role}",
        "INSERT INTO t VALUES (1, 'red'), (2, 'blue')",
        username=role,
        password="p",
    )
    rows = [{"id": 1, "note": "x"}, {"id": 2, "note": "x"}]
    outcomes = await database.outcomes("t", rows, "update")
    assert [one.kind for one in outcomes] == [UPDATED, FAILED]
    assert "a policy of t" in message(outcomes[1])


@pytest.mark.parametrize("action", ["create", "upsert"])
async def test_one_bad_row_of_sqlite_is_found_with_few_statements(
    sqlite: Open, action: str
) -> None:
    """Its messages have no values: each row is tried alone, in one call."""
    database = await sqlite(
        "CREATE TABLE t (id text PRIMARY KEY, age int CHECK (age >= 0), note text)"
    )
    assert isinstance(database.connector, Sql)
    inserts: list[str] = []

    @event.listens_for(database.connector._engine.sync_engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        inserts.extend([statement] if 'INTO "t"' in statement else [])

    rows = [{"id": f"n{n}", "age": 7, "note": "x"} for n in range(1, 1001)]
    rows[700]["age"] = rows[900]["age"] = -1
    outcomes = await database.outcomes("t", rows, action)
    assert [one.row for one in outcomes if one.kind is not CREATED] == [701, 901]
    assert len(inserts) == 2, "the batch, and the good rows"
    assert database.execute("SELECT count(*) FROM t") == [(998,)]


async def test_an_upsert_of_rows_that_exist_needs_no_right_to_insert(
    postgres: Postgres, postgresql: Open
) -> None:
    role = f"u{postgres.new_database()[5:]}"
    database = await postgresql(
        f"CREATE USER {role}",
        f"GRANT CREATE ON SCHEMA public TO {role}",
        "CREATE TABLE t (id int PRIMARY KEY, note text)",
        f"GRANT SELECT, UPDATE ON t TO {role}",
        "INSERT INTO t VALUES (1, 'x'), (2, 'x')",
        username=role,
        password="p",
    )
    rows = [{"id": 1, "note": "x"}, {"id": 2, "note": "y"}]
    assert await database.write("t", rows, "upsert") == [UNCHANGED, UPDATED]


async def test_an_upsert_into_a_table_with_a_rule_is_two_statements(postgresql: Open) -> None:
    """PostgreSQL takes no INSERT with such a rule inside of another statement."""
    database = await postgresql(
        "CREATE TABLE t (id int PRIMARY KEY, note text)",
        "CREATE TABLE seen (id int)",
        "CREATE RULE seen AS ON INSERT TO t DO ALSO INSERT INTO seen VALUES (NEW.id)",
    )
    rows = [{"id": 1, "note": "x"}, {"id": 2, "note": "y"}]
    assert await database.write("t", rows, "upsert") == [CREATED] * 2
    assert database.execute("SELECT id FROM seen ORDER BY id") == [(1,), (2,)]


async def test_a_key_of_many_columns_takes_smaller_batches(either: Open) -> None:
    """One statement of SQLite takes 32,766 values."""
    names = [f"c{place}" for place in range(20)]
    columns = ", ".join(f"{name} int" for name in names)
    database = await either(f"CREATE TABLE t ({columns}, PRIMARY KEY ({', '.join(names)}))")
    size = (await database.connector.objects())["t"].max_batch
    assert size == 1_500
    rows = [dict.fromkeys(names, n) for n in range(size)]
    assert set(await database.write("t", rows, "upsert")) == {CREATED}
    assert database.execute("SELECT count(*) FROM t") == [(size,)]


# --- columns of the database's own ---


async def test_rows_are_numbered_in_the_order_of_the_file(either: Open, request: Any) -> None:
    """Also where some rows have values that others have not."""
    serial = "integer" if "sqlite" in request.node.name else "serial"
    database = await either(
        f"CREATE TABLE t (id {serial} PRIMARY KEY, a int, b int DEFAULT 7, c text)"
    )
    rows = [
        {"a": n, **({"b": n} if n % 3 else {}), **({"c": "x"} if n % 2 else {})} for n in range(99)
    ]
    outcomes = await database.outcomes("t", rows)
    assert [one.id for one in outcomes] == [str(n) for n in range(1, 100)]
    assert database.execute("SELECT a FROM t ORDER BY id") == [(n,) for n in range(99)]
    assert database.execute("SELECT count(*) FROM t WHERE b = 7") == [(34,)]
    features = (await database.connector.objects())["t"]
    assert features.concurrency == 1, "batches at the same time would take turns at numbers"


async def test_a_row_without_any_value_gets_its_defaults(either: Open) -> None:
    """As `INSERT INTO t DEFAULT VALUES` does."""
    database = await either("CREATE TABLE t (a int DEFAULT 7, b text DEFAULT 'x')")
    assert await database.write("t", [{}, {"a": 1}, {}]) == [CREATED] * 3
    assert sorted(database.execute("SELECT * FROM t")) == [(1, "x"), (7, "x"), (7, "x")]


async def test_a_computed_value_may_come_back_but_not_change(either: Open) -> None:
    """A file that was downloaded has it."""
    database = await either(
        "CREATE TABLE t (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED)",
        "INSERT INTO t (id, a) VALUES (1, 5), (2, 6)",
    )
    same = [{"id": 1, "a": 5, "twice": 10}, {"id": 2, "a": 7, "twice": 12}]
    assert await database.write("t", same, "upsert") == [UNCHANGED, UPDATED]
    wrong = [{"id": 1, "a": 5, "twice": 11}, {"id": 3, "twice": 1}]
    outcomes = await database.outcomes("t", wrong, "upsert")
    assert [message(one) for one in outcomes] == [
        "twice is computed by the database; leave its column out"
    ] * 2


async def test_none_is_null_and_an_absent_value_stays(either: Open) -> None:
    """An empty text is a text, and no value of a column that holds none."""
    database = await either(
        "CREATE TABLE t (id int PRIMARY KEY, a text, n int)",
        "INSERT INTO t VALUES (1, 'x', 1), (2, 'x', 2), (3, 'x', 3)",
    )
    rows: Rows = [{"id": 1, "a": None, "n": None}, {"id": 2, "a": "", "n": ""}, {"id": 3}]
    for action in ("update", "upsert"):
        kinds = await database.write("t", rows, action)
        assert kinds == ([UPDATED, UPDATED, UNCHANGED] if action == "update" else [UNCHANGED] * 3)
    assert database.execute("SELECT * FROM t ORDER BY id") == [
        (1, None, None),
        (2, "", 2),
        (3, "x", 3),
    ]
    assert await database.write("t", [{"id": 4, "a": "", "n": ""}]) == [CREATED]
    assert database.execute("SELECT * FROM t WHERE id = 4") == [(4, "", None)]


@pytest.mark.parametrize(
    ("text", "is_typed", "stored"),
    [
        ('{"a": 1.50}', False, '{"a": 1.50}'),
        ("1.50", False, "1.50"),
        ("plain", False, '"plain"'),
        ("null", False, None),
        ('{"a": 1', False, FAILED),
        ('{"a": 1.50}', True, '"{\\"a\\": 1.50}"'),
        ("", True, '""'),
        ("", False, None),
    ],
)
async def test_a_text_for_a_document_is_one_only_where_it_can_be(
    postgresql: Open, text: str, is_typed: bool, stored: Any
) -> None:
    """A CSV has texts alone, and JSON has documents."""
    database = await postgresql("CREATE TABLE t (id int PRIMARY KEY, doc jsonb)")
    (kind,) = await database.write("t", [{"id": 1, "doc": text}], is_typed=is_typed)
    if stored is FAILED:
        assert kind is FAILED
    else:
        assert database.execute("SELECT doc::text FROM t") == [(stored,)]


# --- reading ---


async def test_names_of_columns_are_plain_texts(either: Open) -> None:
    """A download encodes them as keys of JSON objects."""
    database = await either('CREATE TABLE t ("Id" int PRIMARY KEY, "a.b" text)')
    assert await database.write("t", [{"Id": 1, "a.b": "x"}]) == [CREATED]
    for fields in ((), ("a.b", "Id")):
        query = Query("t", fields=fields)
        (page,) = [page async for page in database.connector.read(query, PageRequest())]
        assert orjson.dumps(page.records) == b'[{"Id":1,"a.b":"x"}]'


async def test_a_key_that_the_column_cannot_have_is_not_found(either: Open) -> None:
    """It is no crash of a download, either."""
    database = await either("CREATE TABLE t (id int PRIMARY KEY)")
    with pytest.raises(NotFound):
        await database.connector.get("t", "abc", {})
    with pytest.raises(BadInput):
        async for _ in database.connector.read(Query("t", fields=("x",)), PageRequest()):
            pass


async def test_what_python_does_not_hold_is_read_as_text(postgresql: Open) -> None:
    """Infinity, the years before 1 and after 9999, months, and 24:00."""
    values = {
        "d": "infinity",
        "e": "0044-03-15 BC",
        "t": "24:00:00",
        "at": "-infinity",
        "since": "12026-01-01 00:00:00",
        "f": "NaN",
        "i": "1 mon 3 days",
    }
    types = [
        "d date",
        "e date",
        "t time",
        "at timestamptz",
        "since timestamp",
        "f float",
        "i interval",
    ]
    database = await postgresql(f"CREATE TABLE t ({', '.join(types)})")
    assert await database.write("t", [values]) == [CREATED]
    (page,) = [page async for page in database.connector.read(Query("t"), PageRequest())]
    assert page.records == [values]


async def test_lists_of_any_type_come_back_as_they_are(postgresql: Open) -> None:
    """The driver does not know the types that a database defines itself."""
    database = await postgresql(
        "CREATE EXTENSION citext",
        "CREATE DOMAIN size AS int CHECK (value > 0)",
        "CREATE DOMAIN sizes AS int[]",
        "CREATE DOMAIN span AS int4range",
        "CREATE TABLE t (id int PRIMARY KEY, a citext[], b size[], c int4range[], d bytea[], "
        "e sizes, f span[], g span)",
    )
    row = {
        "id": 1,
        "a": ["Mia", 'b,"c'],
        "b": [1, None, 2],
        "c": ["[1,5)", None],
        "d": ["AP8=", None, ""],
        "e": [3],
        "f": ["[1,2)"],
        "g": "[1,2)",
    }
    assert await database.write("t", [row]) == [CREATED]
    (stored,) = database.execute("SELECT d, b::text FROM t")
    assert stored == ([b"\x00\xff", None, b""], "{1,NULL,2}")
    query = Query("t")
    pages = [page async for page in database.connector.read(query, PageRequest())]
    assert pages[0].records == [row]
    assert await database.write("t", pages[0].records, "upsert") != [FAILED]
    assert database.execute("SELECT d, b::text FROM t") == [stored]


async def test_a_text_of_a_type_of_several_parts_comes_back_as_it_is(postgresql: Open) -> None:
    """A bad row costs none of its neighbours, and the same again is no change."""
    database = await postgresql(
        "CREATE TYPE item AS (name text, amount numeric(5,2), at timestamp)",
        'CREATE TABLE t (id int PRIMARY KEY, i item, p point, c "char", n name)',
    )
    row = {"i": '("a ""b""",5.50,"2026-05-30 08:15:00")', "p": "(1,2.5)", "c": "a", "n": "it's"}
    rows: Rows = [{"id": 1, **row}, {"id": 2, "i": "(a,5.505,)"}, {"id": 3, "i": None, "p": None}]
    assert await database.write("t", rows, "upsert") == [CREATED, FAILED, CREATED]
    (page,) = [page async for page in database.connector.read(Query("t"), PageRequest())]
    assert page.records[0] == rows[0]
    assert await database.write("t", page.records, "upsert") == [UNCHANGED] * 2
    assert await database.write("t", [{"id": 1, "p": "(3,4)"}], "update") == [UPDATED]


async def test_no_bytes_are_not_null_in_postgresql(postgresql: Open) -> None:
    await require_no_bytes(await postgresql("CREATE TABLE t (id integer PRIMARY KEY, b bytea)"))


async def test_no_bytes_are_not_null_in_sqlite(sqlite: Open) -> None:
    await require_no_bytes(await sqlite("CREATE TABLE t (id integer PRIMARY KEY, b blob)"))


async def require_no_bytes(database: Database) -> None:
    """A download writes them as an empty text."""
    assert await database.write("t", [{"id": 1, "b": ""}, {"id": 2}]) == [CREATED] * 2
    assert database.execute("SELECT b FROM t ORDER BY id") == [(b"",), (None,)]
    (page,) = [page async for page in database.connector.read(Query("t"), PageRequest())]
    assert [record["b"] for record in page.records] == ["", None]
    assert await database.write("t", page.records, "upsert") == [UNCHANGED] * 2


# --- what a refusal says ---

RULES = (
    "CREATE TABLE town (country text, name text, PRIMARY KEY (country, name))",
    "INSERT INTO town VALUES ('DE', 'Bonn')",
    "CREATE TABLE t (id int PRIMARY KEY, email text UNIQUE, name text NOT NULL, age int, "
    "first int, last int, country text, town text, CONSTRAINT grown CHECK (age >= 18), "
    "CHECK (first <= last), FOREIGN KEY (country, town) REFERENCES town "
    "(country, name))",
    "INSERT INTO t (id, email, name) VALUES (1, 'a@x.org', 'Ann')",
)
SAYS = [
    ({"id": 1, "name": "B"}, "id is '1', which another row of t has already; use action upsert "),
    (
        {"id": 2, "name": "B", "email": "a@x.org"},
        "email is 'a@x.org', which another row of t has already; use action upsert or update with "
        "identifierFieldName email to change that row, or correct the value",
    ),
    ({"id": 2}, "name needs a value, and the row has none; give it one"),
    ({"id": 2, "name": "B", "age": 17}, "age is '17'; the check grown of t requires "),
    ({"id": 2, "name": "B", "first": 2, "last": 1}, "first is '2', last is '1'; "),
    (
        {"id": 2, "name": "B", "country": "DE", "town": "Rom"},
        "country is 'DE', town is 'Rom', and town has no row with country = 'DE', name = 'Rom'; "
        "add that row first, or correct the value",
    ),
]


@pytest.mark.parametrize(("row", "says"), SAYS)
async def test_a_refusal_says_what_would_be_right(
    either: Open, row: dict[str, Any], says: str
) -> None:
    """Alone, and beside good rows."""
    database = await either(*RULES)
    (alone,) = await database.outcomes("t", [row])
    assert message(alone).startswith(says)
    others = [{"id": n, "name": "C"} for n in range(3, 9)]
    outcomes = await database.outcomes("t", [*others[:3], row, *others[3:]])
    assert [one.kind for one in outcomes] == [CREATED] * 3 + [FAILED] + [CREATED] * 3
    assert message(outcomes[3]) == message(alone)


async def test_the_databases_words_are_those_on_the_row(postgresql: Open) -> None:
    """One statement says of one row alone that what it refers to is missing."""
    database = await postgresql("CREATE TABLE t (id int PRIMARY KEY, up int REFERENCES t)")
    outcomes = await database.outcomes("t", [{"id": 1, "up": 9}, {"id": 2, "up": 1}])
    said = [one.problem.provider_message for one in outcomes if one.problem]
    assert said == ['Key (up)=(9) is not present in table "t".', None]


async def test_a_local_time_that_clocks_skip_or_repeat_is_refused(postgresql: Open) -> None:
    """It names no moment, or two."""
    database = await postgresql("CREATE TABLE t (v timestamptz)")
    texts = ["2026-03-29T02:30:00", "2026-10-25T02:30:00", "2026-10-25T03:30:00"]
    rows = [{"v": text} for text in texts]
    skipped, repeated, clear = await database.outcomes(
        "t", rows, options={"timeZone": "Europe/Berlin"}
    )
    assert message(skipped) == (
        "v is '2026-03-29T02:30:00'; the clocks of Europe/Berlin skip it: write "
        "2026-03-29T01:30:00+01:00 or 2026-03-29T03:30:00+02:00"
    )
    assert message(repeated) == (
        "v is '2026-10-25T02:30:00'; the clocks of Europe/Berlin show it twice: write "
        "2026-10-25T02:30:00+01:00 or 2026-10-25T02:30:00+02:00"
    )
    assert clear.kind is CREATED
    assert database.execute("SELECT v = '2026-10-25T02:30Z' FROM t") == [(True,)]


async def test_a_check_is_told_with_its_expression(either: Open) -> None:
    database = await either(*RULES)
    rows: Rows = [{"id": 2, "name": "B", "age": 17}, {"id": 3, "name": "C", "first": 2, "last": 1}]
    grown, order = await database.outcomes("t", rows)
    assert "age >= 18" in message(grown)
    assert "first <= last" in message(order)


async def test_a_row_that_others_refer_to_says_which(either: Open) -> None:
    database = await either(*RULES)
    row = {"id": 2, "name": "B", "country": "DE", "town": "Bonn"}
    assert await database.write("t", [row]) == [CREATED]
    (outcome,) = await database.outcomes("town", [{"country": "DE", "name": "Bonn"}], "delete")
    assert message(outcome) == (
        "rows of t (country, town) still refer to this row of town; delete or change those first"
    )


async def test_a_number_that_the_database_makes_behind_its_rows_is_told(postgresql: Open) -> None:
    """As in a restored database whose sequence was not set."""
    database = await postgresql("CREATE TABLE t (id serial PRIMARY KEY, name text)")
    database.execute("INSERT INTO t VALUES (1, 'Ann')")
    (outcome,) = await database.outcomes("t", [{"name": "Bob"}])
    assert message(outcome) == (
        "the database gave the row id = '1', which another row of t has already: its sequence is "
        "behind; advance it in the database"
    )


async def test_a_text_that_is_too_long_says_how_long_it_may_be(postgresql: Open) -> None:
    """In a column, a domain and a list."""
    database = await postgresql(
        "CREATE DOMAIN short AS varchar(3)",
        "CREATE TABLE t (code varchar(3), domain short, list varchar(3)[])",
    )
    rows: Rows = [{"code": "abcd"}, {"domain": "abcd"}, {"list": ["abcd"]}]
    code, domain, listed = await database.outcomes("t", rows)
    assert message(code) == "code has 4 characters; it takes 3"
    assert message(domain) == "domain has 4 characters; it takes 3"
    assert message(listed) == "list has a text too long; it takes 3"


async def test_a_batch_is_no_snapshot_whatever_the_database_would_have(postgresql: Open) -> None:
    """A row that another process has logged meanwhile is not written again."""
    database = await postgresql("CREATE TABLE t (line text CHECK (line <> 'bad'))")
    (name,) = database.execute("SELECT current_database()")[0]
    for level in ("serializable", "repeatable read"):
        database.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = '{level}'")
        await database.connector.close()
        page = [
            one
            async for pages in database.connector.read(Query("t"), PageRequest())
            for one in pages.records
        ]
        assert page == []
    engine = database.connector._engine  # type: ignore[attr-defined]
    async with engine.connect() as connection:
        result = await connection.exec_driver_sql("SHOW transaction_isolation")
        assert result.scalar() == "read committed"


async def test_a_batch_that_another_process_has_logged_meanwhile_is_not_written(
    postgresql: Open,
) -> None:
    """However that one has cut it: here a trigger stands for the other process."""
    database = await postgresql("CREATE TABLE t (line text)")
    await database.write("t", [{"line": "a"}], run="none")
    database.execute(
        "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO "
        "openbulk_writes VALUES ('one', 2, 9, '[]', 0); RETURN NULL; END $$"
    )
    database.execute("CREATE TRIGGER other AFTER INSERT ON t EXECUTE FUNCTION other()")
    with pytest.raises(RetryLater, match="another process"):
        await database.write("t", [{"line": "b"}, {"line": "c"}], run="one", records=99)
    assert database.execute("SELECT line FROM t") == [("a",)]


# --- pages ---


async def test_rows_are_read_in_pages_by_a_column_of_any_type(postgresql: Open) -> None:
    """Each page begins after a value that PostgreSQL writes and reads itself."""
    types: Mapping[str, list[str | None]] = {
        "boolean": ["false", "true", None],
        "date": ["-infinity", "0044-03-15 BC", "2026-05-30", "infinity"],
        "timestamptz": ["2026-05-30T10:00:00.5Z", "infinity"],
        "time": ["10:00", "24:00"],
        "interval": ["1 day", "1 mon"],
        "numeric": ["-1e300", "0.1", "1e300", "NaN"],
        "float8": ["0.1", "1e300", "Infinity", "NaN"],
        "bytea": ["AQ==", "Ag=="],
        "jsonb": ['"x"', "1.50", "true", '{"a": 1}'],
        "int[]": ["{1,2}", "{2}"],
        "char(3)": ["a", "b"],
        "inet": ["10.0.0.1", "10.0.0.2"],
        "mood": ["sad", "glad"],
    }
    database = await postgresql(
        "CREATE TYPE mood AS ENUM ('sad', 'glad')",
        *(f"CREATE TABLE t{n} (id int PRIMARY KEY, k {name})" for n, name in enumerate(types)),
    )
    for place, (name, values) in enumerate(types.items()):
        rows = [{"id": n, **({} if k is None else {"k": k})} for n, k in enumerate(values)]
        assert set(await database.write(f"t{place}", rows)) == {CREATED}, name
        assert await ids_in_pages(database, f"t{place}") == list(range(len(values))), name
    for token in ('["circus", 1]', "[1]", '[[1], {"a": 2}]'):
        with pytest.raises(BadInput, match="not a token of this list"):
            await ids_in_pages(database, "t1", token)


async def test_rows_of_sqlite_are_read_in_pages_by_values_of_any_type(sqlite: Open) -> None:
    """Any column can hold a value of any type."""
    stored = ["-9e999", "1", "1.5", "9e999", "'abc'", "x'00ff'", "NULL"]
    for type_ in ("int", "date", "boolean", "text", ""):
        database = await sqlite(
            "DROP TABLE IF EXISTS t",
            f"CREATE TABLE t (id int PRIMARY KEY, k {type_})",
            f"INSERT INTO t VALUES {', '.join(f'({n}, {k})' for n, k in enumerate(stored))}",
        )
        found = database.execute("SELECT id FROM t ORDER BY k IS NULL, k, id")
        assert await ids_in_pages(database, "t") == [one[0] for one in found], type_
    for token in ('[{"x": 1}, 1]', '[{"hex": "x"}, 1]', "[[1], 1]"):
        with pytest.raises(BadInput, match="not a token of this list"):
            await ids_in_pages(database, "t", token)


async def ids_in_pages(database: Database, table: str, after: str | None = None) -> list[Any]:
    """The ids of all rows in the order of `k`, read one row at a time, and the same backwards."""
    found = []
    for descending in (False, True):
        query = Query(table, order=(Order("k", descending), Order("id", descending)))
        pages = database.connector.read(query, PageRequest(size=1, after=after))
        found.append([row["id"] async for page in pages for row in page.records])
    assert found[0] == found[1][::-1]
    return found[0]


# --- tables of odd shape ---


async def test_a_table_that_cannot_be_described_costs_no_other(sqlite: Open) -> None:
    """SQLite takes references to nothing, and views of tables that are gone."""
    database = await sqlite(
        "CREATE TABLE good (id int PRIMARY KEY)",
        "CREATE TABLE child (id int PRIMARY KEY, r int REFERENCES nowhere(id))",
        "CREATE TABLE two (a int, b int, PRIMARY KEY (a, b))",
        "CREATE TABLE half (a int REFERENCES two)",
        "CREATE VIEW lost AS SELECT * FROM nowhere",
    )
    assert sorted(await database.connector.objects()) == ["child", "good", "two"]
    assert await database.write("good", [{"id": 1}]) == [CREATED]
    with pytest.raises(Refused, match=r"no such table: main\.nowhere"):
        await database.write("child", [{"id": 1, "r": 1}])
    assert await database.write("two", [{"a": 1, "b": 1}]) == [CREATED]
    with pytest.raises(Refused, match="foreign key mismatch"):
        await database.write("two", [{"a": 1, "b": 1}], "delete")


async def test_a_trigger_can_skip_a_row_of_defaults(sqlite: Open) -> None:
    database = await sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n int DEFAULT 1)",
        "CREATE TRIGGER skip BEFORE INSERT ON t BEGIN SELECT RAISE(IGNORE); END",
    )
    assert await database.write("t", [{}, {"n": "2"}]) == [UNKNOWN, UNKNOWN]


async def test_a_text_that_is_not_utf8_is_told_with_its_column(sqlite: Open) -> None:
    database = await sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)",
        "INSERT INTO t VALUES (1, CAST(x'ff41' AS TEXT))",
    )
    with pytest.raises(Refused, match="the column s has a text that is not UTF-8"):
        async for _ in database.connector.read(Query("t"), PageRequest()):
            pass


async def test_half_a_character_in_an_hstore_costs_its_row_alone(postgresql: Open) -> None:
    database = await postgresql(
        "CREATE EXTENSION hstore", "CREATE TABLE t (id int PRIMARY KEY, h hstore)"
    )
    cells = [r'{"a": "\ud800"}', r'{"\ud800": "a"}', r'{"a": "\u0000"}', '"a"=>"\x00"', "{}"]
    rows = [{"id": n, "h": cell} for n, cell in enumerate(cells)]
    assert await database.write("t", rows) == [FAILED] * 4 + [CREATED]


async def test_half_a_character_in_a_pattern_is_refused(either: Open) -> None:
    database = await either("CREATE TABLE t (id int PRIMARY KEY)")
    for pattern in ("\ud800", "a\x00"):
        query = Query("t", where=Comparison("id", "like", (pattern,)))
        with pytest.raises(BadInput):
            async for _ in database.connector.read(query, PageRequest()):
                pass
