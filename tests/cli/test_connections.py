"""How long a connection may take. The clock is an argument; the sockets are real."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from openbulk.cli.connections import (
    HEAD_SECONDS,
    REST_SECONDS,
    TAKING_SECONDS,
    WINDOW_BYTES,
    WINDOW_SECONDS,
    BoundedConnection,
    Connections,
    Phase,
    connections_for,
)

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Bound:
    """A server with bounded connections, and its present time."""

    connections: Connections
    port: int = 0
    later: float = 0.0

    async def caller(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def in_phase(self, phase: Phase) -> None:
        """Wait until a connection is in a phase."""
        for _ in range(1_000):
            self.after(0)
            if self.connections.in_phase[phase]:
                return
            await asyncio.sleep(0.005)
        pytest.fail(f"no connection is in {phase}")

    def after(self, seconds: float) -> None:
        """Let time pass."""
        self.later += seconds
        self.connections.end_overdue(time.monotonic() + self.later)


App = Callable[[Scope, Receive, Send], Awaitable[None]]


@asynccontextmanager
async def serving(app: App, limit: int = 10) -> AsyncIterator[Bound]:
    connections = Connections(limit)
    config = uvicorn.Config(app, http=BoundedConnection, ws="none", lifespan="off", log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: BoundedConnection(config=config, server_state=connections, app_state={}),
        "127.0.0.1",
        0,
    )
    yield Bound(connections, server.sockets[0].getsockname()[1])
    server.close()
    connections.end_overdue(time.monotonic() + 10_000)


async def is_ended(reader: asyncio.StreamReader) -> bool:
    with suppress(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 60)
    return True


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    scope["state"]["caller"] = "ann"
    await read_all_of_a_stranger(scope, receive, send)


async def read_all_of_a_stranger(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await answer(scope, receive, send)


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def answer_much(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        if (await asyncio.wait_for(receive_soon(receive), 60)) == "http.disconnect":
            return


async def receive_soon(receive: Receive) -> str:
    task = asyncio.ensure_future(receive())
    await asyncio.wait({task}, timeout=0)
    if task.done():
        return str(task.result()["type"])
    task.cancel()
    return ""


async def test_a_head_has_a_bounded_time_however_steadily_it_comes() -> None:
    async with serving(answer) as bound:
        reader, writer = await bound.caller()
        await bound.in_phase(Phase.HEAD)
        bound.after(HEAD_SECONDS - 1)
        writer.write(b"GET / HT")
        await asyncio.sleep(0.05)
        bound.after(2)
        assert await is_ended(reader)


async def test_a_body_that_stops_ends_its_connection() -> None:
    async with serving(read_all) as bound:
        reader, writer = await bound.caller()
        writer.write(POST + b"a" * (WINDOW_BYTES - 1))
        await bound.in_phase(Phase.BODY)
        bound.after(WINDOW_SECONDS + 1)
        assert await is_ended(reader)


async def test_a_slow_but_steady_body_of_hours_arrives() -> None:
    async with serving(read_all) as bound:
        reader, writer = await bound.caller()
        writer.write(POST)
        await bound.in_phase(Phase.BODY)
        for _ in range(1_000_000 // 20_000):
            writer.write(b"a" * 20_000)
            await asyncio.sleep(0.01)
            bound.after(WINDOW_SECONDS)
        assert bound.later >= 1_000
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_a_caller_that_still_sends_after_its_answer_has_time_to_notice() -> None:
    async with serving(answer) as bound:
        reader, writer = await bound.caller()
        writer.write(POST + b"a" * 1000)
        await bound.in_phase(Phase.REST)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        bound.after(REST_SECONDS + 1)
        assert await is_ended(reader)


async def test_a_caller_that_does_not_take_its_answer_is_let_go() -> None:
    async with serving(answer_much) as bound:
        _, writer = await bound.caller()
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        writer.write(GET)
        await bound.in_phase(Phase.TAKING)
        bound.after(0)
        bound.after(TAKING_SECONDS - 1)
        assert len(bound.connections.in_phase[Phase.TAKING]) == 1
        bound.after(2)
        assert not bound.connections.in_phase[Phase.TAKING]
        writer.close()


async def test_a_request_that_the_server_works_on_has_no_bound() -> None:
    gate = asyncio.Event()

    async def answer_late(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        await answer(scope, receive, send)

    async with serving(answer_late) as bound:
        reader, writer = await bound.caller()
        writer.write(GET)
        await bound.in_phase(Phase.SERVER)
        bound.after(3600)
        gate.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_the_connection_that_waits_longest_makes_room_for_a_new_one() -> None:
    async with serving(answer, limit=3) as bound:
        callers = []
        for _ in range(4):
            callers.append(await bound.caller())
            await asyncio.sleep(0.02)
        assert await is_ended(callers[0][0])
        callers[3][1].write(GET)
        assert (await callers[3][0].readline()).startswith(b"HTTP/1.1 200")
        for _, writer in callers:
            writer.close()


async def test_a_body_makes_room_until_its_caller_is_known() -> None:
    for app, phase, refused in (
        (read_all_of_a_stranger, Phase.OPEN_BODY, b""),
        (read_all, Phase.BODY, b"HTTP/1.1 503 Service Unavailable\r\n"),
    ):
        async with serving(app, limit=1) as bound:
            first, writer = await bound.caller()
            writer.write(POST)
            await bound.in_phase(phase)
            second, another = await bound.caller()
            if refused:
                assert await second.readline() == refused
            else:
                assert await is_ended(first)
            another.close()
            writer.close()


@pytest.mark.parametrize(
    ("files", "connections"), [(128, 64), (1024, 512), (2048, 1536), (65_536, 2048)]
)
def test_connections_leave_files_for_everything_else(files: int, connections: int) -> None:
    assert connections_for(files) == connections
