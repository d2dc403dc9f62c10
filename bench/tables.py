"""Rows a second into a PostgreSQL table: batches that isolate bad rows, and one row at a time.

.venv/bin/python bench/tables.py
"""

import asyncio
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from openbulk.connectors.base import ConnectionContext, Connector  # noqa: E402
from openbulk.connectors.sql import PostgresqlProvider  # noqa: E402
from openbulk.domain.records import Action, OutcomeKind, Record, Target  # noqa: E402
from openbulk.notify.egress import allowed_address  # noqa: E402
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE  # noqa: E402
from support import forget  # noqa: E402
from support.postgres import Postgres, binaries, running_postgres  # noqa: E402

TABLE = (
    "CREATE TABLE people (id serial PRIMARY KEY, email text UNIQUE, name text NOT NULL, city text, "
    "age integer CHECK (age >= 0), born date, paid numeric)"
)
AT_ONCE = 4


def rows(count: int, bad_every: int | None) -> Iterator[Record]:
    """Rows of a CSV file. The table refuses the age of every `bad_every`th one."""
    for number in range(1, count + 1):
        yield Record(
            number,
            {
                "email": f"n{number}@example.com",
                "name": f"Name {number}",
                "city": "Bonn",
                "age": "-1" if bad_every and number % bad_every == 0 else str(number % 90),
                "born": "1985-02-28",
                "paid": "12.50",
            },
        )


async def resolve(host: str, port: int) -> str:
    """Allow loopback, where the measured database is."""
    return await allowed_address(host, port, allowed=LOOPBACK_AND_PRIVATE)


async def seconds(
    connector: Connector, target: Target, count: int, size: int, bad_every: int | None
) -> float:
    """The seconds that it takes to write `count` rows in batches of `size`."""
    records = list(rows(count, bad_every))
    batches = iter([records[begin : begin + size] for begin in range(0, count, size)])
    failed = 0

    async def work() -> None:
        nonlocal failed
        for batch in batches:
            outcomes = await connector.write(target, batch)
            failed += sum(outcome.kind is OutcomeKind.FAILED for outcome in outcomes)

    begin = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    assert failed == (count // bad_every if bad_every else 0)
    return time.perf_counter() - begin


async def measure(postgres: Postgres, what: str, count: int, size: int, **more: Any) -> None:
    """Write rows into a new table, and print how many a second."""
    async with aiohttp.ClientSession() as http:
        database = postgres.new_database(TABLE)
        connector = PostgresqlProvider(resolve).connect(
            ConnectionContext(postgres.configuration(database), http, forget)
        )
        for action in more.get("actions", [Action.CREATE]):
            target = Target(
                "people", action, None if action is Action.CREATE else "email", run=uuid.uuid4().hex
            )
            took = await seconds(connector, target, count, size, more.get("bad_every"))
            does = "new rows" if action is Action.CREATE else "sent again, unchanged"
            print(
                f"{what}, {does}: {count / took:,.0f} rows/s ({count:,} rows, {took:.1f} s)",
                flush=True,
            )
        await connector.close()


def main() -> None:
    """Measure everything against one server."""
    folder = binaries()
    assert folder is not None, "PostgreSQL is not installed"
    with running_postgres(folder) as postgres:
        upserts = [Action.CREATE, Action.UPSERT]
        asyncio.run(measure(postgres, "one row at a time", 3_000, 1, actions=upserts))
        asyncio.run(measure(postgres, "batches of 1,000", 60_000, 1_000, actions=upserts))
        for every in (1_000, 100, 10):
            what = f"batches of 1,000, one bad row in {every:,}"
            asyncio.run(measure(postgres, what, 30_000, 1_000, bad_every=every))


if __name__ == "__main__":
    main()
