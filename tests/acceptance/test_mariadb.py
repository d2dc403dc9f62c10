"""Tables of MariaDB are loaded and queried like any service, and a kill doubles no row."""

from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from support.harness import Processes, Server, until
from support.mariadb import Mariadb


@pytest.mark.long
def test_a_killed_server_leaves_each_row_once(
    processes: Processes, mariadb: Mariadb, tmp_path: Path
) -> None:
    """In a table without a key, where only openbulk's own notes say what was written."""
    database = mariadb.new_database(
        "CREATE TABLE log (line varchar(20) NOT NULL CHECK (line <> 'bad'), at timestamp NULL)"
    )
    data = tmp_path / "data"
    server = processes.server(data_dir=data).instance("mariadb", mariadb.configuration(database))
    rows = [f"line {n}" if n % 1_000 else "bad" for n in range(10_000)]
    job_id = server.upload("log", b"line\n" + "\n".join(rows).encode()).json["id"]
    until(partial(_count, mariadb, database), 120, "rows")
    server.process.kill()
    server = Server(processes.server(data_dir=data).process, server.element_token)
    status = server.finished(job_id)
    assert (status["recordsCount"], status["recordsFailedCount"]) == (10_000, 10)
    ((count, different),) = mariadb.execute(
        database, "SELECT count(*), count(DISTINCT line) FROM log"
    )
    assert (count, different) == (9_990, 9_990)


def _count(mariadb: Mariadb, database: str) -> int:
    return int(mariadb.execute(database, "SELECT count(*) FROM log")[0][0])


def test_a_table_is_queried_like_any_service(shared_server: Server, mariadb: Mariadb) -> None:
    """The database filters and sorts, so that openbulk reads nothing else."""
    database = mariadb.new_database(
        "CREATE TABLE people (id int AUTO_INCREMENT PRIMARY KEY, name varchar(20), age int, "
        "paid decimal(9,2))"
    )
    server = shared_server.instance("mysql", mariadb.configuration(database))
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
    (last,) = server.call("GET", "/people?where=paid=2999.5").json
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
