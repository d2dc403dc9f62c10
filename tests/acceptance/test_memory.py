"""However much callers send and fetch at once, the server holds little of it."""

import json
import select
import socket
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from support.harness import BASE_PATH, Processes, Reply, Server, multipart

MB = 1_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("memory")) as processes:
        yield processes.server().instance("memory")


def post(server: Server, body: bytes, timeout: float = 60) -> Reply:
    headers = {"Content-Type": "application/json"}
    return server.call("POST", "/log", body=body, headers=headers, timeout=timeout)


def test_bodies_wait_for_memory_outside_of_the_server(server: Server) -> None:
    """Those that wait are not read, and the next ones get the memory of those that end."""
    head = (
        f"POST {BASE_PATH}/log HTTP/1.1\r\nHost: x\r\nAuthorization: {server.authorization}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    ).encode()
    before = server.process.peak_memory_mb()
    address = urllib.parse.urlsplit(server.process.url)
    with ExitStack() as stack:
        rest = {}
        for _ in range(120):
            connection = socket.create_connection((address.hostname, address.port), 60)
            stack.enter_context(connection)
            connection.setblocking(False)
            rest[connection] = memoryview(head + b" " * 900_000)
        quiet_since = time.monotonic()
        while any(rest.values()) and time.monotonic() - quiet_since < 1.0:
            for connection, left in rest.items():
                with suppress(BlockingIOError):
                    rest[connection] = left[connection.send(left) :]
                    quiet_since = time.monotonic() if left else quiet_since
            time.sleep(0.01)
        assert server.process.peak_memory_mb() - before < 60
        # A small body waits for none of them.
        assert server.call("POST", "/log", json_body={"a": 1}, timeout=60).status == 200
    with ThreadPoolExecutor(20) as threads:
        bodies = [b'{"a": "' + b"x" * MB + b'"}'] * 20
        assert {reply.status for reply in threads.map(lambda body: post(server, body), bodies)} == {
            200
        }


def test_a_caller_takes_a_part_of_the_places_for_large_bodies(server: Server) -> None:
    """A length beside chunks says nothing: each body takes the memory of the largest one."""
    head = (
        f"POST {BASE_PATH}/log HTTP/1.1\r\nHost: x\r\nAuthorization: {server.authorization}\r\n"
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    ).encode()
    address = urllib.parse.urlsplit(server.process.url)
    with ExitStack() as stack:
        waiting = []
        for _ in range(17):
            connection = socket.create_connection((address.hostname, address.port), 60)
            waiting.append(stack.enter_context(connection))
            connection.sendall(head)
        for _ in range(8):
            ready = select.select(waiting, [], [], 60)[0]
            assert ready[0].recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            waiting.remove(ready[0])
        # Another caller has the rest of the places. The slow bodies would keep theirs for 35 s.
        another = Server(server.process).instance("memory")
        assert post(another, b'{"a": "' + b"x" * MB + b'"}', timeout=30).status == 200
        # After three seconds, they lose them to those that wait.
        ready = select.select(waiting, [], [], 25)[0]
        assert ready[0].recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_body_has_so_many_values(server: Server) -> None:
    reply = post(server, b'{"a": [' + b"[]," * 60_000 + b"[]]}")
    assert reply.status == 413
    assert (
        "the body has more than 50,000 values; send less, or upload a file" in reply.json["message"]
    )


def test_the_parts_beside_a_file_are_small(server: Server) -> None:
    fields = {f"part{number}": "x" * 20_000 for number in range(10)}
    body, kind = multipart(b"name\nAnn\n", fields, metadata_first=True)
    reply = server.call("POST", "/bulk/log", body=body, headers={"Content-Type": kind})
    assert reply.status == 413
    assert "and those before it are larger than 131072 bytes" in reply.json["message"]


def test_large_records_come_in_short_pages_and_whole_files(server: Server) -> None:
    """A page ends early; its token leads to the next one, until every record has come once."""
    large = [{"id": f"n{number}", "text": str(number) * MB} for number in range(9)]
    file = b"".join(json.dumps(record).encode() + b"\n" for record in large)
    assert server.done("records", file, {"action": "upsert"})["recordsCount"] == 9
    job = server.call("POST", "/bulk/query?q=select%20*%20from%20records").json["id"]
    assert server.finished(job)["recordsCount"] == 9
    for path in (f"/bulk/{job}/records/data", "/records"):
        found, pages, token = [], 0, ""
        while pages == 0 or token:
            reply = server.call("GET", f"{path}?pageSize=200&nextPage={token}")
            assert reply.status == 200
            assert int(reply.headers["elements-returned-count"]) == len(reply.json)
            found += reply.json
            pages += 1
            token = reply.headers.get("elements-next-page-token", "")
        assert sorted(found, key=lambda record: str(record["id"])) == large
        assert pages > 1 or path == "/records"
    reply = server.call("GET", f"/bulk/{job}/records", headers={"Accept": "application/json"})
    assert reply.json == large
