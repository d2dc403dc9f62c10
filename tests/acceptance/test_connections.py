"""Callers that only hold connections stop nobody."""

import re
import resource
import socket
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from support.harness import BASE_PATH, Processes, Reply, Server, request, until

HEADS = (
    b"",
    b"GET /healthz HTTP/1.1\r\nX-Slow: ",
    b"POST /elements/api-v2/bulk/events HTTP/1.1\r\n",
)
BODY_HEAD = (
    f"POST {BASE_PATH}/instances HTTP/1.1\r\nHost: x\r\n{{secrets}}"
    "Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
)


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Files enough for the test itself."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[1], 8192), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def held(server: Server, count: int, *beginnings: bytes) -> Iterator[list[socket.socket]]:
    """So many connections, each of which has sent one of the beginnings of a request."""
    address = urllib.parse.urlsplit(server.process.url)
    with ExitStack() as stack:
        sockets = []
        for number in range(count):
            connection = socket.create_connection((address.hostname, address.port), 60)
            stack.enter_context(connection)
            with suppress(OSError):  # the server may have closed it at once
                connection.sendall(beginnings[number % len(beginnings)])
            sockets.append(connection)
        yield sockets


PROMPT_SECONDS = 12.0
"""A held server would answer after the 15 s of a slow head. Other tests run beside this one."""


def healthz_seconds(server: Server) -> float:
    begin = time.monotonic()
    assert request("GET", f"{server.process.url}/healthz", timeout=60).status == 200
    return time.monotonic() - begin


def refusal_of(server: Server) -> Reply | None:
    """The answer to a request that is refused; None if it is not."""
    reply = request("GET", f"{server.process.url}/healthz")
    return reply if reply.status == 503 else None


def first_line(connection: socket.socket) -> bytes:
    connection.settimeout(60)
    return connection.makefile("rb").readline()


def test_two_thousand_slow_connections_hold_nobody(tmp_path: Path) -> None:
    with Processes(tmp_path, max_files=(1024, 1024)) as processes:
        server = processes.server().instance("memory")
        with held(server, 2000, *HEADS):
            assert healthz_seconds(server) < PROMPT_SECONDS
            status = server.done("records", b"name\nAnn\n")
            assert (status["status"], status["recordsCount"]) == ("COMPLETE", 1)
            assert healthz_seconds(server) < PROMPT_SECONDS
        log = server.process.log()
        assert log.count("connections turned away") == 1
        assert "Traceback" not in log
        assert server.process.peak_memory_mb() < 300


def test_the_soft_limit_of_files_is_raised_to_the_hard_one(tmp_path: Path) -> None:
    with Processes(tmp_path, max_files=(256, 2048)) as processes:
        server = processes.server()
        with held(server, 600, *HEADS) as sockets:
            assert healthz_seconds(server) < PROMPT_SECONDS
            sockets[0].setblocking(False)
            with pytest.raises(BlockingIOError):  # the first one is still open
                sockets[0].recv(1)
        assert "connections turned away" not in server.process.log()


def test_a_body_without_a_secret_is_answered_before_it_is_read(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        server = processes.server()
        head = BODY_HEAD.format(secrets="").encode()
        with held(server, 300, head + b" " * 900_000) as sockets:
            for connection in sockets:
                assert first_line(connection) == b"HTTP/1.1 401 Unauthorized\r\n"
            assert server.process.peak_memory_mb() < 250


def test_a_caller_that_closes_reads_why_its_body_was_refused(tmp_path: Path) -> None:
    """It sends all of the body first, as most clients do, long after the answer is there."""
    with Processes(tmp_path) as processes:
        server = processes.server()
        address = urllib.parse.urlsplit(server.process.url)
        size = 4 * 1024 * 1024
        head = BODY_HEAD.replace("1000000", f"{size}").replace("Host: x", "Connection: close")
        with socket.create_connection((address.hostname, address.port), 30) as connection:
            secrets = f"Host: x\r\nAuthorization: {server.authorization}\r\n"
            connection.sendall(head.format(secrets=secrets).encode())
            assert connection.recv(12, socket.MSG_PEEK | socket.MSG_WAITALL) == b"HTTP/1.1 413"
            for _ in range(64):
                connection.sendall(b" " * (size // 64))
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert b"the body is larger than 1048576 bytes" in answer
        assert request("GET", f"{server.process.url}/healthz").status == 200


def small_body_head(secrets: str) -> bytes:
    """The head of a request whose body need not wait for memory. The answer is 100 or an error."""
    head = BODY_HEAD.format(secrets=f"Expect: 100-continue\r\n{secrets}")
    return head.replace("1000000", "8000").encode()


@pytest.fixture
def few_connections(tmp_path: Path) -> Iterator[Server]:
    """A server that takes 64 connections, and has no requests of another test left."""
    with Processes(tmp_path, max_files=(128, 128)) as processes:
        yield processes.server(OPENBULK_PASSWORD="an example password")


def test_when_every_connection_has_a_body_another_one_gets_503(few_connections: Server) -> None:
    server = few_connections
    callers = [server, server.instance("memory")]
    heads = [small_body_head(f"Authorization: {one.authorization}\r\n") for one in callers]
    with held(server, 64, *heads) as sockets:
        for connection in sockets:
            assert first_line(connection) == b"HTTP/1.1 100 Continue\r\n"
        reply = until(lambda: refusal_of(server), 60, "503 for a connection too many")
        assert "as many connections as it can take" in reply.json["message"]
        sockets[0].shutdown(socket.SHUT_RDWR)
        until(lambda: refusal_of(server) is None, 60, "room for another connection")


def test_a_caller_holds_half_of_the_connections(few_connections: Server) -> None:
    """Also if it has no body that waits for anything."""
    server, another = few_connections.instance("memory"), few_connections.instance("memory")
    head = small_body_head(f"Authorization: {server.authorization}\r\n")
    with held(server, 60, head) as sockets:
        lines = [first_line(connection) for connection in sockets]
        assert lines.count(b"HTTP/1.1 100 Continue\r\n") == 32
        assert lines.count(b"HTTP/1.1 503 Service Unavailable\r\n") == 28
        assert healthz_seconds(server) < PROMPT_SECONDS
        assert another.call("GET", "/instances").status == 200
        reply = server.call("GET", "/instances")
        assert reply.status == 503
        assert "openbulk handles 32 requests of yours at the moment" in reply.json["message"]
    until(lambda: server.call("GET", "/instances").status == 200, 60, "the requests are over")


def test_bodies_of_strangers_give_way(few_connections: Server) -> None:
    """Whoever signs in has shown no secret yet."""
    server = few_connections
    head = small_body_head("").replace(b"/instances", b"/authentication")
    with held(server, 64, head) as sockets:
        for connection in sockets:
            assert first_line(connection) == b"HTTP/1.1 100 Continue\r\n"
        # The server looks once a second whom a connection waits for.
        until(lambda: refusal_of(server) is None, 60, "room for another connection")
        assert server.call("GET", "/instances").status == 200


@pytest.mark.parametrize(
    ("head", "status", "says"),
    [
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n" + "A: b\r\n" * 101, 431, "103 headers"),
        (f"GET /healthz HTTP/1.1\r\nHost: x\r\nA: {'a' * 20_000}\r\n", 431, "20021 bytes"),
        (f"GET /{'a' * 20_000} HTTP/1.1\r\nHost: x\r\n", 414, "20001 bytes"),
    ],
)
def test_a_head_that_no_client_sends_is_refused(
    module_server: Server, head: str, status: int, says: str
) -> None:
    address = urllib.parse.urlsplit(module_server.process.url)
    with socket.create_connection((address.hostname, address.port), 60) as connection:
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
        connection.settimeout(60)
        answer = connection.makefile("rb").read().decode()
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert says in answer


@pytest.mark.parametrize(
    ("lengths", "statuses"),
    [
        ("Content-Length: 0\r\nContent-Length: 30", [b"400"]),
        ("Content-Length: 0, 30", [b"400"]),
        ("Content-Length: +0", [b"400"]),
        ("Transfer-Encoding: chunked, identity", [b"400"]),
        # The chunks count (RFC 9112, section 6.3). They end before the second request.
        ("Content-Length: 60\r\nTransfer-Encoding: chunked", [b"405", b"200"]),
    ],
)
def test_a_request_has_one_length(
    module_server: Server, lengths: str, statuses: list[bytes]
) -> None:
    """A proxy and openbulk must not see two requests in different places."""
    address = urllib.parse.urlsplit(module_server.process.url)
    with socket.create_connection((address.hostname, address.port), 60) as connection:
        head = f"POST /healthz HTTP/1.1\r\nHost: x\r\n{lengths}\r\n\r\n0\r\n\r\n"
        second = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        connection.sendall((head + second).encode())
        connection.settimeout(60)
        answer = connection.makefile("rb").read()
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == statuses


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"\x00\xff\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_bytes_that_are_not_http_are_not_logged_one_by_one(
    module_server: Server, sent: bytes
) -> None:
    before = len(module_server.process.log().splitlines())
    with held(module_server, 50, sent) as sockets:
        for connection in sockets:
            first_line(connection)
    log = module_server.process.log()
    assert len(log.splitlines()) - before <= 3
    assert "Traceback" not in log


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("connections")) as processes:
        yield processes.server()
