"""A server stops: its last answers, the end of running work, and its log."""

import json
import os
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

from support.harness import BASE_PATH, SLOWER, Process, Processes, Server, multipart, request
from support.postgres import Cluster

STOPPED_WITHIN = 5.0
TEN_SECONDS = """
try:
    from openbulk.cli import server
    server.LISTENING_SECONDS = 10.0
except ImportError:
    pass
"""


@contextmanager
def under_way(
    server: Server, method: str, path: str, body: bytes, headers: dict[str, str]
) -> Iterator[HTTPConnection]:
    """A request that is not read or written to its end."""
    connection = HTTPConnection(server.process.url.removeprefix("http://"), timeout=120)
    connection.putrequest(method, BASE_PATH + path)
    for name, value in {"Authorization": server.authorization, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    with closing(connection):
        yield connection


def send_sigterm(process: Process) -> None:
    process.popen.send_signal(signal.SIGTERM)


def exit_code_of(process: Process) -> int:
    """Its exit code, which comes within the promised time."""
    return process.popen.wait(STOPPED_WITHIN * SLOWER)


def lines(process: Process, event: str) -> list[dict[str, Any]]:
    """The lines about an event in a log of JSON."""
    logged = [json.loads(line) for line in process.log().splitlines() if line.startswith("{")]
    return [line for line in logged if line["event"] == event]


def test_an_upload_that_a_stop_breaks_off_gets_503_and_leaves_nothing(
    processes: Processes, tmp_path: Path
) -> None:
    """Within the time of a stop, and without an error in the log."""
    server = processes.server(data_dir=tmp_path / "data").instance("memory")
    begun, content_type = multipart(b"name\n" + b"Ann\n" * 600_000, {})
    headers = {"Content-Type": content_type, "Content-Length": str(len(begun) + 1)}
    with under_way(server, "POST", "/bulk/records", begun[:-1], headers) as upload:
        files = tmp_path / "data" / "files"
        while not list(files.glob("*/blocks/*")):
            time.sleep(0.02)
        send_sigterm(server.process)
        reply: HTTPResponse = upload.getresponse()
        body = json.loads(reply.read())
    assert exit_code_of(server.process) == 0
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
    assert body == {
        "message": (
            "openbulk is stopping; send the request again shortly, to this server or another"
        ),
        "requestId": reply.headers["Elements-Request-Id"],
    }
    assert not list(files.glob("*/blocks/*"))
    log = server.process.log()
    assert "request interrupted" in log
    assert "Traceback" not in log
    assert "[error" not in log


def test_an_answer_that_a_stop_breaks_off_ends_with_its_connection(
    processes: Processes, tmp_path: Path
) -> None:
    """Without an error in the log. Here the caller does not read at all."""
    server = processes.server(data_dir=tmp_path / "data").instance("memory")
    server.done("records", b"name\n" + (b"x" * 50_000 + b"\n") * 600)
    job_id = server.call("POST", "/bulk/query?q=select+*+from+records").json["id"]
    assert server.finished(job_id)["recordsCount"] == 600
    with under_way(
        server, "GET", f"/bulk/{job_id}/records", b"", {"Accept": "text/csv"}
    ) as download:
        reply = download.getresponse()
        assert reply.status == 200
        send_sigterm(server.process)
        assert exit_code_of(server.process) == 0
    assert "Traceback" not in server.process.log()


def test_a_stopping_server_is_not_ready_before_it_closes_its_port(
    processes: Processes, tmp_path: Path
) -> None:
    """It still answers until then. A job that it takes is done after the next start.

    Here it has ten seconds until then, so that a busy machine can ask it.
    """
    data, first = tmp_path / "data", tmp_path / "first"
    first.mkdir()
    (first / "sitecustomize.py").write_text(TEN_SECONDS)
    path = os.pathsep.join(filter(None, [str(first), os.environ.get("PYTHONPATH")]))
    server = processes.server(data_dir=data, PYTHONPATH=path).instance("memory")
    send_sigterm(server.process)
    while (ready := request("GET", f"{server.process.url}/readyz")).status == 200:
        time.sleep(0.01)
    assert (ready.status, ready.json["broken"]) == (503, {"engine": "does not poll for work"})
    taken = server.upload("records", b"name\nAnn\n")
    assert taken.status == 200
    assert exit_code_of(server.process) == 0
    server = Server(processes.server(data_dir=data).process, server.element_token)
    assert server.finished(taken.json["id"])["recordsCount"] == 1


def test_a_request_that_fails_is_logged_once_under_its_id(
    processes: Processes, tmp_path: Path
) -> None:
    """Here a table is missing. The answer holds no more than the id."""
    server = processes.server(data_dir=tmp_path / "data", OPENBULK_LOG_FORMAT="json").instance(
        "memory"
    )
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as ledger:
        ledger.execute("ALTER TABLE bookmarks RENAME TO elsewhere")
        ledger.execute("ALTER TABLE jobs RENAME TO away")
    reply = server.call("GET", "/bulk/jobs", headers={"Origin": "https://example.com"})
    assert reply.status == 500
    assert reply.json == {
        "message": "openbulk failed to handle this request; "
        "its log has the details under this request id",
        "requestId": reply.headers["elements-request-id"],
    }
    assert reply.headers["access-control-allow-origin"] == "*", "a page can read it, too"
    (line,) = lines(server.process, "request failed")
    assert (line["request"], line["path"]) == (reply.json["requestId"], f"{BASE_PATH}/bulk/jobs")
    assert line["exception"].startswith("Traceback")
    assert server.process.log().count(f'"request": "{reply.json["requestId"]}"') == 1
    assert "Exception in ASGI application" not in server.process.log()


@pytest.mark.parametrize("who", ["serve", "worker"])
def test_the_log_has_the_start_the_signal_and_the_end_of_a_process(
    processes: Processes, database: str, who: str
) -> None:
    process = (
        processes.server(OPENBULK_DATABASE_URL=database, OPENBULK_LOG_FORMAT="json").process
        if who == "serve"
        else processes.worker(OPENBULK_DATABASE_URL=database, OPENBULK_LOG_FORMAT="json")
    )
    send_sigterm(process)
    assert exit_code_of(process) == 0
    (started,), (stopping,), (ended,) = (
        lines(process, event) for event in ("started", "stopping", "stopped")
    )
    assert {name: started[name] for name in ("level", "version", "role", "database")} == {
        "level": "info",
        "version": version("openbulk"),
        "role": {"serve": "server", "worker": "worker"}[who],
        "database": "postgresql",
    }
    assert str(process.popen.pid) in started["name"]
    assert stopping["signal"] == "SIGTERM"
    assert 0 <= ended["seconds"] < STOPPED_WITHIN * SLOWER


def test_an_outage_of_the_database_is_logged_once_and_its_end_once(
    processes: Processes, cluster: Cluster
) -> None:
    """With the words of PostgreSQL, by a process that writes much."""
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
    assert server.finished(uploaded.json["id"], within=120)["recordsCount"] == 1_000
    (away,) = lines(server.process, "database is unavailable")
    (back,) = lines(server.process, "database is back")
    assert away.keys() == {"event", "level", "timestamp", "reason", "seconds"}
    assert "\n" not in away["reason"]
    assert any(words in away["reason"] for words in ("connection", "database system"))
    assert back["seconds"] > 2
