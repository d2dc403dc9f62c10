"""How fast does a file get into a table? Beside a staging table by hand, memory, and sqlite-utils.

openbulk is measured end to end: from the first byte of the upload to the status of the finished
job. By hand, PostgreSQL takes the same file with `COPY` into a staging table, and puts it into the
table with one `INSERT ... ON CONFLICT`: nothing of it is checked, and no row has an outcome. All of
one run take turns on the same servers. Without fsync the disk does not count.
"""

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from figures import Figure, postgresql, processes
from support.harness import Processes, Server
from support.postgres import Postgres, binaries, running_postgres

COLUMNS = ("email", "name", "city", "age", "born", "paid", "active", "seen")
TABLE = (
    "CREATE TABLE people (email text PRIMARY KEY, name text NOT NULL, city text, age integer "
    "CHECK (age >= 0), born date, paid numeric(12,2), active boolean, seen timestamp)"
)
UPSERT = {"action": "upsert"}
ROWS = (100_000, 1_000_000)


def people(count: int, bad_every: int = 0) -> bytes:
    """A CSV of eight columns. The table refuses the age of every `bad_every`th row."""
    lines = [",".join(COLUMNS)]
    lines += [
        f"n{n}@example.com,Name {n},Bonn,{-1 if bad_every and n % bad_every == 0 else n % 90},"
        f"1985-02-28,{n % 1000}.50,true,2026-05-30T10:00:00"
        for n in range(1, count + 1)
    ]
    return ("\n".join(lines) + "\n").encode()


def measure(quick: bool) -> Iterator[Figure]:
    """Rows per second into PostgreSQL, without fsync and with it, and into SQLite."""
    sizes = (5_000,) if quick else ROWS
    folder = binaries()
    assert folder is not None, "PostgreSQL is not installed"
    for rows in sizes:
        with running_postgres(folder) as postgres, processes() as started:
            yield from beside_by_hand(started, postgres, rows, "without fsync", 0.4)
        with postgresql() as postgres, processes() as started:
            yield from beside_by_hand(started, postgres, rows, "with fsync", 0.8)
        with processes() as started:
            yield from sqlite(started, rows)


def beside_by_hand(
    started: Processes, postgres: Postgres, rows: int, how: str, target: float
) -> Iterator[Figure]:
    """One file by hand, into memory, and into a table: new, unchanged, and with bad rows."""
    file = people(rows)
    hand = by_hand(postgres, file, rows)
    server = started.server()
    memory = rate(server.instance("memory", {"keep": "false"}), "records", file, rows)
    lane = server.instance("postgresql", postgres.configuration(postgres.new_database(TABLE)))
    new = rate(lane, "people", file, rows)
    again = rate(lane, "people", file, rows)
    bad_lane = server.instance("postgresql", postgres.configuration(postgres.new_database(TABLE)))
    bad = rate(bad_lane, "people", people(rows, 1_000), rows, failed=rows // 1_000)
    yield Figure(f"{rows:,} rows, staging by hand, {how}", f"{hand:,.0f} rows/s")
    yield Figure(f"{rows:,} rows into memory", f"{memory:,.0f} rows/s")
    yield Figure(
        f"{rows:,} new rows into PostgreSQL, {how}",
        f"{new:,.0f} rows/s: {new / hand:.3f}x by hand, {new / memory:.2f}x memory",
        f"{target:g}x by hand, 0.7x memory",
    )
    yield Figure(
        f"{rows:,} unchanged rows into PostgreSQL, {how}",
        f"{again:,.0f} rows/s: {again / new:.2f}x new ones",
        "no slower",
    )
    yield Figure(
        f"{rows:,} rows into PostgreSQL, one bad in 1,000, {how}",
        f"{bad:,.0f} rows/s: {new / bad - 1:+.0%} time",
        "at most +30 %",
    )


def by_hand(postgres: Postgres, file: bytes, rows: int) -> float:
    """Rows per second by `COPY` and one `INSERT ... ON CONFLICT`."""
    names = ", ".join(COLUMNS)
    changes = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
    with postgres.connect(postgres.new_database(TABLE)) as connection, connection.transaction():
        began = time.monotonic()
        connection.execute("CREATE TEMP TABLE staging (LIKE people) ON COMMIT DROP")
        copy = f"COPY staging ({names}) FROM STDIN WITH (FORMAT csv, HEADER)"
        with connection.cursor().copy(copy.encode()) as staging:
            staging.write(file)
        put = connection.execute(
            f"INSERT INTO people ({names}) SELECT {names} FROM staging "
            f"ON CONFLICT (email) DO UPDATE SET {changes}".encode()
        )
        assert put.rowcount == rows
    return rows / (time.monotonic() - began)


def sqlite(started: Processes, rows: int) -> Iterator[Figure]:
    """One file into a file of SQLite, by openbulk and by sqlite-utils."""
    file = people(rows)
    database = started.folder / "people.db"
    make_database(database)
    server = started.server(OPENBULK_SQLITE_FOLDER=str(started.folder))
    ours = rate(server.instance("sqlite", {"db.file": database.name}), "people", file, rows)
    theirs = by_sqlite_utils(started.folder, file, rows)
    more = f": {ours / theirs:.2f}x sqlite-utils ({theirs:,.0f} rows/s)" if theirs else ""
    yield Figure(f"{rows:,} new rows into SQLite", f"{ours:,.0f} rows/s{more}", "2x sqlite-utils")


def make_database(file: Path) -> None:
    """A file of SQLite with the table."""
    connection = sqlite3.connect(file)
    connection.execute(TABLE)
    connection.close()


def by_sqlite_utils(folder: Path, file: bytes, rows: int) -> float | None:
    """Rows per second by `sqlite-utils insert --pk`; None where it is not installed."""
    program = shutil.which("sqlite-utils")
    if program is None:
        return None
    source, database = folder / "people.csv", folder / "theirs.db"
    source.write_bytes(file)
    began = time.monotonic()
    command = [program, "insert", str(database), "people", str(source), "--csv", "--pk", "email"]
    subprocess.run(command, check=True, capture_output=True)
    taken = time.monotonic() - began
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT count(*) FROM people").fetchone() == (rows,)
    connection.close()
    return rows / taken


def rate(lane: Server, name: str, file: bytes, rows: int, failed: int = 0) -> float:
    """Rows per second of an upsert, until its job is finished."""
    began = time.monotonic()
    more = {} if name == "records" else UPSERT
    status = lane.done(name, file, more, within=900)
    taken = time.monotonic() - began
    assert (status["recordsCount"], status["recordsFailedCount"]) == (rows, failed), status
    return rows / taken
