"""Rows that a database takes for one share an ordering key, however their values are written."""

from collections.abc import AsyncIterator, Callable, Collection, Hashable, Mapping
from typing import Any

import pytest

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.sql import PostgresqlProvider
from openbulk.domain.records import Action, Record, Target
from support import forget
from support.postgres import Postgres

Keys = Collection[Hashable] | None
Values = Mapping[str, Any]

WRITINGS: Mapping[str, list[Any]] = {
    "int": ["1", "01", "+1", " 1", 1, 1.0, "2"],
    "numeric": ["1", "01", "1.0", "1e0", ".5", "0.50", "0", "-0", "NaN", "nan", "2"],
    "float8": ["0.1", "0.10", "1e-1", "0.10000000000000001", "0", "-0.0", "NaN", "2"],
    "real": ["0.1", "0.100000001", "1e-1", "2"],
    "boolean": ["true", "t", "1", "yes", "false", "off"],
    "text": ["Ann", "ann", "ann ", "Bob"],
    "citext": [
        "Ann",
        "ANN",
        "ann",
        "STRASSE",
        "strasse",
        "SS\u03a3",
        "ss\u03c3",
        "ss\u03c2",
        "Bob",
    ],
    "char(5)": ["ann", "ann ", "ann  ", "Ann", "bob"],
    "varchar(5)": ["ann", "ann ", "bob"],
    "uuid": [
        "0b4ad3c6-6f6e-4b5b-9f0e-2d8f0c6b7a11",
        "0B4AD3C6-6F6E-4B5B-9F0E-2D8F0C6B7A11",
        "{0b4ad3c66f6e4b5b9f0e2d8f0c6b7a11}",
        "0b4ad3c6-6f6e-4b5b-9f0e-2d8f0c6b7a12",
    ],
    "date": ["2026-05-30", "20260530", "2026-W22-6", "infinity", "02026-05-30", "2026-05-31"],
    "timestamp": ["2026-05-30T10:00", "2026-05-30 10:00:00", "infinity", "2026-05-31"],
    "timestamptz": [
        "2026-05-30T10:00Z",
        "2026-05-30T12:00+02:00",
        "2026-05-30 10:00",
        "0001-01-01T00:00+02:00",
        "2026-05-30T11:00Z",
    ],
    "timetz": ["10:00", "10:00:00", "10:00Z", "11:00+01:00", "24:00", "24:00:00", "12:00"],
    "bytea": ["AQ==", "Ag=="],
    "inet": ["10.0.0.1", "10.0.0.1/32", "10.0.0.2"],
    "interval": ["1 day", "24:00:00", "2 days"],
    "jsonb": ['{"a":1,"b":2}', '{"b":2,"a":1.0}', "[]"],
    "text COLLATE folded": ["Ann", "ANN", "Bob"],
    "folded_name": ["Ann", "ANN", "Bob"],
}
"""For each type, values of which some are equal."""
ONE_BY_ONE = {"inet", "interval", "jsonb", "text COLLATE folded", "folded_name"}
"""Types whose equality only the database knows."""
SCHEMA = (
    "CREATE EXTENSION citext",
    "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    "CREATE DOMAIN folded_name AS text COLLATE folded",
    *(f"CREATE TABLE t{number} (n int, k {type_})" for number, type_ in enumerate(WRITINGS)),
    "CREATE TABLE pair (a int, b text, note text, PRIMARY KEY (a, b))",
    "CREATE TABLE person (id int PRIMARY KEY, mail citext UNIQUE, org int, nick text, note text,"
    " UNIQUE (org, nick))",
    "CREATE TABLE folded (id int PRIMARY KEY, mail text)",
    "CREATE UNIQUE INDEX ON folded (lower(mail))",
    "CREATE TABLE computed (id int PRIMARY KEY, a text, low text UNIQUE"
    " GENERATED ALWAYS AS (lower(a)) STORED)",
    "CREATE TABLE period (id int PRIMARY KEY, days daterange, EXCLUDE USING gist (days WITH &&))",
    "CREATE TABLE by_name (id int PRIMARY KEY, name text)",
    "CREATE UNIQUE INDEX ON by_name (name COLLATE folded)",
    "CREATE TABLE once (id int PRIMARY KEY, code text UNIQUE NULLS NOT DISTINCT)",
    "CREATE TABLE host (org int, address inet, PRIMARY KEY (org, address))",
)


@pytest.fixture
async def opened(postgres: Postgres) -> AsyncIterator[tuple[str, Connector]]:
    name = postgres.new_database(*SCHEMA)
    http: Any = None

    async def resolve(host: str, port: int) -> str:
        return "127.0.0.1"

    context = ConnectionContext(postgres.configuration(name), http, forget)
    connector = PostgresqlProvider(resolve).connect(context)
    yield name, connector
    await connector.close()


async def keys_function(connector: Connector) -> Callable[..., Keys]:
    """Makes the keys of one record of a table."""
    objects = await connector.objects()

    def keys_of(
        table: str, values: Values, action: str = "upsert", identifier: str | None = None
    ) -> Keys:
        ordering = objects[table].ordering
        assert ordering is not None
        return ordering(Target(table, Action(action), identifier))(Record(1, values))

    return keys_of


def may_be_one(first: Keys, second: Keys) -> bool:
    """Whether two records are sent one after another."""
    return first is None or second is None or bool(set(first) & set(second))


async def test_values_that_are_equal_to_the_database_share_a_key(
    opened: tuple[str, Connector], postgres: Postgres
) -> None:
    """And the last one of each type, which differs, shares none, unless its type has no key."""
    name, connector = opened
    keys_of = await keys_function(connector)
    with postgres.connect(name) as connection:
        for place, (type_, writings) in enumerate(WRITINGS.items()):
            table = f"t{place}"
            batch = [Record(n, {"n": n, "k": one}) for n, one in enumerate(writings, 1)]
            outcomes = await connector.write(Target(table, Action.CREATE), batch)
            assert not [one.problem for one in outcomes if one.problem], type_
            keys = [keys_of(table, record.values, identifier="k") for record in batch]
            equal = f"SELECT a.n, b.n FROM {table} a JOIN {table} b ON a.k = b.k AND a.n < b.n"
            pairs = connection.execute(equal.encode()).fetchall()
            assert pairs or type_ in {"bytea", "text", "varchar(5)"}, type_
            for one, other in pairs:
                assert may_be_one(keys[one - 1], keys[other - 1]), (type_, batch[one - 1], other)
            is_apart = not may_be_one(keys[0], keys[-1])
            assert is_apart is (type_ not in ONE_BY_ONE), type_


async def test_rows_of_one_key_of_several_columns_share_a_key(
    opened: tuple[str, Connector],
) -> None:
    keys_of = await keys_function(opened[1])

    def are_one(first: Values, second: Values, **more: Any) -> bool:
        return may_be_one(keys_of("pair", first, **more), keys_of("pair", second, **more))

    for action in ("create", "update", "upsert", "delete"):
        assert are_one({"a": "1", "b": "x"}, {"a": "01", "b": "x", "note": "n"}, action=action)
        assert not are_one({"a": "1", "b": "x"}, {"a": "1", "b": "y"}, action=action)
        assert not are_one({"a": "1", "b": "x"}, {"a": "2", "b": "x"}, action=action)
    assert are_one({"a": "1", "b": "x", "note": "n"}, {"a": "2", "b": "y", "note": "n"}) is False
    # One column is known to be equal or not, the other is not: the first decides.
    assert not may_be_one(
        keys_of("host", {"org": "1", "address": "::1"}),
        keys_of("host", {"org": "2", "address": "::1"}),
    )
    assert may_be_one(
        keys_of("host", {"org": "1", "address": "::1"}),
        keys_of("host", {"org": "1", "address": "0::1"}),
    )


async def test_rows_that_want_one_unique_value_share_a_key(opened: tuple[str, Connector]) -> None:
    """Also beside the key that identifies them."""
    keys_of = await keys_function(opened[1])
    person = {"id": "1", "mail": "ann@example.com", "org": "7", "nick": "a"}
    others: list[tuple[Values, bool]] = [
        ({"id": "2", "mail": "ANN@example.com"}, True),
        ({"id": "2", "mail": "bob@example.com"}, False),
        ({"id": "2", "org": "07", "nick": "a"}, True),
        ({"id": "2", "org": "7", "nick": "b"}, False),
        ({"id": "2", "org": "7"}, True),  # the table may have the other half
        ({"id": "2", "mail": None, "org": None, "nick": "a"}, False),
    ]
    for other, expected in others:
        for action in ("create", "update", "upsert"):
            one, two = keys_of("person", person, action), keys_of("person", other, action)
            assert may_be_one(one, two) is expected, (action, other)
        deleted = keys_of("person", person, "delete"), keys_of("person", other, "delete")
        assert not may_be_one(*deleted)
    by_mail = [keys_of("person", one, "upsert", "mail") for one in (person, others[0][0])]
    assert may_be_one(*by_mail)
    no_codes = [keys_of("once", {"id": number, "code": None}) for number in ("1", "2")]
    assert may_be_one(*no_codes)


@pytest.mark.parametrize("table", ["folded", "computed", "period", "by_name"])
async def test_what_the_database_computes_may_be_equal_in_all_rows(
    opened: tuple[str, Connector], table: str
) -> None:
    keys_of = await keys_function(opened[1])
    assert keys_of(table, {"id": "1"}, "create") is None
    assert keys_of(table, {"id": "1"}, "upsert") is None
    assert keys_of(table, {"id": "1"}, "delete") is not None
