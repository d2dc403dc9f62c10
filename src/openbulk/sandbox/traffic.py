"""What every sandbox does with its callers' traffic: delay it, count it, bound it, and disturb it when asked."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import InitVar, dataclass
from time import monotonic
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware

from openbulk.sandbox.faults import Faults

Body = Callable[[web.Request], Awaitable[dict[str, Any]]]
"""Reads a request's body as a JSON object."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SLOW_SECONDS = 3.0
WINDOW_SECONDS = 60.0


@dataclass
class Traffic:
    """The state of a sandbox's calls. `middleware` applies it to the requests for which `is_call` is true."""

    is_call: Callable[[web.Request], bool]
    caller_of: Callable[[web.Request], str]
    """Whose quota a call counts on."""
    over_quota: Callable[[], web.Response]
    refusals: Mapping[str, Callable[[], web.Response]]
    """The service's own answers that faults ask for: by `error-503`, what it says then."""
    expire_token: Callable[[web.Request], None]
    latency_ms: int = 0
    quota_per_minute: int | None = None
    project_of: Callable[[web.Request], str] | None = None
    """The project whose quota a call counts on, too, where the service has such."""
    project_quota_per_minute: int | None = None
    faults_spec: InitVar[str] = ""

    def __post_init__(self, faults_spec: str) -> None:
        """Begin to count. Raises ValueError where the faults are not understood."""
        self.faults = Faults.parse(faults_spec, self.refusals)
        self.reset()

    def reset(self) -> None:
        """Forget all calls."""
        self.by_status: Counter[int] = Counter()
        self.by_method: Counter[str] = Counter()
        self.refused = 0
        self.max_calls_in_window = 0
        self._recent: deque[float] = deque()
        self._recent_of: dict[str, deque[float]] = {}

    def stats(self) -> dict[str, Any]:
        """Counts of the calls so far."""
        return {
            "calls": sum(self.by_status.values()),
            "refused": self.refused,
            "by_status": {str(status): count for status, count in sorted(self.by_status.items())},
            "by_method": dict(self.by_method),
            "max_calls_in_any_60s": self.max_calls_in_window,
        }

    def middleware(self) -> Middleware:
        """What an app puts around its handlers."""

        @web.middleware
        async def handle(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not self.is_call(request):
                return await handler(request)
            self.by_method[request.method] += 1
            response = await self._answer(request, handler)
            self.by_status[response.status] += 1
            return response

        return handle

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.latency_ms:
            await asyncio.sleep(self.latency_ms / 1000)
        if not self._within_quota(request):
            self.refused += 1
            return self.over_quota()
        match fault := self.faults.draw():
            case "drop-before":
                return _drop(request)
            case "drop-after":
                await handler(request)
                return _drop(request)
            case "slow":
                await asyncio.sleep(SLOW_SECONDS)
            case "expire-token":
                self.expire_token(request)
            case _ if fault is not None:
                return self.refusals[fault]()
        return await handler(request)

    def _within_quota(self, request: web.Request) -> bool:
        """A sliding window for each caller, and for each project: a refused call counts on neither."""
        now = monotonic()
        _slide(self._recent, now)
        self._recent.append(now)
        self.max_calls_in_window = max(self.max_calls_in_window, len(self._recent))
        windows: list[deque[float]] = []
        for whose, quota in ((self.caller_of, self.quota_per_minute), (self.project_of, self.project_quota_per_minute)):
            if whose is not None and quota is not None:
                window = self._recent_of.setdefault(whose(request), deque())
                _slide(window, now)
                if len(window) >= quota:
                    return False
                windows.append(window)
        for window in windows:
            window.append(now)
        return True

    async def change_faults(self, request: web.Request) -> web.Response:
        """`POST /sandbox/faults {"spec": "..."}`: other faults from now on."""
        try:
            self.faults = Faults.parse(orjson.loads(await request.read())["spec"], self.refusals)
        except (ValueError, KeyError, TypeError) as error:
            return json_response({"error": str(error)}, 400)
        return json_response({"shares": self.faults.shares})


def _slide(window: deque[float], now: float) -> None:
    while window and window[0] <= now - WINDOW_SECONDS:
        window.popleft()


def _drop(request: web.Request) -> web.Response:
    """Close the connection under the caller's feet; what is returned never reaches it."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer in JSON."""
    return web.Response(
        body=orjson.dumps(value), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )
