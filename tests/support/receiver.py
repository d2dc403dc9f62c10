"""A server that receives callbacks, for blocking tests and for asynchronous ones."""

import asyncio
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import NamedTuple, Self

from aiohttp import web

START_SECONDS = 300.0


class Received(NamedTuple):
    """A request as it came over the wire."""

    headers: Mapping[str, str]
    """Any case finds them."""
    body: bytes
    path: str


class Receiver:
    """Keeps every request in `received`, and answers each with `status`.

    Use it as a context manager. It runs in a thread of its own, so that a blocking test can wait
    for a callback. Change the attributes below at any time; they hold for the next request.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status = 200
        self.answer_headers: Mapping[str, str] = {}
        self.seconds_before_answer = 0.0
        self.never_ends_its_answer = False
        self.port = 0

    def __enter__(self) -> Self:
        self._loop: asyncio.AbstractEventLoop
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), daemon=True
        )
        self._thread.start()
        self.port = started.result(START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """An address to call; every path below it is received, too."""
        return f"http://127.0.0.1:{self.port}/"

    def wait_for(self, count: int, within: float = 120.0) -> None:
        """Block until so many requests have come."""
        deadline = time.monotonic() + within
        while (received := len(self.received)) < count:
            assert time.monotonic() < deadline, f"{received} of {count} requests in {within} s"
            time.sleep(0.02)

    def status_for(self, received: Received) -> int:
        """The status of the answer; override it where requests differ."""
        return self.status

    async def _serve(self, started: "Future[int]") -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        started.set_result(int(runner.addresses[0][1]))
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received = Received(request.headers, await request.read(), request.path)
        status = self.status_for(received)
        self.received.append(received)
        await asyncio.sleep(self.seconds_before_answer)
        if self.never_ends_its_answer:
            return await _babble(request, status)
        return web.Response(status=status, headers=self.answer_headers, text="thank you")


async def _babble(request: web.Request, status: int) -> web.StreamResponse:
    response = web.StreamResponse(status=status)
    await response.prepare(request)
    while True:
        await response.write(b"and another thing " * 1000)
        await asyncio.sleep(0.01)
