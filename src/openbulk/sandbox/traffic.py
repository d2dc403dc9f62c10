"""The traffic of a sandbox: each call is delayed, counted, limited, and may meet a fault."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import InitVar, dataclass
from time import monotonic
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware

from openbulk.sandbox.faults import Faults

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SLOW_SECONDS = 3.0
WINDOW_SECONDS = 60.0


class _SlidingWindow:
    """The calls of the last minute."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def add(self, now: float) -> None:
        self._times.append(now)

    def count(self, now: float) -> int:
        while self._times and self._times[0] <= now - WINDOW_SECONDS:
            self._times.popleft()
        return len(self._times)


def _no_project(_request: web.Request) -> str:
    return ""


@dataclass
class Traffic:
    """The calls of a sandbox. `middleware` handles the requests for which `is_call` is true."""

    is_call: Callable[[web.Request], bool]
    caller_of: Callable[[web.Request], str]
    """The caller of a call: the call counts on this caller's quota."""
    over_quota: Callable[[], web.Response]
    refusals: Mapping[str, Callable[[], web.Response]]
    """The service's own error answers, by the name of the fault: `error-503`."""
    expire_token: Callable[[web.Request], None]
    latency_ms: int = 0
    quota_per_minute: int | None = None
    project_of: Callable[[web.Request], str] = _no_project
    """The project of a call: the call counts on this project's quota, too."""
    project_quota_per_minute: int | None = None
    faults_spec: InitVar[str] = ""

    def __post_init__(self, faults_spec: str) -> None:
        """Start counting. Raises ValueError if the faults cannot be parsed."""
        self.faults = Faults.parse(faults_spec, self.refusals)
        self.reset()

    def reset(self) -> None:
        """Forget all calls."""
        self.by_status: Counter[int] = Counter()
        self.by_method: Counter[str] = Counter()
        self.refused = 0
        self.max_calls_in_window = 0
        self._all_calls = _SlidingWindow()
        self._windows: defaultdict[str, _SlidingWindow] = defaultdict(_SlidingWindow)

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
        """The middleware that an app puts around its handlers."""

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
        if not self._count_on_quotas(request):
            self.refused += 1
            return self.over_quota()
        match fault := self.faults.draw():
            case "drop-before":
                return _abort_connection(request)
            case "drop-after":
                await handler(request)
                return _abort_connection(request)
            case "slow":
                await asyncio.sleep(SLOW_SECONDS)
            case "expire-token":
                self.expire_token(request)
            case str():
                return self.refusals[fault]()
        return await handler(request)

    def _count_on_quotas(self, request: web.Request) -> bool:
        """Count a call on the quotas of its caller and its project, unless one is used up."""
        now = monotonic()
        self._all_calls.add(now)
        self.max_calls_in_window = max(self.max_calls_in_window, self._all_calls.count(now))
        limits = (
            (self.caller_of, self.quota_per_minute),
            (self.project_of, self.project_quota_per_minute),
        )
        windows = [
            (self._windows[key_of(request)], quota) for key_of, quota in limits if quota is not None
        ]
        if any(window.count(now) >= quota for window, quota in windows):
            return False
        # Only now, because a call that one quota refuses counts on no quota.
        for window, _ in windows:
            window.add(now)
        return True

    async def change_faults(self, request: web.Request) -> web.Response:
        """`POST /sandbox/faults {"spec": "..."}`: replace the faults from now on."""
        try:
            spec = str(orjson.loads(await request.read())["spec"])
            self.faults = Faults.parse(spec, self.refusals)
        except (ValueError, KeyError, TypeError) as error:
            return json_response({"error": str(error)}, 400)
        return json_response({"shares": self.faults.shares})


def _abort_connection(request: web.Request) -> web.Response:
    """Close the connection without an answer. The response is counted, and never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


def json_response(value: Any, status: int = 200) -> web.Response:
    """A response in JSON."""
    return web.Response(
        body=orjson.dumps(value),
        status=status,
        content_type="application/json",
        charset="utf-8",
    )
