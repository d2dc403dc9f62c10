"""Batches are fast where rows are as most are, and every row has what it has alone."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from openbulk.connectors.base import ConnectionContext
from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql import PostgresqlProvider, Sql
from openbulk.connectors.sql.numbers import NO_LIMITS, NumberLimits
from openbulk.connectors.sql.plain_values import NOT_PLAIN, plain_conversion
from openbulk.connectors.sql.rows import RowMapper
from openbulk.connectors.sql.schema import Table
from openbulk.connectors.sql.values import Column, Conversion, Kind, to_database
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.notify.egress import allowed_address
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE
from support import forget
from support.postgres import Postgres

NUMBERS = (
    "1 -1 +5 007 1_000 ٣ -0 12.5 12.50 .5 5. -.5 1e3 1E-2 NaN inf Infinity -infinity 2147483648 "
    "-9223372036854775808 9223372036854775808 11111111111111111111 0.1 0.30000000000000004 "
    "123456.7 1234567 0.000001 12345678901234567890.5 0.111111111111111 123456789012345 "
    "1234567890123456 0000000000000001.5 - --1 1.2.3 1,5"
)
TIMES = (
    "1985-02-28 19850228 1985-W01-1 1985-02-30 0044-03-15T10:00:00 24:00 20260530T100000"
    "|2026-05-30T10:00:00+02:00|2026-05-30 10:00:00|2026-05-30T10:00:00.123456|0044-03-15 BC"
    "|2026-05-30T10:00:00,5Z|2026-05-30T10:00:00Z|2026-03-29T02:30:00|12026-01-01"
)
TEXTS = ["true", "True", "t", "yes", "a", "abcdef", "a\nb", "a\x00b", "\ud83d", "\u200b", "é", ""]
VALUES = [
    *NUMBERS.split(),
    " 7 ",
    "1\n2",
    *TIMES.replace("|", " ").split(),
    *TIMES.split("|"),
    *TEXTS,
]
OTHERS: list[Any] = [5, 1.5, True, None, Decimal("1.50"), [1]]
LIMITS = (
    NO_LIMITS,
    NumberLimits(precision=12, scale=2),
    NumberLimits(precision=5, scale=0),
    NumberLimits(precision=2, scale=2),
    NumberLimits(precision=3, scale=5),
    NumberLimits(precision=5, scale=-2),
    NumberLimits(float_digits=17),
    NumberLimits(float_digits=9),
)
COLUMNS = [
    Column("v", Kind.INTEGER, numbers=NumberLimits(-(2**31), 2**31 - 1)),
    Column("v", Kind.INTEGER, numbers=NumberLimits(-(2**63), 2**63 - 1)),
    *(Column("v", Kind.NUMBER, numbers=limits) for limits in LIMITS),
    *(Column("v", kind) for kind in Kind if kind not in (Kind.INTEGER, Kind.NUMBER, Kind.MOMENT)),
    *(
        Column("v", Kind.MOMENT, is_zoned=is_zoned, second_digits=digits)
        for is_zoned, digits in product((False, True), (0, 3, 6))
    ),
    Column("v", Kind.TEXT, length=5),
    Column("v", Kind.TEXT, length=5, is_padded=True),
    Column("v", Kind.TEXT, choices=("a", "true")),
    Column("v", Kind.TEXT, makes_numbers_of_texts=True),
]


@pytest.mark.parametrize("is_sqlite", [False, True])
def test_values_that_are_converted_together_are_as_alone(is_sqlite: bool) -> None:
    """Whatever stands beside them. What a column refuses is never converted together."""
    taken = 0
    for column, zone in product(COLUMNS, (None, ZoneInfo("Europe/Berlin"))):
        conversion = Conversion(zone, is_sqlite)
        convert = plain_conversion(column, conversion)
        if convert is None:
            continue
        for value, beside in product([*VALUES, *OTHERS], ([], ["1"], ["1985-02-28"], ["a"])):
            try:
                found = convert([value, *beside])
            except NOT_PLAIN:
                continue
            alone = [to_database(column, one, conversion) for one in (value, *beside)]
            assert list(map(repr, found)) == list(map(repr, alone)), (column, value)
            taken += 1
    assert taken > 500


def test_records_with_gaps_and_faults_become_the_rows_that_they_are_alone() -> None:
    columns = {
        name: Column(name, kind, numbers=NumberLimits(-9, 9) if name == "age" else NO_LIMITS)
        for name, kind in (("id", Kind.TEXT), ("age", Kind.INTEGER), ("born", Kind.DATE))
    }
    by_folded_name = {name: [column] for name, column in columns.items()}
    table = Table(sa.Table("people", sa.MetaData()), columns, ("id",), by_folded_name, ())
    lines: list[dict[str, Any]] = [
        {"id": "a", "age": "1", "born": "1985-02-28"},
        {"id": "b", "age": "", "born": "20260530"},
        {"id": "c", "born": None},
        {"id": "d", "age": "old", "born": "never"},
        {"id": "e", "age": "10"},
        {"age": "3"},
        {"id": None, "age": 3},
        {},
        {"id": "f", "age": 1.5, "born": " 1985-02-28 "},
    ]
    for more in ([], [{"ID": "g"}], [{"id": "h", "ID": "i"}], [{"id": "j", "agee": "1"}]):
        for action in (Action.CREATE, Action.UPSERT):
            records = [Record(place, line) for place, line in enumerate([*lines, *more], 1)]
            mapper = RowMapper.of(table, Target("people", action), is_sqlite=False)
            rows, refused = mapper.rows(records)
            alone = [row_or_outcome(mapper, record) for record in records]
            found: dict[int, Any] = {row.number: row for row in rows}
            found |= {one.row: one for one in refused}
            assert [found[record.row] for record in records] == alone


def row_or_outcome(mapper: RowMapper, record: Record) -> Any:
    try:
        return mapper.row(record)
    except FieldError as error:
        return error.outcome(record.row)


# --- in PostgreSQL ---


async def resolve(host: str, port: int) -> str:
    return await allowed_address(host, port, allowed=LOOPBACK_AND_PRIVATE)


class People:
    """A table of people, and the statements that write into it."""

    def __init__(self, postgres: Postgres, name: str) -> None:
        context = ConnectionContext(postgres.configuration(name), None, forget)  # type: ignore[arg-type]
        connector = PostgresqlProvider(resolve).connect(context)
        assert isinstance(connector, Sql)
        self.connector = connector
        self.statements: list[str] = []
        self._postgres, self._name = postgres, name

        @event.listens_for(connector._engine.sync_engine, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
            self.statements.append(statement)

    async def write(
        self, rows: Sequence[dict[str, Any]], action: str = "upsert", **more: Any
    ) -> list[Outcome]:
        target = Target("people", Action(action), **more)
        batch = [Record(number, row) for number, row in enumerate(rows, 1)]
        return sorted(await self.connector.write(target, batch), key=lambda one: one.row)

    def stored(self, columns: str) -> list[tuple[Any, ...]]:
        with self._postgres.connect(self._name) as connection:
            query = f"SELECT {columns} FROM people ORDER BY id"
            return connection.execute(query.encode()).fetchall()


@pytest.fixture
async def people(postgres: Postgres) -> AsyncIterator[People]:
    table = (
        "CREATE TABLE people (id int PRIMARY KEY, name text, age int CHECK (age >= 0), "
        "address inet, tags text[], more jsonb, photo bytea, email text UNIQUE)"
    )
    opened = People(postgres, postgres.new_database(table))
    yield opened
    await opened.connector.close()


async def test_a_text_that_means_something_in_an_array_is_stored_as_it_is(people: People) -> None:
    texts = [
        "",
        "NULL",
        "null",
        '"',
        "\\",
        '\\"',
        "{}",
        "{a,b}",
        ",",
        " a ",
        "a\nb\tc",
        "%s",
        "é🎉",
    ]
    rows: list[dict[str, Any]] = [
        {
            "id": str(place),
            "name": text,
            "tags": [text, None, text],
            "more": {text: text},
            "photo": "AFwi",
        }
        for place, text in enumerate(texts, 1)
    ]
    rows.append({"id": "99", "name": None, "tags": [], "more": "x", "photo": None})
    outcomes = await people.write(rows, is_typed=True)
    assert {one.kind for one in outcomes} == {OutcomeKind.CREATED}
    assert people.stored("name, tags, more, photo") == [
        *((text, [text, None, text], {text: text}, b'\x00\\"') for text in texts),
        (None, [], "x", None),
    ]
    outcomes = await people.write(rows, is_typed=True)
    assert {one.kind for one in outcomes} == {OutcomeKind.UNCHANGED}


@pytest.mark.filterwarnings("ignore:Did not recognize type")
async def test_a_value_with_columns_of_its_own_stays_in_one_column(postgres: Postgres) -> None:
    place = "CREATE TYPE place AS (city text, zip int)"
    table = "CREATE TABLE people (id int PRIMARY KEY, home place, name text)"
    people = People(postgres, postgres.new_database(place, table))
    rows = [{"id": "1", "home": '("Bonn, am Rhein",53111)', "name": "Ann"}, {"id": "2", "name": ""}]
    assert [one.kind for one in await people.write(rows)] == [OutcomeKind.CREATED] * 2
    assert people.stored("(home).city, (home).zip, name") == [
        ("Bonn, am Rhein", 53111, "Ann"),
        (None, None, ""),
    ]
    await people.connector.close()


async def test_rows_with_and_without_a_value_change_what_they_name(people: People) -> None:
    await people.write([{"id": n, "name": "Ann", "age": 7} for n in range(1, 6)], is_typed=True)
    rows: list[dict[str, Any]] = [
        {"id": 1, "name": "Ann", "age": 7},
        {"id": 2, "name": "Ann"},
        {"id": 3, "name": "ann"},
        {"id": 4, "age": None},
        {"id": 5, "age": 8},
    ]
    same, changed = OutcomeKind.UNCHANGED, OutcomeKind.UPDATED
    outcomes = await people.write(rows, is_typed=True)
    assert [one.kind for one in outcomes] == [same, same, changed, changed, changed]
    stored = [("Ann", 7), ("Ann", 7), ("ann", 7), ("Ann", None), ("Ann", 8)]
    assert people.stored("name, age") == stored
    outcomes = await people.write(rows, is_typed=True)
    assert {one.kind for one in outcomes} == {same}


@pytest.mark.parametrize(
    ("bad", "action"),
    [
        ({"age": "-1"}, "create"),
        ({"age": "-1"}, "upsert"),
        ({"address": "here"}, "create"),
        ({"email": "7@example.com"}, "create"),
    ],
)
async def test_one_bad_row_in_1000_is_found_with_few_statements(
    people: People, bad: dict[str, Any], action: str
) -> None:
    """The database says which one it is. Its 999 neighbours are written in one statement."""
    rows = [
        {
            "id": str(n),
            "name": "Ann",
            "age": "7",
            "address": "10.0.0.1",
            "email": f"{n}@example.com",
        }
        for n in range(1, 1001)
    ]
    rows[700] |= bad
    outcomes = await people.write(rows, action)
    assert [one.row for one in outcomes if one.kind is not OutcomeKind.CREATED] == [701]
    inserts = [one for one in people.statements if "INSERT INTO public.people " in one]
    assert len(inserts) == 3, "the batch, each row tried alone in one block, the good rows"
    assert len(people.stored("id")) == 999


async def test_an_upsert_of_new_rows_is_one_statement(people: People) -> None:
    """It finds the rows that exist, inserts the others, and gets each value once."""
    await people.write([{"id": "1", "name": "Ann"}, {"id": "2", "name": "Ben"}])
    of_table = [one for one in people.statements if "public.people" in one]
    assert len(of_table) == 1
    lines = [("1", "Ann"), ("2", "Bo"), ("3", "Cy"), ("3", "Di"), ("4", "Ed"), ("3", "Di")]
    outcomes = await people.write([{"id": n, "name": name} for n, name in lines])
    unchanged, updated, created = OutcomeKind.UNCHANGED, OutcomeKind.UPDATED, OutcomeKind.CREATED
    kinds = [unchanged, updated, created, updated, created, unchanged]
    assert [one.kind for one in outcomes] == kinds
    assert [one.id for one in outcomes] == [n for n, _ in lines]
    assert people.stored("id, name") == [(1, "Ann"), (2, "Bo"), (3, "Di"), (4, "Ed")]


async def test_an_error_that_says_the_key_of_another_row_refuses_only_its_own(
    people: People,
) -> None:
    """`Key (email)=(7)`: the row with the id 7 is good, the one with that e-mail is not."""
    await people.write([{"id": "1000", "email": "7"}])
    rows = [{"id": str(n), "email": f"e{n}"} for n in range(1, 21)]
    rows[14] |= {"email": "7"}
    people.statements.clear()
    outcomes = await people.write(rows)
    assert [one.row for one in outcomes if one.kind is not OutcomeKind.CREATED] == [15]
    inserts = [one for one in people.statements if "INSERT INTO public.people " in one]
    # The batch, each row tried alone in one block, the good rows; and so once more for the bad one.
    assert len(inserts) == 4


async def test_many_bad_rows_cost_no_good_one(people: People) -> None:
    """More of them than errors are looked into."""
    rows = [{"id": str(n), "age": str(-n if n % 3 else n)} for n in range(1, 61)]
    outcomes = await people.write(rows, "create")
    created = [one.row for one in outcomes if one.kind is OutcomeKind.CREATED]
    assert created == list(range(3, 61, 3))
    refused = [one.problem for one in outcomes if one.kind is OutcomeKind.FAILED]
    assert all(one and "requires" in one.message and one.field == "age" for one in refused)
