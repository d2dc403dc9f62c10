"""Real answers of services, from which each field is missing once, or has another type.

The sandboxes answer once; then the same calls are answered from memory, with one field changed.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest
from aiohttp import web

from openbulk.connectors.answers import PageCount
from openbulk.connectors.base import ConnectionContext, Connector, Provider
from openbulk.connectors.eloqua import EloquaProvider
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.domain.conditions import Comparison
from openbulk.domain.errors import CallerError, Refused, ServiceError
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, Record, Target
from openbulk.sandbox import eloqua, google
from support import forget

IS_LONG = int(os.environ.get("FUZZ_EXAMPLES", "20")) > 20
"""`make fuzz` puts every wrong value in every place; `make test` one in each."""
WRONG = [None, 7, "x", "", [], {}, True, ["x"], {"x": 1}, -1.5, "9999-99-99T99:99:99Z"]
MISSING = object()
Path = tuple[str | int, ...]


# --- answers ---


@dataclass(frozen=True)
class Exchange:
    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Response:
    """What the kit reads of a response of aiohttp's."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> "Response":
        return self

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        yield self.body


@dataclass
class Recorder:
    """A session that keeps what a service answers."""

    http: aiohttp.ClientSession
    exchanges: list[Exchange] = field(default_factory=list)

    @asynccontextmanager
    async def request(self, method: str, url: str, **more: Any) -> AsyncIterator[Response]:
        async with self.http.request(method, url, **more) as answer:
            body = await answer.read()
            headers = dict(answer.headers)
            self.exchanges.append(
                Exchange(method, urlsplit(url).path, answer.status, headers, body)
            )
            yield Response(answer.status, headers, body)


@dataclass
class Player:
    """A session that answers each call as it was answered before."""

    exchanges: list[Exchange]

    @asynccontextmanager
    async def request(self, method: str, url: str, **more: Any) -> AsyncIterator[Response]:
        call = method, urlsplit(url).path
        place = next(
            (n for n, one in enumerate(self.exchanges) if (one.method, one.path) == call), -1
        )
        if place < 0:  # the wrong field led to a call that was not made before
            yield Response(404, {}, b'{"error": {"code": 404, "message": "Not Found"}}')
            return
        found = self.exchanges[place]
        if any((one.method, one.path) == call for one in self.exchanges[place + 1 :]):
            del self.exchanges[place]
        yield Response(found.status, found.headers, found.body)


def paths_in(value: Any, path: Path = ()) -> Iterator[Path]:
    """The places of all fields in a value; of a list, those of its first and its last item."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from paths_in(inner, (*path, name))
    elif isinstance(value, list):
        for number in sorted({0, len(value) - 1} & set(range(len(value)))):
            yield (*path, number)
            yield from paths_in(value[number], (*path, number))


def changed(body: bytes, path: Path, wrong: object) -> bytes:
    """A body in which a field is missing, or has another value."""
    value = place = orjson.loads(body)
    for step in path[:-1]:
        place = place[step]
    if wrong is MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = wrong
    return orjson.dumps(value)


def value_at(body: bytes, path: Path) -> Any:
    value = orjson.loads(body)
    for step in path:
        value = value[step]
    return value


def wrong_answers(
    exchanges: list[Exchange], *, is_first: bool
) -> Iterator[tuple[str, list[Exchange]]]:
    """The exchanges with one field of one answer changed, and what was changed."""
    turn, seen = 0, set[tuple[str, str, Path]]()
    for number, one in enumerate(exchanges):
        if not one.body.startswith((b"{", b"[")):
            continue
        for path in paths_in(orjson.loads(one.body)):
            shape = (one.method, one.path, path)
            if shape in seen or (one.path == "/token" and not is_first):
                continue
            seen.add(shape)
            held = value_at(one.body, path)
            wrongs = [
                wrong for wrong in WRONG if type(wrong) is not type(held) or wrong in ("", [])
            ]
            turn += 1
            chosen = [MISSING, *wrongs]
            # Each place is missing in every other of the uses that have it.
            for wrong in chosen if IS_LONG else [chosen[turn % 2 and turn % len(chosen)]]:
                body = changed(one.body, path, wrong)
                other = Exchange(one.method, one.path, one.status, one.headers, body)
                what = "missing" if wrong is MISSING else repr(wrong)
                yield (
                    f"{one.method} {one.path}: {path} {what}",
                    [*exchanges[:number], other, *exchanges[number + 1 :]],
                )


# --- calls ---

Use = Callable[[Connector], Awaitable[object]]


async def read(connector: Connector, query: Query) -> None:
    count = 0
    async for _ in connector.read(query, PageRequest(size=3)):
        count += 1
        if count == 5:
            return


async def write(
    connector: Connector, object: str, action: Action, *rows: Mapping[str, Any], **more: Any
) -> None:
    to = Target(object, action, run=f"{object} {action}", records=len(rows), **more)
    for number, values in enumerate(rows, 1):
        await connector.write(to, [Record(number, values, key=f"{action} {number}")])


def at(day: int, hour: int) -> dict[str, str]:
    return {"dateTime": f"2026-06-{day:02d}T{hour:02d}:00:00", "timeZone": "Europe/Berlin"}


SERIES: Mapping[str, Any] = {
    "iCalUID": "maths@x",
    "summary": "Maths",
    "attendees": [{"email": "ben@example.org"}],
    "start": at(4, 10),
    "end": at(4, 11),
    "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"],
}
MOVED = {
    "iCalUID": "maths@x",
    "originalStartTime": at(11, 10),
    "start": at(11, 12),
    "end": at(11, 13),
}
LATER = {**MOVED, "originalStartTime": {**at(18, 10), "range": "THISANDFUTURE"}, "start": at(18, 9)}
ROOM = {"summary": "Room", "start": {"date": "2026-06-01"}, "end": {"date": "2026-06-02"}}
LOCAL = {
    "summary": "Noon",
    "start": {"dateTime": "2026-06-01T12:00"},
    "end": {"dateTime": "2026-06-01T13:00"},
}


async def prepare_google(connector: Connector) -> None:
    await write(connector, "events", Action.UPSERT, SERIES, MOVED, {**ROOM, "id": "room1"})
    await write(connector, "calendars", Action.CREATE, {"summary": "Second"})


def google_uses() -> Mapping[str, Use]:
    up = Action.UPSERT

    def rows(action: Action, *rows: Mapping[str, Any], **more: Any) -> Use:
        return lambda connector: write(connector, "events", action, *rows, **more)

    def other(object: str, action: Action, *rows: Mapping[str, Any], **more: Any) -> Use:
        return lambda connector: write(connector, object, action, *rows, **more)

    def query(object: str, **parameters: str) -> Use:
        return lambda connector: read(connector, Query(object, parameters=parameters))

    rule = {"role": "reader", "scope": {"type": "user", "value": "ben@example.org"}}
    moved = {**SERIES, "start": at(4, 9), "end": at(4, 10)}
    return {
        "check": lambda connector: connector.check(),
        "read": query("events"),
        "read occurrences": query("events", singleEvents="true"),
        "read calendars": query("calendars"),
        "read the list": query("calendar-list"),
        "read rules": query("access-control-list"),
        "get": lambda connector: connector.get("events", "room1", {}),
        "get a calendar": lambda connector: connector.get("calendars", "primary", {}),
        "create": rows(
            Action.CREATE,
            ROOM,
            LOCAL,
            {**ROOM, "id": "room1"},
            {**SERIES, "iCalUID": "b@x"},
            SERIES,
        ),
        "update": rows(Action.UPDATE, {**ROOM, "id": "room1", "location": "Attic"}, moved, MOVED),
        "upsert the same": rows(up, SERIES, MOVED, ROOM, {**ROOM, "id": "room1"}),
        "upsert": rows(up, moved, {**ROOM, "number": "7"}, identifier_field="iCalUID"),
        "upsert by a column": rows(up, {**ROOM, "number": "7"}, identifier_field="number"),
        "split": rows(up, LATER, SERIES),
        "large": lambda connector: write(connector, "events", up, *[SERIES, MOVED, LATER] * 7),
        "delete": rows(Action.DELETE, MOVED, {"id": "room1"}, {"iCalUID": "maths@x"}),
        "calendars": other(
            "calendars", up, {"summary": "Second", "location": "Attic"}, identifier_field="summary"
        ),
        "rules": other("access-control-list", up, rule, {**rule, "role": "writer"}),
        "the list": other("calendar-list", Action.UPDATE, {"id": "primary", "colorId": "3"}),
        "find": lambda connector: connector.find(
            Target("calendars", Action.CREATE), [Record(1, {}, key="a")]
        ),
    }


async def prepare_eloqua(connector: Connector) -> None:
    await import_contacts(connector)
    await write(connector, "campaign", Action.CREATE, {"name": "Spring"})


async def import_contacts(connector: Connector) -> None:
    native, to = connector.native, Target("contact", Action.UPSERT, run="1")
    assert native is not None
    values = [{"C_EmailAddress": f"{name}@example.com"} for name in ("ann", "ben")]
    values.append({"C_EmailAddress": "nobody"})
    batch = [Record(number, one) for number, one in enumerate(values, 1)]
    ticket = await native.submit(to, batch)
    for _ in range(100):
        if await native.collect(ticket, to, batch) is not None:
            return
        await asyncio.sleep(0.01)


async def export(connector: Connector) -> None:
    async for page in connector.read(Query("contact"), PageRequest(size=2)):
        if page.is_pending:
            await asyncio.sleep(0.01)


async def get_contact(connector: Connector) -> None:
    wanted = Comparison("id", "=", ("1",))
    count = 0
    async for _ in connector.read(Query("contact", where=wanted), PageRequest()):
        count += 1
        if count == 20:
            return


def eloqua_uses() -> Mapping[str, Use]:
    return {
        "check": lambda connector: connector.check(),
        "metadata": lambda connector: connector.metadata("contact"),
        "import": import_contacts,
        "export": export,
        "get": get_contact,
        "activities": lambda connector: read(
            connector, Query("activities", parameters={"type": "emailOpen"})
        ),
        "read": lambda connector: read(connector, Query("campaign")),
        "read one": lambda connector: connector.get("campaign", "1", {}),
        "create": lambda connector: write(
            connector, "campaign", Action.CREATE, {"name": "May"}, {}
        ),
        "update": lambda connector: write(
            connector, "campaign", Action.UPDATE, {"id": "1", "name": "May"}, {"id": "999"}
        ),
        "delete": lambda connector: write(connector, "campaign", Action.DELETE, {"id": "1"}),
    }


# --- the promise ---


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def settings_for(provider: Provider, url: str, http: aiohttp.ClientSession) -> dict[str, str]:
    if provider.key == "eloqua":
        return {"base.url": url, "username": "Acme\\ann", "password": "secret"}
    async with http.post(f"{url}/sandbox/tokens", json={"user": "ann@example.com"}) as answer:
        token = (await answer.json())["refresh_token"]
    names = {"oauth.api.key": "client", "oauth.api.secret": "secret"}
    return {"base.url": url, **names, "oauth.user.refresh_token": token}


async def record(
    provider: Provider, prepare: Use, uses: Mapping[str, Use]
) -> tuple[dict[str, str], dict[str, list[Exchange]]]:
    """What the sandbox answers to each use."""
    kept: dict[str, list[Exchange]] = {}
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        settings: dict[str, str] = {}
        for name, use in uses.items():
            app = (
                eloqua.make_app(eloqua.Options(sync_ms=0))
                if provider.key == "eloqua"
                else google.make_app(google.Options())
            )
            url = await stack.enter_async_context(served(app))
            settings = await settings_for(provider, url, http)
            await prepare(provider.connect(ConnectionContext(settings, http, forget)))
            recorder = Recorder(http)
            session = cast(aiohttp.ClientSession, recorder)
            await use(provider.connect(ConnectionContext(settings, session, forget)))
            kept[name] = recorder.exchanges
    return settings, kept


@pytest.mark.parametrize(
    ("provider", "prepare", "uses"),
    [
        (GoogleCalendarProvider(), prepare_google, google_uses()),
        (EloquaProvider(), prepare_eloqua, eloqua_uses()),
    ],
    ids=["google", "eloqua"],
)
async def test_an_answer_may_lack_any_field_or_have_another_in_its_place(
    provider: Provider, prepare: Use, uses: Mapping[str, Use]
) -> None:
    """A call has a result, or fails with a sentence: nothing else is raised."""
    settings, kept = await record(provider, prepare, uses)
    count = 0
    failures: list[str] = []
    for name, exchanges in kept.items():
        assert exchanges, name
        for what, wrong in wrong_answers(exchanges, is_first=not count):
            count += 1
            session = cast(aiohttp.ClientSession, Player(list(wrong)))
            connector = provider.connect(ConnectionContext(settings, session, forget))
            try:
                async with asyncio.timeout(60):
                    await uses[name](connector)
            except (ServiceError, CallerError) as error:
                assert len(error.message) > 10
            except Exception as error:
                failures.append(f"{name}: {what}: {type(error).__name__} {error}")
    assert not failures, "\n".join(failures[:40])
    assert count > 300, "the sandbox was called"


NEEDED = (
    "items",
    "items[0].id",
    "items[0].iCalUID",
    "items[0].start",
    "items[0].start.dateTime",
    "items[0].end",
)
"""What no listing of events can do without: a record without it would be wrong in silence."""


@pytest.mark.parametrize("place", NEEDED)
async def test_a_listing_without_what_it_needs_says_so(place: str) -> None:
    event = {**SERIES, "id": "maths", "updated": "2026-06-01T00:00:00Z"}
    path = tuple(0 if step == "0" else step for step in place.replace("[0]", ".0").split("."))
    page = changed(orjson.dumps({"items": [event]}), path, MISSING)
    player = Player([TOKEN, Exchange("GET", EVENTS_PATH, 200, {}, page)])
    with pytest.raises(ServiceError, match="answered 200 with nothing as items"):
        await read(connected(GoogleCalendarProvider(), player), Query("events"))


async def test_a_changed_event_without_its_date_says_so() -> None:
    """`where` would leave it out in silence."""
    page = orjson.dumps({"items": [{**SERIES, "id": "maths"}]})
    player = Player([TOKEN, Exchange("GET", EVENTS_PATH, 200, {}, page)])
    query = Query("events", changed_since=datetime(2026, 6, 1, tzinfo=UTC))
    with pytest.raises(ServiceError, match=r"nothing as items\[0\].updated"):
        await read(connected(GoogleCalendarProvider(), player), query)


# --- lists without an end ---

TOKEN = Exchange("POST", "/token", 200, {}, b'{"access_token": "token", "expires_in": 3600}')
EVENTS_PATH = "/calendar/v3/calendars/primary/events"
URL = "http://service.example"


def connected(provider: Provider, session: object) -> Connector:
    settings = {
        "googlecalendar": {
            "base.url": URL,
            "oauth.api.key": "client",
            "oauth.api.secret": "secret",
            "oauth.user.refresh_token": "refresh",
        },
        "eloqua": {"base.url": URL, "username": "Acme\\ann", "password": "secret"},
    }[provider.key]
    http = cast(aiohttp.ClientSession, session)
    return provider.connect(ConnectionContext(settings, http, forget))


@dataclass
class Endless:
    """A session whose lists always name a next page that was not there before."""

    items: int
    circle: int = 0
    """After so many pages, the first one comes again; 0 for never."""
    calls: int = 0

    @asynccontextmanager
    async def request(self, method: str, url: str, **more: Any) -> AsyncIterator[Response]:
        self.calls += 1
        assert self.calls < 5_000, "this list has no end"
        yield Response(200, {}, orjson.dumps(self.answer(urlsplit(url).path)))

    def answer(self, path: str) -> Any:
        if "/activities/" in path:
            return []
        if path == "/token":
            return {"access_token": "token", "expires_in": 3600}
        if path == "/id":
            return {"urls": {"base": URL}}
        number = self.calls % self.circle if self.circle else self.calls
        items = [self.item(f"item{number}x{n}") for n in range(self.items)]
        return {
            "items": items,
            "elements": items,
            "nextPageToken": f"page {number}",
            "hasMore": True,
            "total": 10**12,
            "totalResults": 10**12,
            "timeZone": "UTC",
            "uri": "/syncs/1",
            "status": "success",
        }

    @staticmethod
    def item(name: str) -> Mapping[str, Any]:
        names = {"internalName": name, "statement": name, "summary": name, "accessRole": "owner"}
        return {**names, "id": name, "iCalUID": name, "start": at(1, 9), "end": at(1, 10)}


async def read_on(connector: Connector, object: str) -> None:
    async for _ in connector.read(Query(object), PageRequest(size=1_000)):
        pass


ROW = {**ROOM, "iCalUID": "a@x"}
LISTS: Mapping[str, tuple[Provider, Use]] = {
    "events": (GoogleCalendarProvider(), lambda one: read_on(one, "events")),
    "calendars": (GoogleCalendarProvider(), lambda one: read_on(one, "calendars")),
    "rules": (GoogleCalendarProvider(), lambda one: read_on(one, "access-control-list")),
    "created calendars": (
        GoogleCalendarProvider(),
        lambda one: one.find(Target("calendars", Action.CREATE), [Record(1, {}, key="a")]),
    ),
    "one event": (
        GoogleCalendarProvider(),
        lambda one: write(one, "events", Action.UPSERT, ROW),
    ),
    "a whole calendar": (
        GoogleCalendarProvider(),
        lambda one: write(one, "events", Action.UPSERT, *[ROW] * 30),
    ),
    "a calendar by its name": (
        GoogleCalendarProvider(),
        lambda one: write(
            one, "calendars", Action.UPSERT, {"summary": "A"}, identifier_field="summary"
        ),
    ),
    "fields": (EloquaProvider(), lambda one: one.metadata("contact")),
    "campaigns": (EloquaProvider(), lambda one: read_on(one, "campaign")),
    "activities": (EloquaProvider(), lambda one: read_on(one, "activities")),
}


@pytest.mark.parametrize("items", [0, 1])
@pytest.mark.parametrize("name", LISTS)
async def test_a_list_that_never_ends_is_refused(name: str, items: int) -> None:
    """Whatever reads it: a download, the look-up of a row, the fields of an object."""
    provider, use = LISTS[name]
    if provider.key == "eloqua" and not items:
        return  # a page without items ends these lists
    session = Endless(items)
    with pytest.raises(Refused, match="and always names a next page; expected a list that"):
        await use(connected(provider, session))


async def test_a_list_that_goes_in_a_circle_is_refused() -> None:
    """Its pages are full, and the records come again and again."""
    session = Endless(500, circle=7)
    with pytest.raises(Refused, match="a page whose next page is one that came before"):
        await read_on(connected(GoogleCalendarProvider(), session), "events")


async def test_a_list_may_be_long_and_have_empty_pages() -> None:
    """Google documents that a page may be empty although others follow."""
    count = PageCount(2_500)
    for number in range(50_000):
        count.add(2_500 if number % 150 == 0 else 0, "the service", f"page {number}")
    assert count.pages == 50_000
