"""Google's batches against kept-alive connections: 2,000 events into the sandbox in each way.

Decision 13 has its figures (docs/decisions/0013).

.venv/bin/python bench/batches.py
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from support.harness import Processes  # noqa: E402

EVENTS = 2_000
BATCH_SIZE = 50
EVENT = {
    "summary": "Lesson",
    "location": "Room 4",
    "start": {"dateTime": "2026-05-30T10:00:00+02:00", "timeZone": "Europe/Berlin"},
    "end": {"dateTime": "2026-05-30T11:00:00+02:00", "timeZone": "Europe/Berlin"},
}
PATH = "/calendar/v3/calendars/primary/events"
BODY = json.dumps(EVENT)
PARTS = [
    f"--b\r\nContent-Type: application/http\r\nContent-ID: <{number}>\r\n\r\n"
    f"POST {PATH}\r\nContent-Type: application/json\r\n\r\n{BODY}\r\n"
    for number in range(BATCH_SIZE)
]
BATCH = "".join([*PARTS, "--b--\r\n"])


@asynccontextmanager
async def signed_in(url: str, connections: int) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that calls as Ann, over at most so many connections."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/sandbox/tokens", json={"user": "ann@x.y"}) as answer,
    ):
        token = (await answer.json())["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(
        headers=headers, connector=aiohttp.TCPConnector(limit=connections)
    ) as http:
        yield http


async def one_event(http: aiohttp.ClientSession, url: str) -> None:
    """Make one event by one call."""
    headers = {"Content-Type": "application/json"}
    async with http.post(url + PATH, data=BODY, headers=headers) as answer:
        assert answer.status == 200, await answer.text()


async def one_batch(http: aiohttp.ClientSession, url: str) -> None:
    """Make as many events in one request as Google takes."""
    headers = {"Content-Type": "multipart/mixed; boundary=b"}
    async with http.post(f"{url}/batch/calendar/v3", data=BATCH, headers=headers) as answer:
        text = await answer.text()
        assert text.count("HTTP/1.1 200") == BATCH_SIZE, text[:1000]


Send = Callable[[aiohttp.ClientSession, str], Awaitable[None]]
WAYS: tuple[tuple[str, Send, int, int], ...] = (
    ("one connection, one call per event (200 events)", one_event, EVENTS // 10, 1),
    ("32 kept-alive connections, one call per event", one_event, EVENTS, 32),
    ("64 kept-alive connections, one call per event", one_event, EVENTS, 64),
    ("batches of 50, one after another", one_batch, EVENTS // BATCH_SIZE, 1),
    ("batches of 50, two at a time", one_batch, EVENTS // BATCH_SIZE, 2),
    ("batches of 50, eight at a time", one_batch, EVENTS // BATCH_SIZE, 8),
)


async def seconds(url: str, send: Send, requests: int, connections: int) -> float:
    """The seconds that so many requests take over so many connections."""
    async with signed_in(url, connections) as http:
        began = time.monotonic()
        await asyncio.gather(*(send(http, url) for _ in range(requests)))
        return time.monotonic() - began


def main() -> None:
    """Print a line for each way and latency."""
    for latency in (20, 100, 300):
        for name, send, requests, connections in WAYS:
            with (
                tempfile.TemporaryDirectory(prefix="openbulk-bench-") as folder,
                Processes(Path(folder), imports_anew=True) as started,
            ):
                sandbox = started.sandbox("google", "--latency-ms", str(latency))
                taken = asyncio.run(seconds(sandbox.url, send, requests, connections))
            events = requests * (BATCH_SIZE if send is one_batch else 1)
            print(f"{latency} ms, {name}: {events / taken:,.0f} events/s", flush=True)


if __name__ == "__main__":
    main()
