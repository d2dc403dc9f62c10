"""What a column stores is exactly what the file had, or the row is refused with column and value.

For the types of both databases, and values of every kind.
"""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbulk.connectors.base import ConnectionContext, Connector, Provider
from openbulk.connectors.sql import PostgresqlProvider, SqliteProvider
from openbulk.connectors.sql.numbers import stored_float
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.exact_json import decode_json
from openbulk.notify.egress import allowed_address
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE
from support import forget
from support.postgres import Postgres

Stored = Mapping[int, str | None]
Same = Callable[[Any, str], bool]
"""Whether a stored value, as text, is what the file had."""

digits = st.text("0123456789", min_size=1, max_size=22)
number_texts = st.one_of(
    st.integers().map(str),
    st.sampled_from([2**n + k for n in (15, 31, 53, 63, 64) for k in (-1, 0, 1)]).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.builds("{}{}.{}".format, st.sampled_from(["", "-", "+"]), digits, digits),
    st.builds("{}e{}".format, digits, st.integers(-400, 400)),
    st.sampled_from(["1_000", "1,5", "٣", "0x10", "NaN", "Infinity", "-0", "007", ".5", "5.", ""]),
)
json_numbers = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(min_value=-(10**20), max_value=10**20, places=5),
    st.booleans(),
)
numbers = st.lists(st.one_of(number_texts, json_numbers), min_size=1, max_size=20)
texts = st.lists(
    st.one_of(st.text(max_size=12), st.text("\x00\ud83d a\r\n\\\"'{}é🎉", max_size=12)),
    min_size=1,
    max_size=20,
)
offsets = st.sampled_from(["", "Z", "+02:00", "-11:30", "+05:45:10"])
fractions = st.sampled_from(["", ".5", ".123456", ".1234567", ".123456000", ",25"])
moments = st.builds("{:%Y-%m-%dT%H:%M:%S}{}{}".format, st.datetimes(), fractions, offsets)
days = st.one_of(
    st.dates().map(str),
    st.sampled_from(["2026-02-30", "20260530", "infinity", "0044-03-15 BC", "12026-01-01", "now"]),
)
hours = st.builds("{:%H:%M:%S}{}{}".format, st.times(), fractions, offsets)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.text(max_size=5), json_numbers
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)

FEW = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def same_number(value: Any, stored: str) -> bool:
    number, kept = Decimal(str(value)), Decimal(stored)
    return kept == number or (kept.is_nan() and number.is_nan())


def same_float(value: Any, stored: str) -> bool:
    """A float is written in 17 digits, or in as many as tell it apart from its neighbours."""
    number = Decimal(str(value))
    return same_number(value, stored) or number in {
        Decimal(f"{float(stored):.16e}"),
        Decimal(f"{stored_float(Decimal(stored), 9):.8e}"),
        Decimal(repr(float(stored))),
    }


def same_text(value: Any, stored: str) -> bool:
    return bool(stored == value)


def same_padded(value: Any, stored: str) -> bool:
    return stored.rstrip(" ") == str(value).rstrip(" ")


def same_day(value: Any, stored: str) -> bool:
    try:
        return date.fromisoformat(value) == date.fromisoformat(stored)
    except ValueError:
        return bool(value == stored)


def same_moment(value: Any, stored: str) -> bool:
    """A moment without an offset, in a column that has one, is in UTC."""
    moment, kept = datetime.fromisoformat(value), datetime.fromisoformat(stored)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment == kept and not _finer_than_microseconds(value)


def same_clock(value: Any, stored: str) -> bool:
    """A column without offsets keeps the clock, and that of UTC."""
    moment, kept = datetime.fromisoformat(value), datetime.fromisoformat(stored)
    is_clear = not moment.utcoffset()
    return is_clear and moment.replace(tzinfo=None) == kept and not _finer_than_microseconds(value)


def same_time(value: Any, stored: str) -> bool:
    return time.fromisoformat(value) == time.fromisoformat(stored)


def _finer_than_microseconds(value: str) -> bool:
    fraction = re.search(r"[.,](\d+)", value)
    return fraction is not None and len(fraction[1].rstrip("0")) > 6


def same_document(value: Any, stored: str) -> bool:
    return bool(exact(decode_json(stored)) == exact(value))


def same_in_sqlite(value: Any, stored: str) -> bool:
    """SQLite has no documents: a text is a text."""
    return stored == value if isinstance(value, str) else same_document(value, stored)


def exact(value: Any) -> Any:
    """A document to compare: `1` and `true` differ, and 1.0 and 1 do not."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int | float | Decimal):
        return Decimal(str(value)).normalize() if value else Decimal(0)
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    return f"text {value}"


POSTGRESQL: Sequence[tuple[str, Any, Same]] = [
    ("smallint", numbers, same_number),
    ("integer", numbers, same_number),
    ("bigint", numbers, same_number),
    ("numeric", numbers, same_number),
    ("numeric(12,3)", numbers, same_number),
    ("numeric(3,-2)", numbers, same_number),
    ("amount", numbers, same_number),
    ("money", numbers, same_number),
    ("double precision", numbers, same_float),
    ("real", numbers, same_float),
    ("text", texts, same_text),
    ("varchar(4)", texts, same_text),
    ("char(4)", texts, same_padded),
    ("date", st.lists(days, min_size=1, max_size=20), same_day),
    ("timestamptz", st.lists(moments, min_size=1, max_size=20), same_moment),
    ("timestamp(3)", st.lists(moments, min_size=1, max_size=20), same_clock),
    ("time", st.lists(hours, min_size=1, max_size=20), same_time),
    ("jsonb", st.lists(documents, min_size=1, max_size=20), same_document),
]
SQLITE: Sequence[tuple[str, Any, Same]] = [
    ("integer", numbers, same_number),
    ("real", numbers, same_float),
    ("numeric", numbers, same_number),
    ("decimal(10,2)", numbers, same_number),
    ("text", texts, same_text),
    ("varchar(4)", texts, same_text),
    ("string", texts, same_text),
    ("string", st.lists(number_texts, min_size=1, max_size=20), same_text),
    ("", texts, same_text),
    ("date", st.lists(days, min_size=1, max_size=20), same_day),
    ("datetime", st.lists(moments, min_size=1, max_size=20), same_clock),
    ("time", st.lists(hours, min_size=1, max_size=20), same_time),
    ("json", st.lists(documents, min_size=1, max_size=20), same_in_sqlite),
]


class Database:
    """Writes values into a column of a new table, and reads them as text."""

    text_of_v = "v::text"

    def __init__(self, provider: Provider, configuration: Mapping[str, str]) -> None:
        self._provider = provider
        self._configuration = configuration
        self._type = ""
        self._connector: Connector | None = None
        self._runner = asyncio.Runner()

    def execute(self, sql: str) -> list[Any]:
        """Execute a statement; return its rows."""
        raise NotImplementedError

    def __call__(self, type_: str, values: Sequence[Any]) -> tuple[Sequence[Outcome], Stored]:
        self._use(type_)
        self.execute("DELETE FROM t")
        outcomes = self._runner.run(self._write(values))
        # In text, money depends on the server's language.
        text = "v::numeric" if type_ == "money" else self.text_of_v
        rows = self.execute(f"SELECT id, {text} FROM t")
        return outcomes, {row: None if value is None else str(value) for row, value in rows}

    def _use(self, type_: str) -> None:
        """Make the table with a column of this type, unless it is there."""
        if self._connector is not None and self._type == type_:
            return
        self.close()
        self._type = type_
        self.execute("DROP TABLE IF EXISTS t")
        self.execute(f"CREATE TABLE t (id integer PRIMARY KEY, v {type_})")
        context = ConnectionContext(self._configuration, None, forget)  # type: ignore[arg-type]
        self._connector = self._provider.connect(context)

    async def _write(self, values: Sequence[Any]) -> Sequence[Outcome]:
        assert self._connector is not None
        batch = [Record(n, {"id": n, "v": value}) for n, value in enumerate(values, 1)]
        target = Target("t", Action.CREATE, is_typed=True)
        return await self._connector.write(target, batch)

    def close(self) -> None:
        """Close the connections."""
        if self._connector is not None:
            self._runner.run(self._connector.close())
            self._connector = None


class PostgresqlDatabase(Database):
    def __init__(self, postgres: Postgres) -> None:
        database = postgres.new_database(
            "CREATE DOMAIN amount AS numeric(8,2)",
            "CREATE TYPE item AS (amount numeric(5,2), at timestamp)",
            "CREATE TYPE span AS RANGE (subtype = timestamp)",
            "CREATE DOMAIN price AS money CHECK (value >= 0::money)",
        )
        super().__init__(PostgresqlProvider(resolve), postgres.configuration(database))
        self._connection = postgres.connect(database)
        # The table has a column of another type each time.
        self._connection.prepare_threshold = None

    def execute(self, sql: str) -> list[Any]:
        cursor = self._connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


class SqliteDatabase(Database):
    # SQLite's own text of a float has 15 digits.
    text_of_v = "v"

    def __init__(self, folder: Path) -> None:
        super().__init__(SqliteProvider(folder), {"db.file": "t.db"})
        self._connection = sqlite3.connect(folder / "t.db", isolation_level=None)

    def execute(self, sql: str) -> list[Any]:
        return self._connection.execute(sql).fetchall()


async def resolve(host: str, port: int) -> str:
    return await allowed_address(host, port, allowed=LOOPBACK_AND_PRIVATE)


def require_kept(
    values: Sequence[Any], outcomes: Sequence[Outcome], stored: Stored, same: Same
) -> None:
    """Each value is stored as it was, or its row is refused with the column."""
    by_row = {outcome.row: outcome for outcome in outcomes}
    assert len(by_row) == len(values)
    for row, value in enumerate(values, 1):
        outcome, kept = by_row[row], stored.get(row)
        if outcome.kind is OutcomeKind.FAILED:
            assert outcome.problem is not None
            assert outcome.problem.field == "v", outcome
            assert row not in stored
        elif kept is None:
            assert value in (None, ""), (value, outcome)
        else:
            assert same(value, kept), (value, kept)


@pytest.fixture(scope="module")
def in_postgresql(postgres: Postgres) -> Iterator[Database]:
    database = PostgresqlDatabase(postgres)
    yield database
    database.close()


@pytest.fixture(scope="module")
def in_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = SqliteDatabase(tmp_path_factory.mktemp("values"))
    yield database
    database.close()


@pytest.mark.parametrize(("type_", "strategy", "same"), POSTGRESQL)
def test_postgresql_keeps_what_the_file_had(
    in_postgresql: Database, type_: str, strategy: Any, same: Same
) -> None:
    @FEW
    @given(strategy)
    def holds(values: list[Any]) -> None:
        require_kept(values, *in_postgresql(type_, values), same)

    holds()


@pytest.mark.parametrize("number", [2**63 + 1, 2**64 - 1])
def test_a_document_that_is_a_number_beyond_64_bits_is_refused_with_its_row(
    in_sqlite: Database, number: int
) -> None:
    outcomes, _ = in_sqlite("json", [1, number])
    kinds = {outcome.row: outcome.kind for outcome in outcomes}
    assert kinds == {1: OutcomeKind.CREATED, 2: OutcomeKind.FAILED}


@pytest.mark.parametrize(("type_", "strategy", "same"), SQLITE)
def test_sqlite_keeps_what_the_file_had(
    in_sqlite: Database, type_: str, strategy: Any, same: Same
) -> None:
    @FEW
    @given(strategy)
    def holds(values: list[Any]) -> None:
        require_kept(values, *in_sqlite(type_, values), same)

    holds()


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        ("smallint", "70000", "v is '70000'; it takes whole numbers from -32768 to 32767"),
        ("numeric(5,2)", "1.005", "v is '1.005'; it takes 2 digits after the point"),
        ("numeric(5,2)", "1000", "v is '1000'; it takes 3 digits before the point"),
        ("numeric(5,2)[]", [1, 1.005], "v is '[1, 1.005]'; it takes 2 digits after the point"),
        ("real", "0.123456789012", "v is '0.123456789012'; it holds floating-point numbers"),
        ("money", "1.005", "v is '1.005'; it takes 2 digits after the point"),
        ("money", "5,50", "v is '5,50', which is not a number; write it like 12.50"),
        ("money", "$5.50", "v is '$5.50', which is not a number; write it like 12.50"),
        ("money", "NaN", "v is 'NaN'; it takes numbers, and NaN is not one"),
        ("money", "-Infinity", "v is '-Infinity'; it takes numbers, and infinity is not one"),
        ("money", "92233720368547758.08", "which its type money does not take: bigint out of"),
        ("money[]", ["5,50"], "v is \"['5,50']\"; '5,50' in it is not a number"),
        ("money[]", "{5.50,5.505}", "v is '{5.50,5.505}'; it takes 2 digits after the point"),
        ("price", "5.505", "v is '5.505'; it takes 2 digits after the point"),
        ("price", "-1", "v is '-1'; the check price_check of t requires (VALUE >= (0)::money)"),
        ("timestamp(0)", "2026-05-30T10:00:00.5", "it keeps 0 digits of a second"),
        ("time", "10:00+02:00", "v is '10:00+02:00'; it takes a time without an offset"),
        ("time", "24:00+02", "v is '24:00+02'; it takes a time without an offset"),
        ("time[]", ["10:00+02:00"], "it takes a time without an offset"),
        ("timestamp", "2026-05-30T08:15+02:00", "08:15+02:00'; its type has no offset from UTC"),
        ("timestamp", "12026-05-30 08:15:00+02", "its type has no offset from UTC"),
        ("timestamp", "0044-03-15 08:15:00.5+02 BC", "its type has no offset from UTC"),
        ("timestamp", "noon", "which is not a date and time; write it like 2026-05-30T10:00:00"),
        ("timestamp[]", ["2026-05-30T08:15+02:00"], "its type has no offset from UTC"),
        ("timestamp[]", '{"2026-05-30 08:15:00+02"}', "its type has no offset from UTC"),
        ("timestamp(0)[]", ["2026-05-30T08:15:00.5"], "it keeps 0 digits of a second"),
        ("tsrange", '["2026-05-30 08:15:00+02",)', "its type has no offset from UTC"),
        ("tsmultirange", '{["2026-05-30 08:15:00+02",)}', "its type has no offset from UTC"),
        ("tsrange[]", ['["2026-05-30 08:15:00+02",)'], "its type has no offset from UTC"),
        ("tstzrange", '["2026-05-30 08:15:00.1234567Z",)', "it keeps 6 digits of a second"),
        ("date", "2026-05-30T08:15", "v is '2026-05-30T08:15', which is not a date; write it"),
        ("date", "12026-05-30 08:15:00", "which is not a date; write it like 2026-05-30"),
        ("date[]", ["05/06/2026"], "'05/06/2026' in it is not a date; write it like 2026-05-30"),
        ("daterange", "[2026-05-30 08:15,)", "'2026-05-30 08:15' in it is not a date"),
        ("interval", "1.5 months", "v is '1.5 months'; a part of a month or a year has no exact"),
        ("interval", "P0.5Y", "v is 'P0.5Y'; a part of a month or a year has no exact length"),
        ("interval", "0.0000001 seconds", "it keeps 6 digits of a second"),
        ("interval year to month", "1 year 3 days", "would keep '1 year': write it like that, or"),
        ('"char"', "abc", "v is 'abc', of which its type \"char\" would keep 'a': write it like"),
        ("name", "x" * 70, f"of which its type name would keep '{'x' * 37}...': write it like"),
        ("oid", "-1", "v is '-1', of which its type oid would keep '4294967295': write it like"),
        ("point", "(0.12345678901234567891,1)", "would keep '(0.12345678901234568,1)': write it"),
        ("item", "(5.505,)", "v is '(5.505,)', of which its type item would keep '(5.51,)': write"),
        ("item", "(,2026-05-30 08:15+02)", "would keep '(,\"2026-05-30 08:15:00\")': write it"),
        ("span", "[2026-05-30 08:15+02,)", "would keep '[\"2026-05-30 08:15:00\",)': write it"),
        ("interval(0)", "1.5 seconds", "v is '1.5 seconds'; it keeps 0 digits of a second"),
        ("text", "a\x00b", "v has a NUL character in it"),
        ("text", "a\ud83d", "v has half of a surrogate pair in it (character 2)"),
        ("jsonb", {"a": "\x00"}, "v has a NUL character in it"),
        (
            "inet",
            "here",
            "v is 'here', which its type inet does not take: invalid input syntax for type inet",
        ),
    ],
)
def test_a_value_that_would_change_is_refused_with_what_is_taken(
    in_postgresql: Database, type_: str, value: Any, message: str
) -> None:
    (outcome,), stored = in_postgresql(type_, [value])
    assert outcome.problem is not None
    assert message in outcome.problem.message
    assert (outcome.problem.field, stored) == ("v", {})


def test_a_number_takes_no_longer_because_of_its_exponent(
    in_postgresql: Database, in_sqlite: Database
) -> None:
    values = ["1e999999999", "-1e-999999999", "1" * 5_000, f"0.{'0' * 5_000}1"]
    for insert in (in_postgresql, in_sqlite):
        for type_ in ("numeric", "integer", "real"):
            outcomes, _ = insert(type_, values)
            assert {one.kind for one in outcomes} == {OutcomeKind.FAILED}


def test_any_type_of_a_strict_table_keeps_a_text_as_it_is(tmp_path: Path) -> None:
    """In a table that is not strict, it makes numbers of texts.

    https://sqlite.org/stricttables.html
    """
    database = SqliteDatabase(tmp_path)
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v ANY) STRICT")
    connector = SqliteProvider(tmp_path).connect(
        ConnectionContext({"db.file": "t.db"}, None, forget)  # type: ignore[arg-type]
    )

    async def write() -> Sequence[Outcome]:
        try:
            row = Record(1, {"id": 1, "v": "007"})
            return await connector.write(Target("t", Action.CREATE), [row])
        finally:
            await connector.close()

    assert [one.kind for one in asyncio.run(write())] == [OutcomeKind.CREATED]
    assert database.execute("SELECT v FROM t") == [("007",)]
