"""Whatever a caller sends, a sandbox answers, and never with 500."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from openbulk.sandbox import eloqua, google

BERLIN = {"dateTime": "2026-06-04T10:00:00", "timeZone": "Europe/Berlin"}
FORM = "application/x-www-form-urlencoded"
# JSON has no surrogates that stand alone.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
NUMBERS = st.sampled_from(["1", "-1", "2,-2", "0", "31", "53", "-366", "1000000000", "9" * 30])
MOMENTS = st.lists(
    st.sampled_from(
        [
            *("20260604T100000", "20260611T080000Z", "20260604", "99991231T235959Z", "99991231"),
            *("00010101T000000", "20260611T080000Z/PT1H", "20261399", "20260329T023000"),
        ]
    ),
    min_size=1,
    max_size=3,
).map(",".join)
PARTS = st.one_of(
    st.tuples(
        st.sampled_from(
            [
                *("COUNT", "INTERVAL", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"),
                *("BYSETPOS", "BYHOUR", "BYMINUTE", "BYSECOND"),
            ]
        ),
        NUMBERS,
    ),
    st.tuples(st.just("BYDAY"), st.sampled_from(["MO", "MO,TH", "1FR", "-1SU,TU", "54MO"])),
    st.tuples(st.just("WKST"), st.sampled_from(["MO", "SU", "1SU"])),
    st.tuples(st.just("UNTIL"), MOMENTS),
    st.tuples(TEXTS, TEXTS),
).map("=".join)
FREQUENCIES = st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY", "SECONDLY"])
RULES = st.builds(
    lambda name, frequency, parts: ";".join([f"{name}:FREQ={frequency}", *parts]),
    st.sampled_from(["RRULE", "EXRULE"]),
    FREQUENCIES,
    st.lists(PARTS, max_size=3),
)
DATES = st.builds(
    "{}{}:{}".format,
    st.sampled_from(["RDATE", "EXDATE"]),
    st.sampled_from(["", ";VALUE=DATE", ";TZID=Europe/Berlin", ";VALUE=PERIOD", ";TZID=Mars"]),
    MOMENTS,
)
PLACES = st.fixed_dictionaries(
    {},
    optional={
        "date": st.sampled_from(["2026-06-04", "0001-01-01", "9999-12-31"]) | TEXTS,
        "dateTime": st.sampled_from(
            ["2026-06-04T10:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.5-12:00"]
        ),
        "timeZone": st.sampled_from(["Europe/Berlin", "Pacific/Auckland", "UTC"]) | JSON,
    },
)
DAY = st.sampled_from(["2026-06-04", "0001-01-01", "9998-12-31", "9999-12-31", "1850-01-01"])
TIMES = st.one_of(
    st.just({"start": BERLIN, "end": BERLIN}),
    DAY.map(lambda day: {"start": {"date": day}, "end": {"date": day}}),
    st.builds(
        lambda day, zone: {
            name: {"dateTime": f"{day}T23:30:00", "timeZone": zone} for name in ("start", "end")
        },
        DAY,
        st.sampled_from(["Europe/Berlin", "Pacific/Auckland", "America/New_York"]),
    ),
    st.fixed_dictionaries({"start": PLACES, "end": PLACES}),
)
FIELDS = st.one_of(
    st.tuples(st.just("recurrence"), st.lists(RULES | DATES, min_size=1, max_size=3)),
    st.tuples(
        st.sampled_from(
            [
                *("attendees", "attachments", "colorId", "description", "extendedProperties"),
                *("iCalUID", "id", "originalStartTime", "recurringEventId", "reminders", "source"),
                *("start", "status", "summary", "gadget", "workingLocationProperties"),
                *("role", "scope", "defaultReminders", "timeZone", "user", "expires_in", "spec"),
            ]
        ),
        JSON,
    ),
    st.tuples(st.just("id"), st.sampled_from(["abc01", "abc02", "abc03"])),
    st.tuples(st.just("status"), st.sampled_from(["confirmed", "cancelled"])),
    st.tuples(
        st.just("reminders"),
        st.fixed_dictionaries(
            {"useDefault": st.just(False)}, optional={"overrides": st.lists(JSON, max_size=3)}
        ),
    ),
    st.tuples(st.just("attendees"), st.lists(st.dictionaries(st.just("email"), JSON), max_size=2)),
    st.tuples(
        st.just("extendedProperties"),
        st.dictionaries(st.just("private"), st.dictionaries(TEXTS, TEXTS)),
    ),
    st.tuples(st.just("originalStartTime"), PLACES),
    st.tuples(st.just("scope"), st.fixed_dictionaries({"type": JSON, "value": JSON})),
)
EVENTS = st.builds(
    lambda times, fields: {**times, **dict(fields)}, TIMES, st.lists(FIELDS, min_size=1, max_size=2)
)
SERIES = st.builds(
    lambda times, lines: {**times, "recurrence": lines},
    TIMES,
    st.lists(RULES | DATES, min_size=1, max_size=2),
)
DEFINITIONS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("contacts") | JSON,
        "fields": JSON
        | st.dictionaries(
            st.sampled_from(["mail", "name"]),
            st.sampled_from(["{{Contact.Field(C_EmailAddress)}}", "{{Contact.Id}}"]) | JSON,
        ),
        "identifierFieldName": st.just("mail") | JSON,
        "updateRule": JSON,
        "isSyncTriggeredOnImport": JSON,
        "dataRetentionDuration": JSON,
        "filter": JSON | st.sampled_from(["(" * 400, "NOT " * 250]),
        "syncedInstanceUri": st.sampled_from(["/contacts/imports/1", "/contacts/exports/1"]) | JSON,
        "callbackUrl": JSON,
        "mail": JSON,
    },
)
WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=3"
SEGMENTS = st.sampled_from(
    [
        *("primary", "abc01", "abc02", "1", "2", "user:ann@example.com"),
        *("abc01_20260611T080000Z", "abc01_20261399T080000Z", "abc01_99999999", "default"),
        *("contacts", "accounts", "contact", "bulk", "rest", "API", "2.0", "1.0", "campaigns"),
    ]
)
QUERIES = st.dictionaries(
    st.sampled_from(
        [
            *("maxResults", "pageToken", "syncToken", "timeMin", "timeMax", "updatedMin"),
            *("singleEvents", "orderBy", "showDeleted", "q", "iCalUID", "originalStart"),
            *("privateExtendedProperty", "timeZone", "redirect_uri", "client_id", "scope"),
            *("response_type", "login_hint", "calendarId", "limit", "offset", "count", "page"),
            *("search", "depth", "token"),
        ]
    ),
    st.sampled_from(
        [
            *("true", "false", "startTime", "updated", "code", "9" * 30, "-1", "0", "1", "*=*"),
            *("2026-06-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "http://[", "http://x/y"),
            *("p0.0.0.x", "s.1.x", "2026-06-04", "Europe/Berlin", "a=b", "*" * 40 + "=x"),
        ]
    )
    | TEXTS,
    max_size=4,
)
Call = Callable[..., Awaitable[int]]


def bodies(objects: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[bytes, str]]:
    """Bodies, and their types."""
    as_json = (objects | JSON).map(lambda value: (json.dumps(value).encode(), "application/json"))
    fields = st.sampled_from(["grant_type", "redirect_uri", "token", "assertion", "client_id"])
    as_form = st.dictionaries(fields, TEXTS | st.sampled_from(["http://[", "refresh_token"])).map(
        lambda form: (URL.build(query=form).raw_query_string.encode(), FORM)
    )
    types = st.sampled_from(
        [FORM, f"{FORM}; charset=klingon", "multipart/form-data", "multipart/mixed; boundary=b"]
    )
    return as_json | as_form | st.tuples(st.binary(max_size=40), types)


def requests(
    app: web.Application, objects: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """Calls of all routes of an app, with anything in their places, queries and bodies."""
    routes = sorted(
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
    )

    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        method, path = draw(st.sampled_from(routes))
        filled = re.sub(r"\{\w+\}", lambda _: draw(SEGMENTS | TEXTS.filter(bool)), path)
        body, content_type = draw(bodies(objects))
        return {
            "method": method,
            "path": filled,
            "params": draw(QUERIES),
            "data": None if method in {"GET", "HEAD"} else body,
            "content_type": content_type,
        }

    return build()


@asynccontextmanager
async def serve(app: web.Application, headers: dict[str, str]) -> Any:
    """A function that makes a call, and returns its status."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = URL(f"http://127.0.0.1:{runner.addresses[0][1]}")

    async def call(
        method: str, path: str, content_type: str = "application/json", **more: Any
    ) -> int:
        sent = {**headers, "Content-Type": content_type}
        address = base.with_path(path)
        async with http.request(
            method, address, headers=sent, allow_redirects=False, **more
        ) as answer:
            content = await answer.read()
            if path == "/sandbox/tokens" and "Authorization" not in headers:
                headers["Authorization"] = f"Bearer {json.loads(content)['access_token']}"
            return answer.status

    try:
        async with aiohttp.ClientSession() as http:
            yield call
    finally:
        await runner.cleanup()


async def statuses(
    app: web.Application, first: list[dict[str, Any]], calls: list[dict[str, Any]], auth: str = ""
) -> list[tuple[int, dict[str, Any]]]:
    """The calls with a status of 500 or more."""
    async with serve(app, {"Authorization": auth} if auth else {}) as call:
        for one in first:
            assert await call(**one) < 300, one
        answers = [(await call(**one), one) for one in calls]
    return [(status, one) for status, one in answers if status >= 500]


LIST: dict[str, Any] = {"method": "GET", "path": "/calendar/v3/calendars/primary/events"}
GOOGLE_FIRST: list[dict[str, Any]] = [
    {"method": "POST", "path": "/sandbox/tokens"},
    {
        **LIST,
        "method": "POST",
        "json": {"id": "abc01", "start": BERLIN, "end": BERLIN, "recurrence": [WEEKLY]},
    },
]
GOOGLE_LAST: list[dict[str, Any]] = [
    LIST,
    {**LIST, "params": {"singleEvents": "true", "maxResults": "9"}},
    {**LIST, "params": {"singleEvents": "true", "orderBy": "startTime", "maxResults": "9"}},
    {**LIST, "params": {"timeMin": "2026-06-05T00:00:00Z"}},
    {**LIST, "path": f"{LIST['path']}/abc01/instances"},
    {"method": "GET", "path": "/"},
    {"method": "GET", "path": "/sandbox/events"},
]
QUICK = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(st.lists(requests(google.make_app(google.Options()), EVENTS), min_size=1, max_size=8))
def test_google_never_answers_500(calls: list[dict[str, Any]]) -> None:
    """Nor does a list of what it then holds."""
    app = google.make_app(google.Options())
    assert asyncio.run(statuses(app, GOOGLE_FIRST, [*calls, *GOOGLE_LAST])) == []


@QUICK
@given(st.lists(EVENTS | SERIES, min_size=4, max_size=8))
def test_google_lists_whatever_event_it_has_taken(events: list[dict[str, Any]]) -> None:
    """As a series, and by its occurrences."""
    app = google.make_app(google.Options())
    inserts = [{**LIST, "method": "POST", "json": one} for one in events]
    assert asyncio.run(statuses(app, GOOGLE_FIRST[:1], [*inserts, *GOOGLE_LAST])) == []


@QUICK
@given(st.lists(requests(eloqua.make_app(eloqua.Options()), DEFINITIONS), min_size=1, max_size=8))
def test_eloqua_never_answers_500(calls: list[dict[str, Any]]) -> None:
    app = eloqua.make_app(eloqua.Options(sync_ms=0))
    assert asyncio.run(statuses(app, [], calls, "Basic QWNtZVxhbm46cw==")) == []
