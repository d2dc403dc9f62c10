"""Amounts of money in PostgreSQL are exact numbers, whatever the database's language is.

In one language `5,50` is 5.5, and in another one 550; some have no digits after the point.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.sql import PostgresqlProvider
from openbulk.domain.conditions import Comparison, Condition
from openbulk.domain.errors import BadInput
from openbulk.domain.query import Order, PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.notify.egress import allowed_address
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE
from support import forget
from support.postgres import Postgres

Open = Callable[[str], Awaitable[Connector]]
Values = dict[str, Any]
TABLES = (
    "CREATE DOMAIN price AS money",
    "CREATE TABLE t (k money PRIMARY KEY, v money, d price, many money[], twice money "
    "GENERATED ALWAYS AS (v * 2) STORED)",
    "CREATE TABLE part (t money REFERENCES t)",
)


async def resolve(host: str, port: int) -> str:
    return await allowed_address(host, port, allowed=LOOPBACK_AND_PRIVATE)


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Open]:
    """Opens a database in a language."""
    opened: list[Connector] = []

    async def open_in(language: str) -> Connector:
        if language != "C" and not postgres.make_locale(language):
            pytest.skip(f"this machine has no locale {language}")
        name = postgres.new_database(*TABLES)
        with postgres.connect() as connection:
            connection.execute(f"ALTER DATABASE \"{name}\" SET lc_monetary = '{language}'".encode())
        context = ConnectionContext(postgres.configuration(name), None, forget)  # type: ignore[arg-type]
        opened.append(PostgresqlProvider(resolve).connect(context))
        return opened[-1]

    yield open_in
    for connector in opened:
        await connector.close()


async def write(connector: Connector, action: str, *rows: Values) -> list[Outcome]:
    batch = [Record(number, row) for number, row in enumerate(rows, 1)]
    outcomes = await connector.write(Target("t", Action(action), is_typed=True), batch)
    return sorted(outcomes, key=lambda one: one.row)


async def read(connector: Connector, where: Condition | None = None) -> list[Values]:
    query = Query("t", where=where, order=(Order("d"),))
    pages = [page async for page in connector.read(query, PageRequest(size=1))]
    return [dict(record) for page in pages for record in page.records]


def messages(outcomes: list[Outcome]) -> list[str]:
    return [one.problem.message if one.problem else "" for one in outcomes]


@pytest.mark.parametrize("language", ["C", "de_DE.UTF-8"])
async def test_money_comes_and_goes_as_numbers(database: Open, language: str) -> None:
    """As a key and as a value, in a domain, a list, and what the database computes of it."""
    connector = await database(language)
    one = {"k": 5.5, "v": "5.50", "d": "-0.01", "many": "{1.50,NULL}"}
    two = {"k": "1234.56", "v": 7, "d": "3", "many": None}
    assert [one.kind for one in await write(connector, "create", one, two)] == [
        OutcomeKind.CREATED
    ] * 2
    records = await read(connector)
    assert [[str(record[name]) for name in ("k", "v", "d", "twice")] for record in records] == [
        ["5.5", "5.5", "-0.01", "11.0"],
        ["1234.56", "7.0", "3.0", "14.0"],
    ]
    assert str(records[0]["many"][0]) == "1.50"
    outcomes = await write(connector, "upsert", *records)
    assert [one.kind for one in outcomes] == [OutcomeKind.UNCHANGED] * 2
    (outcome,) = await write(connector, "update", {"k": "5.50", "v": "8"})
    assert (outcome.kind, outcome.id) == (OutcomeKind.UPDATED, "5.5")
    assert await connector.get("t", "5.50", {}) == {**records[0], "v": 8.0, "twice": 16.0}
    assert len(await read(connector, Comparison("v", ">", ("7.99",)))) == 1
    assert len(await read(connector, Comparison("many", "=", ([1.5, None],)))) == 1
    assert len(await read(connector, Comparison("k", "like", ("1234.5_",)))) == 1
    (outcome,) = await write(connector, "delete", {"k": "5.5"})
    assert outcome.kind is OutcomeKind.DELETED


@pytest.mark.parametrize(
    ("language", "digits", "long"),
    [("C", 2, "1.005"), ("de_DE.UTF-8", 2, "1.005"), ("ja_JP.UTF-8", 0, "5.5")],
)
async def test_an_amount_that_would_change_is_refused(
    database: Open, language: str, digits: int, long: str
) -> None:
    """In a row and in a condition: a way of writing that languages read differently, and digits
    that the database would round."""
    connector = await database(language)
    comma, rounded, list_ = await write(
        connector, "create", {"k": "5,50"}, {"k": 1, "v": long}, {"k": 2, "many": [1, "5,50"]}
    )
    assert messages([comma, rounded, list_]) == [
        "k is '5,50', which is not a number; write it like 12.50",
        f"v is '{long}'; it takes {digits} digits after the point, and would round this",
        "many is \"[1, '5,50']\"; '5,50' in it is not a number; write it like 12.50",
    ]
    assert await read(connector) == []
    for value in ("5,50", long):
        with pytest.raises(BadInput, match=f"v is '{value}'"):
            await read(connector, Comparison("v", "=", (value,)))


async def test_a_reference_to_money_is_compared_as_money(database: Open) -> None:
    connector = await database("C")
    await write(connector, "create", {"k": "5.50"})
    batch = [Record(1, {"t": "5.5"}), Record(2, {"t": "6"})]
    good, bad = sorted(
        await connector.write(Target("part", Action.CREATE), batch), key=lambda one: one.row
    )
    assert good.kind is OutcomeKind.CREATED
    assert messages([bad]) == [
        "t is '6', and t has no row with k = '6'; add that row first, or correct the value"
    ]
