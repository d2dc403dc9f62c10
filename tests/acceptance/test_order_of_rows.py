"""Of the rows of one key, the last one in the file counts, however far apart and however written.

A new row of a key that another row has is refused, and that is the later one.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from support.harness import Processes, Server
from support.postgres import Postgres

PAIRS = 10
OTHERS = 1_000
"""A batch of rows between the two of each pair."""


@dataclass(frozen=True)
class Keys:
    """A table, and how the rows of its keys are written."""

    columns: str
    first: Callable[[int], str]
    second: Callable[[int], str]
    other: Callable[[int], str]
    names: str = "k"
    identifier: str | None = None

    @property
    def file(self) -> bytes:
        """A slow row, the first row of each pair, a batch of others, the second row of each."""
        lines = [f"{self.names},note", f"{self.other(0)},slow"]
        lines += [f"{self.first(n)},first" for n in range(PAIRS)]
        lines += [f"{self.other(n)},other" for n in range(1, OTHERS)]
        lines += [f"{self.second(n)},second" for n in range(PAIRS)]
        return "\n".join(lines).encode()

    @property
    def metadata(self) -> dict[str, str]:
        return {"identifierFieldName": self.identifier} if self.identifier else {}


WRITTEN = [("other", OTHERS - 1), ("second", PAIRS), ("slow", 1)]
"""The notes in a table after its file."""
SECOND_ROWS = list(range(OTHERS + PAIRS + 1, OTHERS + 2 * PAIRS + 1))
PAIR = Keys("k int, m text, PRIMARY KEY (k, m)", "{},a".format, "0{},a".format, "{},b".format)
PAIR = Keys(PAIR.columns, PAIR.first, PAIR.second, PAIR.other, names="k,m")
FOLDED = Keys("k citext PRIMARY KEY", "ann{}".format, "ANN{}".format, "bob{}".format)
POSTGRESQL: Mapping[str, Keys] = {
    "pair": PAIR,
    "folded": FOLDED,
    "numbers": Keys("k numeric PRIMARY KEY", "{}".format, "{}.0".format, "9{:04}".format),
    "moments": Keys(
        "k timestamptz PRIMARY KEY",
        "2026-05-30T10:0{}Z".format,
        "2026-05-30 10:0{}:00".format,
        lambda n: f"{2000 + n}-01-01T00:00Z",
    ),
    "addresses": Keys(
        "k inet PRIMARY KEY",
        "10.0.0.{}".format,
        "10.0.0.{}/32".format,
        lambda n: f"10.1.{n // 250}.{n % 250}",
    ),
    "collated": Keys(
        "k text COLLATE folded, id int UNIQUE",
        "ann{}".format,
        "ANN{}".format,
        "bob{}".format,
        identifier="k",
    ),
}
SQLITE: Mapping[str, Keys] = {
    "pair": PAIR,
    "folded": Keys("k text COLLATE NOCASE PRIMARY KEY", FOLDED.first, FOLDED.second, FOLDED.other),
    "numbers": POSTGRESQL["numbers"],
}
UNIQUE = Keys(
    "id int PRIMARY KEY, mail {} UNIQUE",
    lambda n: f"{n},ann{n}",
    lambda n: f"{n + 100},ANN{n}",
    lambda n: f"{n + 1000},bob{n}",
    names="id,mail",
)
# A batch with a slow row ends after the others that began with it.
SLOW = (
    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF coalesce(NEW.note, OLD.note) = 'slow' THEN PERFORM pg_sleep(0.2); END IF;"
    " RETURN coalesce(NEW, OLD); END $$"
)


@dataclass
class Database:
    """An instance, and a connection of the database's owner."""

    server: Server
    keys: Mapping[str, Keys]
    run: Callable[[str], list[Any]]

    def upload(self, table: str, keys: Keys, action: str) -> tuple[Any, list[int]]:
        """Upload the file of a table; return what became of it, and the rows that were refused."""
        metadata = {"action": action, **keys.metadata}
        status = self.server.done(table, keys.file, metadata)
        errors = sorted(one["rowNum"] for one in self.server.errors(status["id"]))
        outcomes = self.server.call("GET", f"/bulk/{status['id']}").json["outcomes"]
        return {kind: count for kind, count in outcomes.items() if count}, errors

    def notes(self, table: str) -> list[Any]:
        """How many rows have each note."""
        return self.run(f"SELECT note, count(*) FROM {table} GROUP BY note ORDER BY note")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("order")
    with Processes(folder) as processes:
        yield processes.server(OPENBULK_SQLITE_FOLDER=str(folder))


@pytest.fixture(params=["postgresql", "sqlite"])
def database(request: pytest.FixtureRequest, server: Server, postgres: Postgres) -> Database:
    if request.param == "sqlite":
        return _sqlite(server)
    tables = {**POSTGRESQL, "mails": UNIQUE}
    name = postgres.new_database(
        "CREATE EXTENSION citext",
        "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2',"
        " deterministic = false)",
        SLOW,
        *(
            f"CREATE TABLE {table} (note text, {keys.columns.format('citext')})"
            for table, keys in tables.items()
        ),
        *(
            f"CREATE TRIGGER slow BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW"
            " EXECUTE FUNCTION slow()"
            for table in tables
        ),
    )

    def run(sql: str) -> list[Any]:
        with postgres.connect(name) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    return Database(server.instance("postgresql", postgres.configuration(name)), POSTGRESQL, run)


def _sqlite(server: Server) -> Database:
    file = server.process.output.parent / "order.db"
    file.unlink(missing_ok=True)

    def run(sql: str) -> list[Any]:
        with closing(sqlite3.connect(file, timeout=30)) as connection, connection:
            return connection.execute(sql).fetchall()

    for table, keys in {**SQLITE, "mails": UNIQUE}.items():
        run(f"CREATE TABLE {table} (note text, {keys.columns.format('text COLLATE NOCASE')})")
    return Database(server.instance("sqlite", {"db.file": file.name}), SQLITE, run)


def test_the_last_row_of_a_key_counts(database: Database) -> None:
    for table, keys in database.keys.items():
        outcomes, errors = database.upload(table, keys, "upsert")
        assert (database.notes(table), errors) == (WRITTEN, []), table
        assert outcomes == {"created": OTHERS + PAIRS, "updated": PAIRS}, table


def test_the_last_row_of_a_key_counts_among_rows_that_are_there(database: Database) -> None:
    for table in ("pair", "folded"):
        keys = database.keys[table]
        database.upload(table, keys, "upsert")
        _, errors = database.upload(table, keys, "update")
        assert (database.notes(table), errors) == (WRITTEN, []), table
        outcomes, errors = database.upload(table, keys, "delete")
        assert (database.notes(table), errors) == ([], []), table
        assert outcomes == {"deleted": OTHERS + PAIRS, "notFound": PAIRS}, table


@pytest.mark.parametrize("action", ["create", "upsert"])
def test_the_first_row_gets_a_unique_value(database: Database, action: str) -> None:
    _, errors = database.upload("mails", UNIQUE, action)
    assert errors == SECOND_ROWS
    assert database.notes("mails") == [("first", PAIRS), ("other", OTHERS - 1), ("slow", 1)]
