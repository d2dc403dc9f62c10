"""Bytes that are almost HTTP: the server answers each below 500 or closes, and goes on."""

import os
import socket
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from support.harness import BASE_PATH, Processes, Server, request

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
READ_SECONDS = 0.2
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

junk = some.binary(max_size=30)
methods = some.sampled_from([b"GET", b"POST", b"PUT", b"CONNECT", b"OPTIONS", b"PRI", b"gEt"])
targets = some.sampled_from(
    [
        b"/healthz",
        b"*",
        b"//",
        b"http://x/healthz",
        b"x:80",
        b"/%00%ff%2e%2e",
        b"/?a=%ff&a=%00",
        f"{BASE_PATH}/bulk/records".encode(),
        f"{BASE_PATH}/instances".encode(),
        f"{BASE_PATH}/objects?pageSize=-1".encode(),
        b"/" + b"a" * 20_000,
    ]
)
versions = some.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.9", b""])
fields = some.sampled_from(
    [
        b"Host: x",
        b"Host: x\r\nHost: y",
        b"Content-Length: 5",
        b"Content-Length: 0005",
        b"Content-Length: -1",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: " + b"9" * 5_000,
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: gzip",
        b"Expect: 100-continue",
        b"Expect: \xff",
        b"Connection: upgrade\r\nUpgrade: websocket",
        b"Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AA",
        b"Content-Type: multipart/form-data; boundary=b",
        b"Content-Type: multipart/form-data; boundary=" + b"b" * 5_000,
        b"Content-Type: application/json",
        b"Authorization: User a, Organization b",
        b"Authorization: \xff\xfe",
        b"X: " + b"a" * 20_000,
        b"X: a\r\n folded",
        b"X : a",
        b": a",
    ]
)
chunks = some.sampled_from(
    [b"5\r\nhello\r\n", b"0\r\n\r\n", b"zz\r\n", b"ffffffffffffffff\r\n", b"5;a=b\r\nhello\r\n"]
)
bodies = some.lists(chunks | junk | some.just(b"--b\r\n\r\n--b--\r\n"), max_size=4).map(b"".join)


@some.composite
def requests(draw: some.DrawFn) -> bytes:
    lines = [b" ".join((draw(methods), draw(targets), draw(versions)))]
    lines += draw(some.lists(fields, max_size=5))
    whole = b"\r\n".join([*lines, b"", b""]) + draw(bodies)
    if draw(some.booleans()):
        place = draw(some.integers(0, len(whole)))
        whole = whole[:place] + draw(junk) + whole[place:]
    return whole


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("raw-http")) as processes:
        started = processes.server()
        yield started
        assert started.process.peak_memory_mb() < 500


@fuzz
@given(parts=some.lists(requests() | junk, min_size=1, max_size=3))
def test_bytes_that_are_almost_http_harm_nobody(server: Server, parts: list[bytes]) -> None:
    address = urllib.parse.urlsplit(server.process.url)
    answer = b""
    with socket.create_connection((address.hostname, address.port), 60) as connection:
        with suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        connection.settimeout(READ_SECONDS)
        with suppress(ConnectionError, TimeoutError):
            while block := connection.recv(65536):
                answer += block
    statuses = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert not [line for line in statuses if line.startswith(b"HTTP/1.1 5")], answer
    assert request("GET", f"{server.process.url}/healthz", timeout=60).status == 200
    log = server.process.log()
    assert "Traceback" not in log
    assert "request failed" not in log
