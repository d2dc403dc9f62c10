"""MariaDB, for real: its types, what it would change in silence, and its errors."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from openbulk.connectors.base import ConnectionContext
from openbulk.connectors.sql import MysqlProvider, Sql
from openbulk.domain.conditions import Comparison
from openbulk.domain.errors import Refused
from openbulk.domain.plan import Change, Completeness, PlannedKind
from openbulk.domain.query import Order, PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Target
from openbulk.notify.egress import allowed_address
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE
from openbulk.testing.connectors import record
from support import forget
from support.mariadb import Mariadb

Open = Callable[..., Sql]


async def resolve(host: str, port: int) -> str:
    return await allowed_address(host, port, allowed=LOOPBACK_AND_PRIVATE)


@pytest.fixture
def database(mariadb: Mariadb) -> str:
    return mariadb.new_database()


@pytest.fixture
async def opened(
    mariadb: Mariadb, database: str, http: aiohttp.ClientSession
) -> AsyncIterator[Open]:
    """Makes tables, and opens a connector."""
    made: list[Sql] = []

    def start(*statements: str, **more: str) -> Sql:
        mariadb.execute(database, *statements)
        context = ConnectionContext(mariadb.configuration(database, **more), http, forget)
        connector = MysqlProvider(resolve).connect(context)
        assert isinstance(connector, Sql)
        made.append(connector)
        return connector

    yield start
    for connector in made:
        await connector.close()


async def write(
    connector: Sql, object: str, action: Action, *rows: Mapping[str, Any], **more: Any
) -> list[Outcome]:
    target = Target(object, action, run=uuid4().hex, records=len(rows), **more)
    batch = [record(number, row) for number, row in enumerate(rows, 1)]
    outcomes = await connector.write(target, batch)
    return sorted(outcomes, key=lambda outcome: outcome.row)


def kinds(outcomes: list[Outcome]) -> list[OutcomeKind]:
    return [outcome.kind for outcome in outcomes]


def problems(outcomes: list[Outcome]) -> list[str]:
    return [outcome.problem.message if outcome.problem else "" for outcome in outcomes]


async def rows_of(connector: Sql, query: Query, size: int = 1_000) -> list[Mapping[str, Any]]:
    pages = connector.read(query, PageRequest(size=size))
    return [row async for page in pages for row in page.records]


TYPES = """CREATE TABLE things (
    id bigint unsigned PRIMARY KEY, tiny tinyint, flag boolean, small smallint unsigned,
    medium mediumint, bits bit(12), born year, exact decimal(30,10), whole decimal(5),
    f float, d double, money double(8,2), day date, local datetime(3), at timestamp(6) NULL,
    t time(2), c char(5), v varchar(20), latin varchar(20) CHARACTER SET latin1,
    small_text tinytext, long_text longtext, mood enum('good','bad''s'), tags set('x','y','z'),
    b binary(4), vb varbinary(10), raw blob, doc json, place point, key_ uuid,
    twice int AS (tiny * 2) STORED
) COMMENT 'All kinds'"""


async def test_every_type_comes_back(opened: Open) -> None:
    """Whatever has been read can be sent again, and is unchanged."""
    connector = opened(TYPES)
    values: dict[str, Any] = {
        "id": "18446744073709551615",
        "tiny": -128,
        "flag": "true",
        "small": 65535,
        "medium": -8388608,
        "bits": 4095,
        "born": 1985,
        "exact": "12345678901234567890.0123456789",
        "whole": 12345,
        "f": "0.1",
        "d": "1.7976931348623157e308",
        "money": "12.5",
        "day": "1000-01-01",
        "local": "2026-05-30T10:00:00.125",
        "at": "2026-05-30T10:00:00.123456+02:00",
        "t": "10:30:00.25",
        "c": "ab",
        "v": "ab  ",
        "latin": "Käse",
        "small_text": "😀",
        "long_text": "ä" * 100_000,
        "mood": "bad's",
        "tags": "x,z",
        "b": "AAECAw==",
        "vb": "",
        "raw": "/w==",
        "doc": '{"a": [1, 2.50, "ü"], "b": 12345678901234567890}',
        "place": "POINT(1 2)",
        "key_": "0b4ad3c6-6f6e-4b5b-9f0e-2d8f0c6b7a11",
    }
    (made,) = await write(connector, "things", Action.UPSERT, values)
    assert (made.kind, made.id, made.problem) == (OutcomeKind.CREATED, values["id"], None)
    (row,) = await rows_of(connector, Query("things"))
    assert row == {
        **values,
        "flag": True,
        "f": 0.1,
        "d": 1.7976931348623157e308,
        "money": 12.5,
        "local": "2026-05-30T10:00:00.125000",
        "at": "2026-05-30T08:00:00.123456+00:00",
        "t": "10:30:00.250000",
        "doc": row["doc"],
        "id": row["id"],
        "twice": -256,
    }
    assert str(row["id"]) == values["id"]
    again = {name: value for name, value in row.items() if name != "place"}
    outcomes = await write(connector, "things", Action.UPSERT, again, values)
    assert kinds(outcomes) == [OutcomeKind.UNCHANGED] * 2, problems(outcomes)
    other = {"id": 2, "flag": 5, "exact": "1e5", "d": "-1e-5", "born": "1901", "t": "-00:30:00"}
    for kind in (OutcomeKind.CREATED, OutcomeKind.UNCHANGED):
        assert kinds(await write(connector, "things", Action.UPSERT, other)) == [kind]
    row = await connector.get("things", "2", {})
    assert [row[name] for name in other] == [2, 5, 100000, -1e-5, 1901, "-00:30:00"]


async def test_nothing_is_cut_rounded_padded_or_replaced(opened: Open) -> None:
    """MySQL does each of these in silence, if it is let to. The neighbours are written."""
    connector = opened(TYPES)
    wrong: Mapping[str, Any] = {
        "tiny": 128,
        "flag": "maybe",
        "small": -1,
        "medium": "0x10",
        "bits": 4096,
        "born": 70,
        "exact": "0.12345678901",
        "whole": "1.5",
        "f": "16777217",
        "d": "0.1000000000000000055511151231257827",
        "money": "1.005",
        "day": "0000-00-00",
        "local": "2026-05-30T10:00:00.1234",
        "at": "2200-01-01T00:00:00Z",
        "t": "900:00:00",
        "c": "abcdef",
        "v": "x" * 21,
        "latin": "漢",
        "small_text": "ä" * 200,
        "mood": "2",
        "tags": "3",
        "b": "AAE=",
        "vb": "AAECAwQFBgcICQo=",
        "doc": '{"a": ',
        "place": "here",
        "key_": "nobody",
        "twice": 4,
    }
    rows = [{"id": number, name: value} for number, (name, value) in enumerate(wrong.items(), 1)]
    outcomes = await write(connector, "things", Action.CREATE, *rows, {"id": 99, "tiny": 1})
    for name, outcome in zip(wrong, outcomes, strict=False):
        assert outcome.kind is OutcomeKind.FAILED, name
        assert outcome.problem is not None
        assert name in outcome.problem.message, (name, outcome.problem.message)
        assert outcome.problem.field == name
    assert outcomes[-1].kind is OutcomeKind.CREATED
    assert [row["id"] for row in await rows_of(connector, Query("things", fields=("id",)))] == [99]


async def test_a_refused_row_says_what_is_wrong_and_what_would_be_right(opened: Open) -> None:
    """And its neighbours are written."""
    connector = opened(
        "CREATE TABLE lands (code char(2) PRIMARY KEY)",
        "INSERT INTO lands VALUES ('DE')",
        "CREATE TABLE people (id int PRIMARY KEY, email varchar(60), land char(2), age int "
        "CHECK (age >= 0), name varchar(20) NOT NULL, a int, b int, "
        "UNIQUE KEY by_email (email), UNIQUE KEY by_a_and_b (a, b), "
        "CONSTRAINT grown_up CHECK (a < 100), FOREIGN KEY (land) REFERENCES lands (code))",
        "CREATE TRIGGER unlucky BEFORE INSERT ON people FOR EACH ROW IF NEW.id = 13 THEN "
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'thirteen is unlucky'; END IF",
    )
    good = {"name": "N", "land": "DE"}
    wrong: Mapping[int, Mapping[str, Any]] = {
        3: {"email": "N2@EXAMPLE.com "},
        5: {"age": -1},
        7: {"a": 100},
        9: {"name": None},
        11: {"land": "XX"},
        13: {},
        15: {"a": 2, "b": 2},
    }
    rows = [
        {"id": n, **good, "email": f"n{n}@example.com", "a": n, "b": n, **wrong.get(n, {})}
        for n in range(1, 20)
    ]
    outcomes = await write(connector, "people", Action.CREATE, *rows)
    assert {one.row: one.problem.message for one in outcomes if one.problem} == {
        3: "email is 'N2@EXAMPLE.com ', which another row of people has already; use action "
        "upsert or update with identifierFieldName email to change that row, or correct the value",
        5: "age is '-1'; the check age of people requires age >= 0",
        7: "a is '100'; the check grown_up of people requires a < 100",
        9: "name needs a value, and the row has none; give it one",
        11: "land is 'XX', and lands has no row with code = 'XX'; add that row first, or correct "
        "the value",
        13: "the database refuses the row: thirteen is unlucky",
        15: "a is '2', b is '2', which another row of people has already; use action upsert or "
        "update, by the primary key, to change that row, or correct the value",
    }
    (outcome,) = await write(connector, "lands", Action.DELETE, {"code": "de"})
    assert outcome.problem is not None
    assert outcome.problem.message == (
        "rows of people (land) still refer to this row of lands; delete or change those first"
    )


async def test_the_database_decides_which_keys_are_equal(opened: Open) -> None:
    """By the collation of the column: without case, accents and blanks at the end, or by bytes."""
    connector = opened(
        "CREATE TABLE loose (k varchar(20) PRIMARY KEY, v int) COLLATE utf8mb4_unicode_ci",
        "CREATE TABLE strict (k varchar(20) PRIMARY KEY, v int) COLLATE utf8mb4_nopad_bin",
        "CREATE TABLE latin (k varchar(20) PRIMARY KEY, v int) CHARACTER SET latin1",
    )
    keys = ["Café", "CAFE ", "cafe", "Straße", "STRASSE", "漢字", "😀"]
    rows = [{"k": key, "v": n} for n, key in enumerate(keys)]
    created, updated = OutcomeKind.CREATED, OutcomeKind.UPDATED
    assert kinds(await write(connector, "loose", Action.UPSERT, *rows)) == [
        *(created, updated, updated, created, updated, created, created)
    ]
    assert kinds(await write(connector, "strict", Action.UPSERT, *rows)) == [created] * 7
    objects = await connector.objects()
    for name, may_be_any in (("loose", True), ("strict", False)):
        keys_of = objects[name].ordering
        assert keys_of is not None
        found_keys = keys_of(Target(name, Action.UPSERT))(record(1, rows[0]))
        assert (found_keys is None) is may_be_any, "its batch may have to wait for any other"
    outcomes = await write(connector, "latin", Action.UPSERT, *rows)
    assert kinds(outcomes)[5:] == [OutcomeKind.FAILED] * 2, "no ? is in place of a letter"
    (made,) = await write(connector, "latin", Action.CREATE, {"k": "??", "v": 1})
    (outcome,) = await write(connector, "latin", Action.UPDATE, {"k": "漢字", "v": 2})
    assert (made.kind, outcome.kind) == (created, OutcomeKind.FAILED), "nor in a key to look for"
    found = await write(connector, "latin", Action.UPDATE, {"k": "caf\u00c9", "v": 7})
    assert kinds(found) == [updated], problems(found)


async def test_a_table_without_transactions_is_read_and_not_written(opened: Open) -> None:
    """MyISAM would keep half of a batch that fails."""
    connector = opened(
        "CREATE TABLE old (id int PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO old VALUES (1)"
    )
    assert await rows_of(connector, Query("old")) == [{"id": 1}]
    with pytest.raises(Refused, match="ALTER TABLE old ENGINE=InnoDB"):
        await write(connector, "old", Action.CREATE, {"id": 2})


async def test_rows_without_a_key_are_read_once_each(opened: Open) -> None:
    """Also equal ones, and in an order with missing values."""
    connector = opened(
        "CREATE TABLE log (line varchar(20), size float)",
        "INSERT INTO log VALUES ('a', 0.1), ('b', NULL), ('a', 0.1), (NULL, 2), ('a', 0.3)",
    )
    lines = [row["line"] for row in await rows_of(connector, Query("log"), 2)]
    assert lines == ["a", "a", "a", "b", None]
    query = Query("log", order=(Order("size", descending=True),))
    sizes = [row["size"] for row in await rows_of(connector, query, 2)]
    assert sizes == [None, 2.0, 0.3, 0.1, 0.1]
    query = Query("log", where=Comparison("size", "=", ("0.1",)))
    assert len(await rows_of(connector, query, 1)) == 2


async def test_enumerations_are_paged_in_the_order_of_their_texts(opened: Open) -> None:
    """MySQL sorts them by their places, and compares them as texts."""
    connector = opened(
        "CREATE TABLE moods (id int PRIMARY KEY, mood enum('z','a','m'), exact decimal(30,2), "
        "big bigint unsigned, at timestamp(3) NULL)",
        "INSERT INTO moods VALUES (1,'z',12345678901234567890.12,18446744073709551615,"
        "'2026-01-01 00:00:00.5'), (2,'a',12345678901234567890.13,18446744073709551614,"
        "'2026-01-01 00:00:00.25'), (3,'m',-1,0,NULL)",
    )
    for field, ids in (
        ("mood", [2, 3, 1]),
        ("exact", [3, 1, 2]),
        ("big", [3, 2, 1]),
        ("at", [2, 1, 3]),
    ):
        query = Query("moods", fields=("id",), order=(Order(field),))
        assert [row["id"] for row in await rows_of(connector, query, 1)] == ids, field


async def test_numbers_that_the_database_makes_are_the_ids(opened: Open) -> None:
    """Also of rows with other columns than their neighbours; 0 is a number, and null is none."""
    connector = opened(
        "CREATE TABLE things (id int AUTO_INCREMENT PRIMARY KEY, name varchar(9) DEFAULT 'x', "
        "place point)",
        "CREATE TABLE `keys` (id uuid DEFAULT uuid() PRIMARY KEY, name varchar(9))",
    )
    rows: list[dict[str, Any]] = [
        {"name": "a"},
        {},
        {"id": None, "name": "b"},
        {"id": 0},
        {"place": "POINT(1 1)"},
    ]
    outcomes = await write(connector, "things", Action.CREATE, *rows)
    assert [one.id for one in outcomes] == ["1", "2", "3", "0", "4"], problems(outcomes)
    made = await write(connector, "keys", Action.UPSERT, {"name": "a"}, {"name": "b"})
    found = {row["name"]: row["id"] for row in await rows_of(connector, Query("keys"))}
    assert [one.id for one in made] == [found["a"], found["b"]]


async def test_rows_of_one_table_refer_to_one_another(opened: Open) -> None:
    """Each row is checked alone in MySQL, so they are written in the order of their references."""
    connector = opened(
        "CREATE TABLE people (id int PRIMARY KEY, boss int, "
        "FOREIGN KEY (boss) REFERENCES people (id))"
    )
    rows: list[dict[str, Any]] = [
        {"id": n, "boss": n + 1 if n < 50 else None} for n in range(1, 51)
    ]
    outcomes = await write(connector, "people", Action.UPSERT, *rows, {"id": 99, "boss": 100})
    assert kinds(outcomes) == [OutcomeKind.CREATED] * 50 + [OutcomeKind.FAILED]
    deleted = await write(connector, "people", Action.DELETE, *({"id": n} for n in range(1, 51)))
    assert kinds(deleted) == [OutcomeKind.DELETED] * 50, problems(deleted)[-1]


async def test_a_batch_that_no_packet_holds_is_cut(mariadb: Mariadb, opened: Open) -> None:
    """The server would end the connection. A row that is too large alone is refused."""
    connector = opened("CREATE TABLE docs (id int PRIMARY KEY, text longtext)")
    (packet,) = mariadb.execute(None, "SELECT @@GLOBAL.max_allowed_packet")[0]
    third = packet // 3
    rows = [{"id": n, "text": "x'" * (third // 3)} for n in range(1, 6)]
    outcomes = await write(connector, "docs", Action.UPSERT, *rows, {"id": 6, "text": "y" * packet})
    assert kinds(outcomes) == [OutcomeKind.CREATED] * 5 + [OutcomeKind.FAILED]
    assert "max_allowed_packet" in problems(outcomes)[-1]
    assert len(await rows_of(connector, Query("docs"))) == 5


async def test_the_schema_has_what_the_database_says_of_its_columns(opened: Open) -> None:
    """Comments, choices, and which columns a new row needs."""
    connector = opened(
        "CREATE TABLE things (id int AUTO_INCREMENT PRIMARY KEY, name varchar(9) NOT NULL COMMENT "
        "'its name', size enum('S','L'), twice int AS (id * 2), made datetime NOT NULL DEFAULT "
        "now())"
    )
    schema = await connector.metadata("things")
    assert schema["required"] == ["name"]
    assert schema["properties"]["name"] == {"type": "string", "description": "its name"}
    assert schema["properties"]["size"]["enum"] == ["S", "L"]
    assert schema["properties"]["twice"]["readOnly"] is True
    assert schema["properties"]["made"] == {"type": "string", "format": "date-time"}


async def test_rows_are_found_by_a_column_of_any_type(opened: Open) -> None:
    """Each way to write a value means the same row."""
    connector = opened(
        "CREATE TABLE things (id int PRIMARY KEY, small tinyint unsigned, exact decimal(9,2), "
        "f float, d double, day date, local datetime(2), at timestamp(1) NULL, t time, born year, "
        "c char(4), v varchar(20) CHARACTER SET latin1, text text, mood enum('good','bad'), "
        "tags set('x','y'), b binary(2), raw varbinary(9), bits bit(9), flag boolean, u uuid)"
    )
    row: dict[str, Any] = {
        "id": 1,
        "small": 255,
        "exact": "1.5",
        "f": "0.1",
        "d": "0.1",
        "day": "2026-05-30",
        "local": "2026-05-30T10:00:00.25",
        "at": "2026-05-30T10:00:00.5+02:00",
        "t": "100:00:00",
        "born": 2026,
        "c": "ab",
        "v": "ä",
        "text": "ab",
        "mood": "good",
        "tags": "x,y",
        "b": "AAE=",
        "raw": "AA==",
        "bits": 257,
        "flag": True,
        "u": "0b4ad3c6-6f6e-4b5b-9f0e-2d8f0c6b7a11",
    }
    other_ways = {"exact": "1.50", "at": "2026-05-30T08:00:00.5Z", "c": "AB  ", "v": "Ä"}
    assert kinds(await write(connector, "things", Action.CREATE, row)) == [OutcomeKind.CREATED]
    await write(connector, "things", Action.CREATE, {"id": 2})
    for name, value in row.items():
        query = Query("things", ("id",), Comparison(name, "=", (other_ways.get(name, value),)))
        assert await rows_of(connector, query) == [{"id": 1}], name
        query = Query("things", ("id",), order=(Order(name),))
        assert await rows_of(connector, query, 1) == [{"id": 1}, {"id": 2}], name
        known = {name: other_ways.get(name, value)}
        target = {"identifier_field": name}
        (same,) = await write(connector, "things", Action.UPSERT, {**row, **known}, **target)
        assert same.kind is OutcomeKind.UNCHANGED, name
        (gone,) = await write(connector, "things", Action.DELETE, known, **target)
        assert gone.kind is OutcomeKind.DELETED, name
        assert kinds(await write(connector, "things", Action.CREATE, row)) == [OutcomeKind.CREATED]


async def test_null_is_not_now(opened: Open) -> None:
    """A TIMESTAMP that is not null takes null for this moment, in tables of older servers."""
    connector = opened(
        "SET STATEMENT explicit_defaults_for_timestamp=0 FOR "
        "CREATE TABLE things (id int PRIMARY KEY, at timestamp)"
    )
    rows: list[dict[str, Any]] = [
        {"id": 1, "at": None},
        {"id": 2, "at": "2026-05-30T10:00:00Z"},
        {"id": 3},
    ]
    outcomes = await write(connector, "things", Action.CREATE, *rows)
    assert problems(outcomes) == ["at needs a value, and the row has none; give it one", "", ""]
    (outcome,) = await write(connector, "things", Action.UPDATE, {"id": 2, "at": None})
    assert outcome.kind is OutcomeKind.FAILED


async def test_a_row_that_an_update_finds_counts_as_updated(opened: Open) -> None:
    """Also if a trigger has changed nothing of it in the end."""
    connector = opened(
        "CREATE TABLE things (id int PRIMARY KEY, v int)",
        "INSERT INTO things VALUES (1, 1), (2, 1)",
        "CREATE TRIGGER keep BEFORE UPDATE ON things FOR EACH ROW SET NEW.v = OLD.v",
    )
    rows = [{"id": 1, "v": 2}, {"id": 2, "v": 2}]
    assert (
        kinds(await write(connector, "things", Action.UPDATE, *rows)) == [OutcomeKind.UPDATED] * 2
    )


async def test_names_are_plain_texts(opened: Open) -> None:
    """Whatever is in them."""
    name = "t%s`\"':x"
    quoted = name.replace("`", "``")
    connector = opened(
        f"CREATE TABLE `{quoted}` (`a%d` int AUTO_INCREMENT PRIMARY KEY, `b``:c` int, `d.e` int)"
    )
    rows = [{"b`:c": 1, "d.e": 2}, {"a%d": 9, "b`:c": 3}]
    assert kinds(await write(connector, name, Action.UPSERT, *rows)) == [OutcomeKind.CREATED] * 2
    outcomes = await write(connector, name, Action.UPSERT, {"a%d": 1, "b`:c": 4}, {"a%d": 9})
    assert kinds(outcomes) == [OutcomeKind.UPDATED, OutcomeKind.UNCHANGED], problems(outcomes)
    query = Query(name, order=(Order("b`:c"),), where=Comparison("d.e", "is null"))
    assert await rows_of(connector, query, 1) == [{"a%d": 9, "b`:c": 3, "d.e": None}]
    assert kinds(await write(connector, name, Action.DELETE, {"a%d": 1})) == [OutcomeKind.DELETED]


async def test_a_plan_leaves_nothing_behind(opened: Open, mariadb: Mariadb, database: str) -> None:
    """Triggers run, and what they do is rolled back, too. Each refusal has the job's words."""
    connector = opened(
        "CREATE TABLE towns (id int AUTO_INCREMENT PRIMARY KEY, name varchar(5) UNIQUE, "
        "size int CHECK (size > 0))",
        "CREATE TABLE seen (name varchar(5))",
        "CREATE TRIGGER notes AFTER INSERT ON towns FOR EACH ROW "
        "INSERT INTO seen VALUES (NEW.name)",
        "INSERT INTO towns VALUES (1, 'Bonn', 3), (2, 'Ulm', 1)",
    )
    target = Target("towns", Action.UPSERT, "name", run=uuid4().hex, records=6)
    rows = [
        {"name": "bonn", "size": "4"},
        {"name": "Ulm", "size": "1"},
        {"name": "Köln", "size": "9"},
        {"name": "Trier", "size": "-1"},
        {"name": "Dresden", "size": "2"},
        {"name": "Jena", "size": "much"},
    ]
    batch = [record(number, row) for number, row in enumerate(rows, 1)]
    assert (await connector.objects())["towns"].plan is Completeness.COMPLETE
    planned = sorted(await connector.plan(target, batch), key=lambda one: one.row)
    assert [one.kind.value for one in planned] == ["updated", "unchanged", "created"] + [
        "refused"
    ] * 3
    assert planned[0].changes == {"size": Change(3, 4)}
    stored = "SELECT (SELECT COUNT(*) FROM towns), (SELECT COUNT(*) FROM seen)"
    assert mariadb.execute(database, stored) == [(2, 2)]
    outcomes = await connector.write(target, batch)
    said = {one.row: one.problem and one.problem.message for one in planned}
    assert said == {one.row: one.problem and one.problem.message for one in outcomes}


async def test_what_a_trigger_writes_for_good_is_not_planned(
    opened: Open, mariadb: Mariadb, database: str
) -> None:
    """MyISAM keeps what a transaction has written that is rolled back: values are checked alone."""
    connector = opened(
        "CREATE TABLE towns (name varchar(5) PRIMARY KEY)",
        "CREATE TABLE `all seen` (name varchar(5)) ENGINE=MyISAM",
        "CREATE TRIGGER notes AFTER INSERT ON towns FOR EACH ROW "
        "INSERT INTO `all seen` VALUES (NEW.name)",
    )
    assert (await connector.objects())["towns"].plan is Completeness.NONE
    target = Target("towns", Action.CREATE, run=uuid4().hex, records=2)
    batch = [record(1, {"name": "Bonn"}), record(2, {"name": "Dresden"})]
    planned = {one.row: one for one in await connector.plan(target, batch)}
    assert planned[1].kind is PlannedKind.NOT_COMPARED
    assert mariadb.execute(database, "SELECT COUNT(*) FROM `all seen`") == [(0,)]
    outcomes = {one.row: one for one in await connector.write(target, batch)}
    assert planned[2].problem == outcomes[2].problem
