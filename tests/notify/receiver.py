"""A callback receiver on loopback: remembers every request, and answers as it is told."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """A request as it came over the wire."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers `/`, and remembers whatever it is sent anywhere."""

    status: int = 200
    answer_headers: dict[str, str] = field(default_factory=dict)
    seconds_before_answer: float = 0.0
    never_ends_its_answer: bool = False
    received: list[Received] = field(default_factory=list)
    url: str = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])
        self.url = f"http://127.0.0.1:{self.port}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.received.append(Received(request.path, request.headers, await request.read()))
        await asyncio.sleep(self.seconds_before_answer)
        if self.never_ends_its_answer:
            return await self._babble(request)
        return web.Response(status=self.status, headers=self.answer_headers, text="thank you")

    async def _babble(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=self.status)
        await response.prepare(request)
        while True:
            await response.write(b"and another thing " * 1000)
            await asyncio.sleep(0.01)
