"""Services that lie: whatever comes, a call has an answer or a `ServiceError` with a sentence."""

import asyncio
import gzip
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from openbulk.connectors.answers import Answer, misfit
from openbulk.connectors.base import ConnectionContext, Connector, Provider
from openbulk.connectors.eloqua import EloquaProvider
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.connectors.googlecalendar.batches import read_batch
from openbulk.connectors.http import Client, HeaderAuth, Transport
from openbulk.connectors.http import Request as Call
from openbulk.domain.errors import CallerError, Refused, RetryLater, ServiceError
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Record, Target
from openbulk.notify.callbacks import Notification, deliver
from openbulk.notify.egress import guarded_connector
from openbulk.notify.networks import parse_networks
from support import forget

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# --- what a service may answer ---

odd = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(max_size=8),
    lambda inner: (
        some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = [
    "id",
    "items",
    "nextPageToken",
    "nextSyncToken",
    "error",
    "errors",
    "reason",
    "message",
    "location",
    "start",
    "end",
    "date",
    "dateTime",
    "timeZone",
    "summary",
    "description",
    "attendees",
    "email",
    "creator",
    "extendedProperties",
    "private",
    "recurrence",
    "recurringEventId",
    "originalStartTime",
    "iCalUID",
    "status",
    "sequence",
    "reminders",
    "overrides",
    "useDefault",
    "access_token",
    "expires_in",
    "refresh_token",
    "scope",
    "urls",
    "base",
    "elements",
    "total",
    "uri",
    "hasMore",
    "statement",
    "internalName",
    "name",
    "recordIndex",
    "fieldValues",
    "invalidFields",
    "statusCode",
    "severity",
    "count",
    "accessRole",
]
GOOD = ("cancelled", "confirmed", "success", "error", "pending", "2026-03-01", "UTC", "primary")


def half_right(inner: some.SearchStrategy[Any]) -> some.SearchStrategy[Any]:
    return some.lists(inner, max_size=4) | some.dictionaries(
        some.sampled_from(NAMES), inner, max_size=12
    )


nearly = some.recursive(odd | some.sampled_from(GOOD), half_right, max_leaves=40)
statuses = some.sampled_from([200, 200, 200, 200, 201, 204, 301, 400, 403, 404, 409, 410, 412, 429])
headers = some.dictionaries(
    some.sampled_from(["Retry-After", "Date", "Content-Type", "Location", "X-Long"]),
    some.sampled_from(
        [
            "9" * 300,
            "-5",
            "1e300",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Fri, 31 Dec 9999 23:59:59 -2359",
            "x" * 5_000,
            "application/json; charset=utf-7",
            "multipart/mixed; boundary=",
            "http://127.0.0.1:1/",
            "\xff",
        ]
    ),
    max_size=3,
)


class Service:
    """Answers each call with bytes of the test's choice, and nothing else."""

    def __init__(self) -> None:
        self.reply: Callable[[bytes], bytes] = lambda head: b""
        self.url = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(self.reply(head))
            await writer.drain()
        writer.close()


@asynccontextmanager
async def hostile() -> Any:
    service = Service()
    async with AsyncExitStack() as stack:
        server = await asyncio.start_server(service.talk, "127.0.0.1", 0)
        stack.callback(server.close)
        service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        connector = guarded_connector(allowed=parse_networks("127.0.0.1"), limit=10)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield service, http


def plain(status: int, body: bytes, more: Mapping[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} So"]
    lines += [f"{name}: {value}" for name, value in (more or {}).items()]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def run(work: Callable[[Service, aiohttp.ClientSession], Awaitable[Any]]) -> Any:
    async def within() -> Any:
        async with hostile() as (service, http), asyncio.timeout(120):
            return await work(service, http)

    return asyncio.run(within())


async def outcome(call: Awaitable[Any]) -> None:
    """Make a call. It ends, or fails with a sentence."""
    try:
        await call
    except (ServiceError, CallerError) as error:
        assert len(error.message) > 10


def connect(provider: Provider, service: Service, http: aiohttp.ClientSession) -> Connector:
    configuration = {
        "base.url": service.url,
        "oauth.api.key": "key",
        "oauth.api.secret": "secret",
        "oauth.user.refresh_token": "refresh",
    }
    if provider.key == "eloqua":
        configuration = {"base.url": service.url, "username": "Acme\\ann", "password": "secret"}
    return provider.connect(ConnectionContext(configuration, http, forget))


# --- shapes ---

TOKEN = as_json({"access_token": "token", "expires_in": 3600})
EVENT = {
    "summary": "Maths",
    "start": {"date": "2026-03-01"},
    "end": {"date": "2026-03-02"},
    "iCalUID": "a@example.com",
}


async def use(connector: Connector, object: str) -> None:
    """Everything that a job and a caller do with an object."""

    async def read() -> None:
        count = 0
        async for _ in connector.read(Query(object), PageRequest(size=10)):
            count += 1
            if count == 5:
                return

    await outcome(connector.check())
    await outcome(connector.metadata(object))
    await outcome(read())
    await outcome(connector.get(object, "abcde", {}))
    features = (await connector.objects())[object]
    for action in features.actions:
        target = Target(object, action, identifier_field="iCalUID" if object == "events" else "id")
        values: dict[str, Any] = dict(EVENT) if object == "events" else {"id": "7", "name": "Ann"}
        batch = [Record(1, values, key="k")]
        if features.native and connector.native is not None:
            await outcome(connector.native.submit(target, batch))
            await outcome(connector.native.collect('{"sync": "/syncs/1"}', target, batch))
        else:
            await outcome(connector.write(target, batch))


@fuzz
@given(status=statuses, value=nearly, more=headers)
@pytest.mark.parametrize("object", ["events", "calendars", "calendar-list"])
def test_google_may_answer_anything(
    object: str, status: int, value: Any, more: Mapping[str, str]
) -> None:
    async def work(service: Service, http: aiohttp.ClientSession) -> None:
        def reply(head: bytes) -> bytes:
            if head.startswith(b"POST /token"):
                return plain(200, TOKEN)
            return plain(status, as_json(value), more)

        service.reply = reply
        await use(connect(GoogleCalendarProvider(), service, http), object)

    run(work)


@fuzz
@given(status=statuses, value=nearly, more=headers)
@pytest.mark.parametrize("object", ["campaign", "activities", "contact"])
def test_eloqua_may_answer_anything(
    object: str, status: int, value: Any, more: Mapping[str, str]
) -> None:
    async def work(service: Service, http: aiohttp.ClientSession) -> None:
        def reply(head: bytes) -> bytes:
            if head.startswith(b"GET /id "):
                return plain(200, as_json({"urls": {"base": service.url}}))
            return plain(status, as_json(value), more)

        service.reply = reply
        await use(connect(EloquaProvider(), service, http), object)

    run(work)


@fuzz
@given(status=statuses, value=nearly)
def test_a_sign_in_may_answer_anything(status: int, value: Any) -> None:
    async def work(service: Service, http: aiohttp.ClientSession) -> None:
        service.reply = lambda head: plain(status, as_json(value))
        for provider in (GoogleCalendarProvider(), EloquaProvider()):
            await outcome(connect(provider, service, http).check())

    run(work)


@fuzz
@given(body=some.binary(max_size=400), boundary=some.text(max_size=10))
def test_a_batch_may_answer_anything(body: bytes, boundary: str) -> None:
    kind = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
    read_batch(Answer(200, kind, body))
    number = b"--b\r\nContent-ID: <response-%s>\r\n\r\nHTTP/1.1 %s OK\r\n\r\n{}\r\n"
    kind = {"Content-Type": "multipart/mixed; boundary=b"}
    read_batch(Answer(200, kind, number % (b"9" * 5_000, b"9" * 5_000) + body))


def test_two_answers_to_one_call_of_a_batch_are_none() -> None:
    part = b"--b\r\nContent-ID: <response-%d>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}\r\n"
    body = b"".join(part % number for number in (0, 1, 1, 7))
    kind = {"Content-Type": "multipart/mixed; boundary=b"}
    assert sorted(read_batch(Answer(200, kind, body))) == [0, 7]


# --- bytes ---

GOOD_ANSWER = plain(200, as_json({"items": []}), {"Content-Type": "application/json"})


@fuzz
@given(
    end=some.integers(0, len(GOOD_ANSWER)),
    place=some.integers(0, len(GOOD_ANSWER)),
    junk=some.binary(max_size=20),
)
def test_an_answer_may_be_cut_off_or_changed_at_any_byte(end: int, place: int, junk: bytes) -> None:
    async def work(service: Service, http: aiohttp.ClientSession) -> None:
        service.reply = lambda head: GOOD_ANSWER[:place] + junk + GOOD_ANSWER[place:end]
        for method in ("GET", "POST"):
            call = Call(method, f"{service.url}/x", None, None, {})
            await outcome(Transport(http, "The service").call(call))
        note = Notification(1, f"{service.url}/hook", b"{}")
        await deliver(http, note, {}, datetime.now(UTC), timeout=5)

    run(work)


@pytest.mark.parametrize(
    "answer",
    [
        plain(200, b"{}", {f"X-{number}": "a" * 8_000 for number in range(200)}),
        plain(200, b"{}", {"X": "a" * 1_000_000}),
        b"HTTP/1.1 200 " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 10_000,
        b"HTTP/9.9 200 OK\r\n\r\n{}",
    ],
    ids=lambda answer: answer[:40].decode("latin-1"),
)
def test_an_answer_that_is_no_http_is_a_sentence(answer: bytes) -> None:
    async def work(service: Service, http: aiohttp.ClientSession) -> None:
        service.reply = lambda head: answer
        await outcome(Client(http, HeaderAuth({}), "The service").call("GET", f"{service.url}/x"))

    run(work)


# --- size ---


def packed(body: bytes) -> bytes:
    return plain(200, gzip.compress(body), {"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: b"[" + b"{}," * 2_400_000 + b"{}]", Refused),
        (lambda: b" " * 500_000_000, Refused),
        (lambda: b"[" + b"{}," * 300_000 + b"{}]", RetryLater),
        (lambda: b"[" * 400 + b"]" * 400, RetryLater),
        (lambda: b"[" * 100_000, RetryLater),
        (lambda: b'{"a": 1e99999999}', RetryLater),
        (lambda: b'{"a": ' + b"9" * 5_000 + b"}", RetryLater),
        (lambda: b'{"a": "\\ud800"}', RetryLater),
        (lambda: b'{"a": NaN}', RetryLater),
        (lambda: "{}".encode("utf-16"), RetryLater),
    ],
    ids=["items", "blanks", "values", "deep", "deeper", "huge", "digits", "half", "nan", "utf-16"],
)
def test_an_answer_larger_than_what_was_asked_for_is_refused(
    make: Callable[[], bytes], expected: type[ServiceError]
) -> None:
    answer = packed(make())

    async def work(service: Service, http: aiohttp.ClientSession) -> float:
        service.reply = lambda head: answer
        longest = 0.0

        async def watch() -> None:
            nonlocal longest
            while True:
                # The thread's own time: other tests run beside this one.
                begin = time.thread_time()
                await asyncio.sleep(0.01)
                longest = max(longest, time.thread_time() - begin)

        watching = asyncio.create_task(watch())
        client = Client(http, HeaderAuth({}), "The service")
        with pytest.raises(expected) as caught:
            (await client.call("GET", f"{service.url}/x?secret=s")).json()
        watching.cancel()
        assert "The service (GET /x) answered" in caught.value.message
        assert "secret" not in caught.value.message
        return longest

    # Less than a second; without bounds, 5 s and more.
    assert run(work) < 3


def test_numbers_of_an_answer_keep_their_digits() -> None:
    async def work(service: Service, http: aiohttp.ClientSession) -> Any:
        text = (
            b'{"a": 12345678901234567.89, "b": 1.50, "c": 123456789012345678901234567890, "d": 7}'
        )
        service.reply = lambda head: plain(200, text)
        client = Client(http, HeaderAuth({}), "The service")
        return (await client.call("GET", f"{service.url}/x")).json()

    value = run(work)
    assert [str(value[name]) for name in "abcd"] == [
        "12345678901234567.89",
        "1.50",
        "123456789012345678901234567890",
        "7",
    ]


def test_a_list_that_comes_back_to_its_page_ends() -> None:
    async def work(service: Service, http: aiohttp.ClientSession) -> None:
        def reply(head: bytes) -> bytes:
            if head.startswith(b"POST /token"):
                return plain(200, TOKEN)
            return plain(200, as_json({"items": [], "nextPageToken": "again"}))

        service.reply = reply
        connector = connect(GoogleCalendarProvider(), service, http)
        with pytest.raises(Refused, match="the same page again"):
            async for _ in connector.read(Query("events"), PageRequest()):
                pass

    run(work)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"start": []}, "a list as start"),
        ({"start": {"date": 5}}, "a number as start.date"),
        ({"tags": ["a", None]}, "nothing as tags[1]"),
        ({"more": {"a": True}}, "true or false as more.a"),
    ],
)
def test_a_misfit_says_where_it_is(value: Any, place: str) -> None:
    text = {"type": "string"}
    schema = {
        "type": "object",
        "properties": {
            "start": {"type": "object", "properties": {"date": text}},
            "tags": {"type": "array", "items": text},
            "more": {"type": "object", "additionalProperties": text},
        },
    }
    found = misfit(value, schema)
    assert found is not None
    assert found[0] == place
