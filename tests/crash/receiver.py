"""Somebody who is told of finished jobs: keeps what arrives, and refuses the first attempts where it is asked to."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from aiohttp import web

KEY = "a key that callbacks are signed with"


@dataclass(frozen=True, slots=True)
class Told:
    """A callback as it came over the wire."""

    work: str
    headers: Mapping[str, str]
    """Their names in lower case."""
    body: bytes
    status: int
    """What it was answered with."""


class Receiver:
    """Answers `POST /{work}/{refusals}`."""

    def __init__(self, give_sign: Callable[[str], None]) -> None:
        self.told: list[Told] = []
        self._give_sign = give_sign
        self._refused: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{work}/{refusals}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def address(self, work: str, refusals: int) -> str:
        """Where to call about a work."""
        return f"http://127.0.0.1:{self._port}/{work}/{refusals}"

    async def _answer(self, request: web.Request) -> web.Response:
        work, refusals = request.match_info["work"], int(request.match_info["refusals"])
        body = await request.read()
        is_refused = self._refused[work] < refusals
        self._refused[work] += is_refused
        status = 500 if is_refused else 200
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.told.append(Told(work, headers, body, status))
        self._give_sign(f"told {work}")
        return web.Response(status=status)
