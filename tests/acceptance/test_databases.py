"""Tables are uploaded to, queried and changed like any service; a kill doubles no row."""

import os
import sqlite3
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from support.harness import Processes, Server, until
from support.postgres import Postgres


@pytest.mark.long
def test_a_killed_server_leaves_each_row_once(
    processes: Processes, postgres: Postgres, tmp_path: Path
) -> None:
    """In a table without a key, where only openbulk's own notes say what was written."""
    database = postgres.new_database(
        "CREATE TABLE log (line text NOT NULL CHECK (line <> 'bad'), at timestamptz)"
    )
    data = tmp_path / "data"
    server = processes.server(data_dir=data).instance(
        "postgresql", postgres.configuration(database)
    )
    rows = [f"line {n}" if n % 1_000 else "bad" for n in range(20_000)]
    job_id = server.upload("log", b"line\n" + "\n".join(rows).encode()).json["id"]
    for _ in range(2):
        until(partial(_is_written, postgres, database, _count(postgres, database)), 120, "rows")
        server.process.kill()
        server = Server(processes.server(data_dir=data).process, server.element_token)
    status = server.finished(job_id)
    assert (status["recordsCount"], status["recordsFailedCount"]) == (20_000, 20)
    with postgres.connect(database) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT line) FROM log").fetchone()
    assert found == (19_980, 19_980)


def _is_written(postgres: Postgres, database: str, before: int) -> bool:
    """Whether rows were written since, or all of them before."""
    count = _count(postgres, database)
    return count > before or count == 19_980


def _count(postgres: Postgres, database: str) -> int:
    with postgres.connect(database) as connection:
        return int((connection.execute("SELECT count(*) FROM log").fetchone() or [0])[0])


def test_a_table_is_queried_like_any_service(shared_server: Server, postgres: Postgres) -> None:
    """The database filters and sorts, so that openbulk reads nothing else."""
    database = postgres.new_database(
        "CREATE TABLE people (id serial PRIMARY KEY, name text, age int, paid numeric)"
    )
    server = shared_server.instance("postgresql", postgres.configuration(database))
    assert server.call("GET", "/hubs/db/objects").json == ["people"]
    server.done(
        "people",
        b"name,age,paid\n" + b"".join(b"N%d,%d,%d.5\n" % (n, n % 10, n) for n in range(3_000)),
    )
    query = "select name,age from people where age >= 8 order by age desc, name limit 3"
    job_id = server.call("POST", f"/bulk/query?q={quote(query)}").json["id"]
    assert server.finished(job_id)["recordsCount"] == 3
    csv = server.call("GET", f"/bulk/{job_id}/people", headers={"Accept": "text/csv"})
    assert csv.body == b"name,age\nN1009,9\nN1019,9\nN1029,9\n"
    found = server.call("GET", "/people?where=paid=2999.5&orderBy=paid%20desc")
    (last,) = found.json
    assert server.call("PATCH", f"/people/{last['id']}", json_body={"age": 99}).json == {
        **last,
        "age": 99,
    }
    assert server.call("DELETE", f"/people/{last['id']}").status == 200
    assert server.call("GET", f"/people/{last['id']}").status == 404
    refused = server.call("PATCH", f"/people/{last['id'] - 1}", json_body={"age": "old"})
    assert (refused.status, refused.json["message"]) == (
        400,
        "age is 'old', which is not a whole number; write it like 42",
    )
    wrong = server.call("POST", "/bulk/query?q=select%20*%20from%20people%20where%20agee=1")
    assert (wrong.status, "did you mean 'age'" in wrong.json["message"]) == (400, True)


def test_a_sqlite_file_is_used_in_the_folder_that_the_server_names(
    shared_server: Server, sqlite_folder: Path
) -> None:
    """And nowhere else: callers may not read other files of the machine."""
    with sqlite3.connect(sqlite_folder / "club.db") as connection:
        connection.execute("CREATE TABLE members (number integer PRIMARY KEY, name text)")
    server = shared_server.instance("sqlite", {"db.file": "club.db"})
    server.done("members", b"number,name\n1,Ann\n2,Bob\n", {"action": "upsert"})
    server.done("members", b"number,name\n2,Bert\n3,Cara\n", {"action": "upsert"})
    assert [one["name"] for one in server.call("GET", "/members").json] == ["Ann", "Bert", "Cara"]
    ledger = server.process.output.parent / "data" / "ledger.db"
    outside = os.path.relpath(ledger, sqlite_folder)
    assert (sqlite_folder / outside).exists()
    for file in (outside, "club.db\0", "c" * 5_000):
        body = {"element": {"key": "sqlite"}, "configuration": {"db.file": file}}
        reply = server.call("POST", "/instances", json_body=body)
        assert (reply.status, "db.file" in reply.json["message"]) == (400, True), reply.body


def test_a_database_may_not_be_at_a_private_address(
    shared_strict_server: Server, postgres: Postgres
) -> None:
    """Unless the server allows private addresses."""
    server = shared_strict_server
    body = {"element": {"key": "postgresql"}, "configuration": postgres.configuration("postgres")}
    reply = server.call("POST", "/instances", json_body=body)
    assert (reply.status, "a private address" in reply.json["message"]) == (403, True)
    assert "secret of tests" not in reply.body.decode() + server.process.log()


def test_a_schema_that_the_database_lacks_is_refused_with_those_that_it_has(
    shared_server: Server, postgres: Postgres
) -> None:
    database = postgres.new_database("CREATE SCHEMA sales", "CREATE SCHEMA archive")
    server = shared_server
    configuration = postgres.configuration(database, **{"db.schema": "sale"})
    body = {"element": {"key": "postgresql"}, "configuration": configuration}
    reply = server.call("POST", "/instances", json_body=body)
    assert reply.status == 400
    assert "no schema 'sale'; its schemas are sales, " in reply.json["message"]
    assert "archive" in reply.json["message"]
    configuration["db.schema"] = "sales"
    assert server.call("POST", "/instances", json_body=body).status == 200
