"""A retry with its Idempotency-Key creates no second job, even if the first answer was lost."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from support.harness import Processes, Reply, Server, request, until

KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
AT_ONCE = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("repeats")) as processes:
        yield processes.server().instance("memory")


@pytest.fixture
def memory(server: Server) -> Server:
    """An instance of its own for each test: keys are an instance's."""
    return server.instance("memory")


def is_replayed(reply: Reply) -> bool:
    return reply.headers.get("idempotent-replayed") == "true"


def files_of(server: Server) -> set[str]:
    folder = server.process.output.parent / "data" / "files"
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_the_same_key_and_content_are_the_same_job(memory: Server) -> None:
    """The answer is equal, the second file is deleted, and the order in metaData is ignored."""
    first = memory.upload(
        "records", b"name\nAnn\n", {"action": "create", "source": "x"}, headers=KEY
    )
    kept = files_of(memory)
    again = memory.upload(
        "records",
        b"name\nAnn\n",
        {"source": "x", "action": "create"},
        headers=KEY,
        metadata_first=True,
    )
    assert (first.status, is_replayed(first)) == (200, False)
    assert (again.status, is_replayed(again), again.json) == (200, True, first.json)
    assert files_of(memory) == kept
    memory.finished(first.json["id"])
    late = memory.upload(
        "records", b"name\nAnn\n", {"action": "create", "source": "x"}, headers=KEY
    )
    assert (late.json, is_replayed(late)) == (first.json, True), "also once the job is finished"
    assert len(memory.call("GET", "/bulk/jobs").json) == 1


def test_the_same_key_with_another_content_is_409(memory: Server) -> None:
    """Any difference counts. Nothing of the request is kept, and the first job stays."""
    callback = {"Elements-Async-Callback-Url": "http://127.0.0.1:9/"}
    first = memory.upload("records", b"name\nAnn\n", {"action": "create"}, headers=KEY)
    kept = files_of(memory)
    for other in (
        memory.upload("records", b"name\nBob\n", {"action": "create"}, headers=KEY),
        memory.upload("log", b"name\nAnn\n", {"action": "create"}, headers=KEY),
        memory.upload("records", b"name\nAnn\n", {"action": "upsert"}, headers=KEY),
        memory.upload(
            "records",
            b"name\nAnn\n",
            {"action": "create"},
            headers=KEY,
            query="?identifierFieldName=name",
        ),
        memory.upload("records", b"name\nAnn\n", {"action": "create"}, headers={**KEY, **callback}),
        memory.call(
            "POST", "/bulk/query", json_body={"query": "select * from records"}, headers=KEY
        ),
    ):
        assert other.status == 409, other.body
        assert (
            f"job {first.json['id']} was created with this Idempotency-Key" in other.json["message"]
        )
        assert "use a new key" in other.json["message"]
    assert files_of(memory) == kept
    assert len(memory.call("GET", "/bulk/jobs").json) == 1


def test_a_retried_download_is_one_job_as_well(memory: Server) -> None:
    """Both kinds of downloads take a key."""
    for number, (path, body, other) in enumerate(
        (
            ("/bulk/query", {"query": "select * from records"}, {"query": "select * from log"}),
            ("/bulk/download", {"objectName": "records"}, {"objectName": "log"}),
        )
    ):
        key = {"Idempotency-Key": f"download {number}"}
        first = memory.call("POST", path, json_body=body, headers=key)
        again = memory.call("POST", path, json_body=body, headers=key)
        memory.finished(first.json["id"])
        assert (again.status, is_replayed(again), again.json) == (200, True, first.json)
        assert memory.call("POST", path, json_body=other, headers=key).status == 409
    assert len(memory.call("GET", "/bulk/jobs").json) == 2


def test_a_key_is_an_instances_own_and_a_refused_request_leaves_it_free(
    memory: Server, server: Server
) -> None:
    """A corrected request can have the key of the refused one. A key can be too long."""
    assert memory.upload("records", b"", headers=KEY).status == 400
    mine, other = (one.upload("records", b"name\nAnn\n", headers=KEY) for one in (memory, server))
    assert (is_replayed(mine), is_replayed(other)) == (False, False)
    assert mine.json["id"] != other.json["id"]
    long = memory.upload("records", b"name\nAnn\n", headers={"Idempotency-Key": "x" * 256})
    assert (long.status, long.json["message"][:34]) == (400, "Idempotency-Key has 256 characters")


def test_an_empty_key_is_refused(memory: Server) -> None:
    """A caller with an empty key would rely on it in vain. Nothing of the request is kept."""
    kept = files_of(memory)
    for key in ("", "  "):
        header = {"Idempotency-Key": key}
        for refused in (
            memory.upload("records", b"name\nAnn\n", headers=header),
            memory.call(
                "POST", "/bulk/query", json_body={"query": "select * from records"}, headers=header
            ),
            memory.call(
                "POST", "/bulk/download", json_body={"objectName": "records"}, headers=header
            ),
        ):
            assert (refused.status, refused.json["message"][:24]) == (
                400,
                "Idempotency-Key is empty",
            ), refused.body
    assert files_of(memory) == kept
    assert memory.call("GET", "/bulk/jobs").json == []


def test_of_many_at_the_same_time_one_makes_the_job(memory: Server) -> None:
    """The others get that job, or 409 if their content differs. Their files are gone."""
    kept = files_of(memory)
    file = b"name\n" + (b"Ann" * 4_000 + b"\n") * 100
    with ThreadPoolExecutor(AT_ONCE) as threads:
        replies = list(
            threads.map(lambda _: memory.upload("records", file, headers=KEY), range(AT_ONCE))
        )
    assert {reply.status for reply in replies} == {200}
    assert len({reply.json["id"] for reply in replies}) == 1
    assert Counter(map(is_replayed, replies)) == {False: 1, True: AT_ONCE - 1}
    assert len(files_of(memory) - kept) == 1
    with ThreadPoolExecutor(AT_ONCE) as threads:
        other = {"Idempotency-Key": "other"}
        replies = list(
            threads.map(
                lambda n: memory.upload("records", b"name\n%d\n" % n, headers=other), range(AT_ONCE)
            )
        )
    assert Counter(reply.status for reply in replies) == {200: 1, 409: AT_ONCE - 1}
    assert len(files_of(memory) - kept) == 2


def test_a_server_killed_before_it_answers_gives_the_repeat_its_job(
    processes: Processes, tmp_path: Path
) -> None:
    """The ledger has the job: it is done once, and the retry gets its id."""
    sandbox = processes.sandbox("google")
    data = tmp_path / "data"
    server = processes.server(data_dir=data).google(sandbox)
    file = b"summary,start.date\n" + b"".join(b"Lesson %d,2026-09-01\n" % n for n in range(50))
    # The server blocks on the lanes: the job is in the ledger, and the answer is not yet sent.
    with closing(sqlite3.connect(data / "lanes.db", isolation_level=None)) as lanes:
        lanes.execute("begin immediate")
        with ThreadPoolExecutor(1) as threads:
            lost = threads.submit(server.upload, "events", file, headers=KEY)
            until(lambda: jobs_in(data), 120, "the ledger has the job")
            assert not lost.done()
            server.process.kill()
            with suppress(OSError):
                raise AssertionError(f"it was answered: {lost.result()}")
    server = Server(processes.server(data_dir=data).process, server.element_token)
    again = server.upload("events", file, headers=KEY)
    assert (again.status, again.json["id"], is_replayed(again)) == (200, "1", True)
    assert server.finished("1")["recordsCount"] == 50
    assert jobs_in(data) == 1
    events = request("GET", f"{sandbox.url}/sandbox/events").json
    assert Counter(event["summary"] for event in events) == {f"Lesson {n}": 1 for n in range(50)}


def jobs_in(data: Path) -> int:
    with closing(sqlite3.connect(f"file:{data / 'ledger.db'}?mode=ro", uri=True)) as ledger:
        return int(ledger.execute("select count(*) from jobs").fetchone()[0])
