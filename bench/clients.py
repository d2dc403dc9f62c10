"""Uploads without openbulk: other clients send a file of events to Google Calendar.

python clients.py WAY URL TOKEN FILE [CONCURRENCY]

The program prints the seconds from the first row that it reads to the last answer, without the
start of Python and its imports. bench/peers.py runs it in an environment without openbulk, made
from bench/peers-requirements.txt.
"""

import asyncio
import csv
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from gcsa.event import Event
from gcsa.google_calendar import GoogleCalendar
from google.oauth2.credentials import Credentials
from googleapiclient import discovery, discovery_cache

BATCH_SIZE = 50
"""Calls in one request: the most that Google takes (googleapis/google-api-dotnet-client#1621)."""


@dataclass(frozen=True, slots=True)
class Work:
    """The task of a client."""

    url: str
    token: str
    file: Path
    concurrency: int

    def events(self) -> Iterator[dict[str, Any]]:
        """The rows, as events of the Calendar API."""
        with self.file.open(newline="") as lines:
            for row in csv.DictReader(lines):
                start, end = {"date": row["start.date"]}, {"date": row["end.date"]}
                yield {"summary": row["summary"], "start": start, "end": end}


def service(work: Work) -> Any:
    """google-api-python-client, calling the sandbox.

    A discovery document with another root URL sends its batches there, too.
    """
    document = orjson.loads(discovery_cache.get_static_doc("calendar", "v3"))
    document["rootUrl"] = f"{work.url}/"
    return discovery.build_from_document(document, credentials=credentials(work))


def credentials(work: Work) -> Credentials:
    """The credentials of a person who has signed in."""
    return Credentials(work.token)  # type: ignore[no-untyped-call]


def one_by_one(work: Work) -> None:
    """google-api-python-client, as its first page shows it."""
    events = service(work).events()
    for event in work.events():
        events.insert(calendarId="primary", body=event).execute()


def batches(work: Work) -> None:
    """google-api-python-client's BatchHttpRequest, one after another."""
    calendar = service(work)
    calls = [calendar.events().insert(calendarId="primary", body=event) for event in work.events()]
    for begin in range(0, len(calls), BATCH_SIZE):
        batch = calendar.new_batch_http_request(callback=check_call)
        for call in calls[begin : begin + BATCH_SIZE]:
            batch.add(call)
        batch.execute()


def check_call(_number: str, _event: Any, error: Exception | None) -> None:
    """The callback of a batch: fail if one of its calls has failed."""
    if error is not None:
        raise error


def gcsa(work: Work) -> None:
    """gcsa, which has no batches."""
    calendar = GoogleCalendar("primary", credentials=credentials(work), open_browser=False)
    calendar.service = service(work)
    for event in work.events():
        start, end = (date.fromisoformat(event[name]["date"]) for name in ("start", "end"))
        calendar.add_event(Event(event["summary"], start=start, end=end))


def by_hand(work: Work) -> None:
    """asyncio, aiohttp and orjson: each kept-alive connection sends row after row."""
    asyncio.run(send_all(work))


async def send_all(work: Work) -> None:
    """Send the rows by `concurrency` workers."""
    headers = {"Authorization": f"Bearer {work.token}", "Content-Type": "application/json"}
    url = f"{work.url}/calendar/v3/calendars/primary/events"
    rows = work.events()
    connector = aiohttp.TCPConnector(limit=work.concurrency)
    async with (
        aiohttp.ClientSession(headers=headers, connector=connector) as http,
        asyncio.TaskGroup() as workers,
    ):
        for _ in range(work.concurrency):
            workers.create_task(send(http, url, rows))


async def send(http: aiohttp.ClientSession, url: str, rows: Iterator[dict[str, Any]]) -> None:
    """Send rows until none is left."""
    for event in rows:
        async with http.post(url, data=orjson.dumps(event)) as answer:
            made = orjson.loads(await answer.read())
            assert answer.status == 200, made


WAYS: Mapping[str, Callable[[Work], None]] = {
    "one_by_one": one_by_one,
    "batches": batches,
    "gcsa": gcsa,
    "by_hand": by_hand,
}


def main() -> None:
    """Do the task, and print its seconds."""
    way, url, token, file, *rest = sys.argv[1:]
    work = Work(url, token, Path(file), int(rest[0]) if rest else 1)
    began = time.perf_counter()
    WAYS[way](work)
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
