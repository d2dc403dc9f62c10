"""A server that is told to stop: who is answered and how, what is left of what was under way, and what the log says."""

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from support.harness import BASE_PATH, Process, Processes, Server, multipart, request
from support.postgres import Cluster

STOPPED_WITHIN = 5.0


@contextmanager
def under_way(
    server: Server, method: str, path: str, body: bytes, headers: dict[str, str]
) -> Iterator[HTTPConnection]:
    """A request whose body does not come to its end."""
    connection = HTTPConnection(server.process.url.removeprefix("http://"), timeout=20)
    connection.putrequest(method, BASE_PATH + path)
    for name, value in {"Authorization": server.authorization, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    with closing(connection):
        yield connection


def tell_to_stop(process: Process) -> None:
    process.popen.send_signal(signal.SIGTERM)


def stopped(process: Process) -> int:
    """Its exit code; it may take no longer than is promised."""
    return process.popen.wait(STOPPED_WITHIN)


def lines(process: Process, event: str) -> list[dict[str, Any]]:
    """What a log in JSON says of an event."""
    logged = [json.loads(line) for line in process.log().splitlines() if line.startswith("{")]
    return [line for line in logged if line["event"] == event]


def test_an_upload_that_the_end_of_the_server_breaks_off_is_told_to_come_again(
    processes: Processes, tmp_path: Path
) -> None:
    """With 503, within the time that stopping may take; nothing of it is kept, and no alarm is raised."""
    server = processes.server(data_dir=tmp_path / "data").instance("memory")
    begun, content_type = multipart(b"name\n" + b"Ann\n" * 600_000, {})
    headers = {"Content-Type": content_type, "Content-Length": str(len(begun) + 1)}
    with under_way(server, "POST", "/bulk/records", begun[:-1], headers) as upload:
        files = tmp_path / "data" / "files"
        while not list(files.glob("*/blocks/*")):
            time.sleep(0.02)
        tell_to_stop(server.process)
        reply: HTTPResponse = upload.getresponse()
        said = json.loads(reply.read())
    assert stopped(server.process) == 0
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
    assert said == {
        "message": "openbulk is being stopped; send this again in a moment, to this server or another",
        "requestId": reply.headers["Elements-Request-Id"],
    }
    assert not list(files.glob("*/blocks/*"))
    log = server.process.log()
    assert "request broken off" in log
    assert "Traceback" not in log
    assert "[error" not in log


def test_an_answer_that_the_end_of_the_server_breaks_off_ends_with_its_connection(
    processes: Processes, tmp_path: Path
) -> None:
    """And with no alarm: here a caller reads so slowly that no end is in sight."""
    server = processes.server(data_dir=tmp_path / "data").instance("memory")
    server.done("records", b"name\n" + (b"x" * 50_000 + b"\n") * 600)
    job_id = server.call("POST", "/bulk/query?q=select+*+from+records").json["id"]
    assert server.finished(job_id)["recordsCount"] == 600
    with under_way(
        server, "GET", f"/bulk/{job_id}/records", b"", {"Accept": "text/csv"}
    ) as download:
        reply = download.getresponse()
        assert reply.status == 200
        tell_to_stop(server.process)
        assert stopped(server.process) == 0
    assert "Traceback" not in server.process.log()


def test_a_server_that_is_told_to_stop_sends_callers_elsewhere_before_it_listens_no_more(
    processes: Processes, tmp_path: Path
) -> None:
    """Who comes all the same is answered, and a job that is taken then is done after the next start."""
    data = tmp_path / "data"
    server = processes.server(data_dir=data).instance("memory")
    tell_to_stop(server.process)
    while (ready := request("GET", f"{server.process.url}/readyz")).status == 200:
        time.sleep(0.01)
    assert (ready.status, ready.json["broken"]) == (503, {"engine": "does not poll for work"})
    taken = server.upload("records", b"name\nAnn\n")
    assert taken.status == 200
    assert stopped(server.process) == 0
    server = Server(processes.server(data_dir=data).process, server.element_token)
    assert server.finished(taken.json["id"])["recordsCount"] == 1


def test_a_request_that_fails_is_logged_once_under_its_id(
    processes: Processes, tmp_path: Path
) -> None:
    """A table is missing, say: the answer has no more than the id."""
    server = processes.server(data_dir=tmp_path / "data", OPENBULK_LOG_FORMAT="json").instance(
        "memory"
    )
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as ledger:
        ledger.execute("ALTER TABLE bookmarks RENAME TO elsewhere")
        ledger.execute("ALTER TABLE jobs RENAME TO away")
    reply = server.call("GET", "/bulk/jobs", headers={"Origin": "https://example.com"})
    assert reply.status == 500
    assert reply.json == {
        "message": "openbulk failed on this request; its log has the details under this request id",
        "requestId": reply.headers["elements-request-id"],
    }
    assert reply.headers["access-control-allow-origin"] == "*", "a page can read it, too"
    (line,) = lines(server.process, "request failed")
    assert (line["request"], line["path"]) == (reply.json["requestId"], f"{BASE_PATH}/bulk/jobs")
    assert line["exception"].startswith("Traceback")
    assert server.process.log().count(f'"request": "{reply.json["requestId"]}"') == 1
    assert "Exception in ASGI application" not in server.process.log()


@pytest.mark.parametrize("who", ["serve", "worker"])
def test_the_log_says_when_a_process_has_started_was_told_to_stop_and_has(
    processes: Processes, database: str, who: str
) -> None:
    process = (
        processes.server(OPENBULK_DATABASE_URL=database, OPENBULK_LOG_FORMAT="json").process
        if who == "serve"
        else processes.worker(OPENBULK_DATABASE_URL=database, OPENBULK_LOG_FORMAT="json")
    )
    tell_to_stop(process)
    assert stopped(process) == 0
    (started,), (stopping,), (ended,) = (
        lines(process, event) for event in ("started", "stopping", "stopped")
    )
    told = {name: started[name] for name in ("level", "version", "who", "database")}
    assert told == {
        "level": "info",
        "version": version("openbulk"),
        "who": who,
        "database": "postgresql",
    }
    assert str(process.popen.pid) in started["name"]
    assert stopping["signal"] == "SIGTERM"
    assert 0 <= ended["seconds"] < STOPPED_WITHIN


def test_a_database_that_is_away_is_said_once_and_once_that_it_is_back(
    processes: Processes, cluster: Cluster
) -> None:
    """By a process that has much to write, with what PostgreSQL said."""
    database = cluster.postgres.url(cluster.postgres.new_database())
    sandbox = processes.sandbox("google", "--latency-ms", "600")
    server = processes.server(OPENBULK_DATABASE_URL=database, OPENBULK_LOG_FORMAT="json").google(
        sandbox
    )
    rows = "".join(f"Lesson {n},2026-09-01T09:00:00Z,2026-09-01T10:00:00Z\n" for n in range(1_000))
    uploaded = server.upload("events", f"summary,start.dateTime,end.dateTime\n{rows}".encode())
    while not server.status(uploaded.json["id"])["recordsCount"]:
        time.sleep(0.05)
    cluster.crash()
    time.sleep(3)
    cluster.start()
    assert server.finished(uploaded.json["id"], within=60)["recordsCount"] == 1_000
    (away,) = lines(server.process, "database is away")
    (back,) = lines(server.process, "database is back")
    assert away.keys() == {"event", "level", "timestamp", "reason", "seconds"}
    assert "\n" not in away["reason"]
    assert any(said in away["reason"] for said in ("connection", "database system"))
    assert back["seconds"] > 2
