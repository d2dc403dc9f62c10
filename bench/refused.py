"""What does a row cost that the database refuses? Into SQLite, PostgreSQL and MariaDB.

`write` alone is measured, batch after batch on one connection, in microseconds a row: of the clock,
and of this process's own processor time. Decision 68 has its figures (docs/decisions/0069).

.venv/bin/python bench/refused.py [ROWS] [DATABASE ...]
"""

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from openbulk.connectors.base import ConnectionContext, Connector  # noqa: E402
from openbulk.connectors.sql import (  # noqa: E402
    MariadbProvider,
    PostgresqlProvider,
    SqliteProvider,
)
from openbulk.domain.records import Action, OutcomeKind, Record, Target  # noqa: E402
from openbulk.notify.egress import allowed_address  # noqa: E402
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE  # noqa: E402
from support import forget  # noqa: E402
from support.mariadb import running_mariadb  # noqa: E402
from support.postgres import binaries, running_postgres  # noqa: E402

TABLE = (
    "CREATE TABLE people (id integer PRIMARY KEY, email varchar(80) UNIQUE, name varchar(80) "
    "NOT NULL, city varchar(80), age integer CHECK (age >= 0), born date, paid numeric(12,2))"
)
TAKEN = "INSERT INTO people (id, email, name) VALUES (0, 'taken@example.com', 'Ann')"
ROWS = 100_000
BATCH_SIZE = 2_000


class Fault(NamedTuple):
    """What is wrong with the refused rows of a file."""

    name: str
    action: Action
    values: Mapping[str, Any]


FAULTS = (
    Fault("a check, create", Action.CREATE, {"age": "-1"}),
    Fault("a check, upsert", Action.UPSERT, {"age": "-1"}),
    Fault("a taken key, create", Action.CREATE, {"email": "taken@example.com"}),
    Fault("a taken key, upsert", Action.UPSERT, {"email": "taken@example.com"}),
)
SHARES = (0, 1, 50, 100)
"""How many rows in a hundred are refused."""


def records(count: int, share: int, fault: Fault) -> Iterator[Record]:
    """Rows of a file, of which so many in a hundred are refused."""
    for number in range(1, count + 1):
        row = {
            "id": str(number),
            "email": f"n{number}@example.com",
            "name": f"Name {number}",
            "city": "Bonn",
            "age": str(number % 90),
            "born": "1985-02-28",
            "paid": "12.50",
        }
        is_refused = number * share // 100 > (number - 1) * share // 100
        yield Record(number, {**row, **fault.values} if is_refused else row)


async def measure(connector: Connector, count: int, share: int, fault: Fault) -> tuple[float, ...]:
    """Microseconds a row: of the clock, and of this process's processor."""
    target = Target("people", fault.action, run=f"{fault.name} {share}", records=count)
    rows = list(records(count, share, fault))
    failed = 0
    began, used = time.perf_counter(), time.process_time()
    for begin in range(0, count, BATCH_SIZE):
        outcomes = await connector.write(target, rows[begin : begin + BATCH_SIZE])
        failed += sum(outcome.kind is OutcomeKind.FAILED for outcome in outcomes)
    taken = (time.perf_counter() - began, time.process_time() - used)
    assert failed == count * share // 100, failed
    return tuple(seconds / count * 1e6 for seconds in taken)


async def resolve(host: str, port: int) -> str:
    """Allow loopback, where the measured databases are."""
    return await allowed_address(host, port, allowed=LOOPBACK_AND_PRIVATE)


def context(configuration: Mapping[str, str]) -> ConnectionContext:
    """A context of a connector that makes no HTTP calls."""
    return ConnectionContext(configuration, None, forget)  # type: ignore[arg-type]


Open = Callable[[], Connector]
"""Opens a connector to a new database with the table."""


def sqlite(stack: ExitStack) -> Open:
    """SQLite, in a folder of its own."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    files = iter(range(1_000))

    def open_new() -> Connector:
        file = folder / f"{next(files)}.db"
        with sqlite3.connect(file) as connection:
            connection.execute(TABLE)
            connection.execute(TAKEN)
        connection.close()
        return SqliteProvider(folder).connect(context({"db.file": file.name}))

    return open_new


def postgresql(stack: ExitStack) -> Open:
    """A server of PostgreSQL, without fsync."""
    folder = binaries()
    assert folder is not None, "PostgreSQL is not installed"
    server = stack.enter_context(running_postgres(folder))

    def open_new() -> Connector:
        database = server.new_database(TABLE, TAKEN)
        return PostgresqlProvider(resolve).connect(context(server.configuration(database)))

    return open_new


def mariadb(stack: ExitStack) -> Open:
    """A server of MariaDB."""
    server = stack.enter_context(running_mariadb())

    def open_new() -> Connector:
        database = server.new_database(TABLE, TAKEN)
        return MariadbProvider(resolve).connect(context(server.configuration(database)))

    return open_new


DATABASES: Mapping[str, Callable[[ExitStack], Open]] = {
    "sqlite": sqlite,
    "postgresql": postgresql,
    "mariadb": mariadb,
}


async def measure_all(name: str, open_new: Open, count: int) -> None:
    """Print a line for each fault and share."""
    for fault in FAULTS:
        for share in SHARES:
            connector = open_new()
            clock, own = await measure(connector, count, share, fault)
            await connector.close()
            print(
                f"{name}, {fault.name}, {share} % refused: {clock:,.1f} µs a row, "
                f"{own:,.1f} µs of it in this process",
                flush=True,
            )


def main() -> None:
    """Measure the databases that are named, or all."""
    count, *names = sys.argv[1:] or [str(ROWS)]
    for name in names or DATABASES:
        with ExitStack() as stack:
            asyncio.run(measure_all(name, DATABASES[name](stack), int(count)))


if __name__ == "__main__":
    main()
