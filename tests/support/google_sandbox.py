"""Helpers for tests against a Google sandbox."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.sandbox import google
from openbulk.testing.connectors import Connect, ConnectorTests
from support import Serve, forget

ANN = "ann@example.com"


def event(name: str, **more: object) -> dict[str, object]:
    return {"summary": name, "start": {"date": "2026-03-01"}, "end": {"date": "2026-03-02"}, **more}


async def configuration(
    http: aiohttp.ClientSession, url: str, *, user: str = ANN, **more: str
) -> dict[str, str]:
    async with http.post(f"{url}/sandbox/tokens", json={"user": user}) as answer:
        tokens = await answer.json()
    return {
        "base.url": url,
        "oauth.api.key": "client",
        "oauth.api.secret": "secret",
        "oauth.user.refresh_token": tokens["refresh_token"],
        **more,
    }


async def set_faults(http: aiohttp.ClientSession, url: str, spec: str) -> None:
    async with http.post(f"{url}/sandbox/faults", json={"spec": spec}) as answer:
        assert answer.status == 200


async def held(http: aiohttp.ClientSession, url: str) -> list[dict[str, object]]:
    async with http.get(f"{url}/sandbox/events") as answer:
        events: list[dict[str, object]] = await answer.json()
    return events


def events_csv(count: int) -> bytes:
    """A CSV file of all-day events."""
    rows = [
        f"Lesson {n},2026-09-{n % 28 + 1:02d},2026-09-{n % 28 + 2:02d}" for n in range(1, count + 1)
    ]
    return ("summary,start.date,end.date\n" + "\n".join(rows) + "\n").encode()


async def violations(http: aiohttp.ClientSession, url: str) -> list[dict[str, object]]:
    """The calls so far that Google's description of its API does not allow."""
    async with http.get(f"{url}/sandbox/violations") as answer:
        listed: list[dict[str, object]] = await answer.json()
    return listed


def target(
    action: Action = Action.UPSERT, identifier: str | None = None, run: str = "1", **more: Any
) -> Target:
    return Target("events", action, identifier, run=run, options=more.pop("options", {}), **more)


async def write_rows(
    connector: Connector, to: Target, *rows: Mapping[str, Any]
) -> Sequence[Outcome]:
    """The outcomes of rows, sent one after another as the rows of one job."""
    return [
        (await connector.write(to, [Record(number, values, key=f"run{to.run}:{number}")]))[0]
        for number, values in enumerate(rows, 1)
    ]


async def kinds(connector: Connector, to: Target, *rows: Mapping[str, Any]) -> list[OutcomeKind]:
    """How rows ended."""
    return [outcome.kind for outcome in await write_rows(connector, to, *rows)]


async def calls(http: aiohttp.ClientSession, url: str) -> dict[str, int]:
    """The calls made so far, by method."""
    async with http.get(f"{url}/sandbox/stats") as answer:
        counted: dict[str, int] = (await answer.json())["by_method"]
    return counted


async def read_all(connector: Connector) -> list[Mapping[str, Any]]:
    """Every event, as `events.list` shows it."""
    return [
        one async for page in connector.read(Query("events"), PageRequest()) for one in page.records
    ]


async def starts(connector: Connector) -> list[str]:
    """The hours at which something happens, as Google shows the dates of series."""
    query = Query("events", parameters={"singleEvents": "true"})
    pages = [page async for page in connector.read(query, PageRequest())]
    return sorted(one["start"]["dateTime"][:13] for page in pages for one in page.records)


class GoogleTests(ConnectorTests):
    """The connector's tests against a sandbox, signed in as Ann."""

    volatile = frozenset({"etag", "updated", "sequence"})

    @pytest.fixture
    async def url(self, serve: Serve, http: aiohttp.ClientSession) -> AsyncIterator[str]:
        address = await serve(google.make_app(google.Options()))
        yield address
        assert await violations(http, address) == []

    @pytest.fixture
    async def connect(self, http: aiohttp.ClientSession, url: str) -> Connect:
        settings = await configuration(http, url, user=ANN)
        return lambda: GoogleCalendarProvider().connect(ConnectionContext(settings, http, forget))
