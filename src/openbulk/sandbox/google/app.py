"""The Google sandbox: its paths, and what they do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from openbulk.sandbox.google import answers, oauth
from openbulk.sandbox.google.answers import Rejected, bad_request
from openbulk.sandbox.google.batch import PATH as BATCH
from openbulk.sandbox.google.batch import batch
from openbulk.sandbox.google.contract import Violations
from openbulk.sandbox.google.listing import list_events, list_instances
from openbulk.sandbox.google.sharing import Sharing
from openbulk.sandbox.google.store import CHANGES_SECONDS, Calendar, Event, Store
from openbulk.sandbox.journal import Journal
from openbulk.sandbox.page import page, paragraph, table
from openbulk.sandbox.server import NAME
from openbulk.sandbox.traffic import Handler, Traffic, json_response

API = "/calendar/v3"
MAX_BODY_BYTES = 1024 * 1024
NEWEST = 50
CHUNK = 1000
"""Events that are written at once."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the sandbox behaves."""

    latency_ms: int = 0
    quota_per_minute: int | None = None
    """Calls a minute and user."""
    faults: str = ""
    project_quota_per_minute: int | None = None
    """Calls a minute of all users who signed in through one client."""
    token_seconds: int = 3600
    """Life of an access token."""
    changes_seconds: float = CHANGES_SECONDS
    """For how long changes are listed by their date (`updatedMin`)."""
    state: Path | None = None
    """The file in which all that it holds is kept; without one, it is gone when the sandbox stops."""


def make_app(options: Options) -> web.Application:
    """The sandbox. Raises ValueError where the faults, or the state, are not understood."""
    return _Sandbox(options).app


class _Sandbox:
    """What the handlers share."""

    def __init__(self, options: Options) -> None:
        journal = Journal(options.state)
        self.store = Store(journal, options.changes_seconds)
        self.violations = Violations()
        self.batches = 0
        self.sign_in = oauth.SignIn(options.token_seconds, journal)
        self.kept_in = (
            f"in {options.state}" if options.state else "in memory and gone when the sandbox stops"
        )
        self.traffic = Traffic(
            is_call=lambda request: request.path.startswith(API),
            caller_of=self._user_or_nobody,
            over_quota=answers.over_quota,
            refusals=answers.REFUSALS,
            expire_token=self.sign_in.expire,
            latency_ms=options.latency_ms,
            quota_per_minute=options.quota_per_minute,
            project_of=self._project_or_none,
            project_quota_per_minute=options.project_quota_per_minute,
            faults_spec=options.faults,
        )
        self.app = web.Application(
            middlewares=[self.traffic.middleware(), _reject, self._check],
            client_max_size=MAX_BODY_BYTES,
        )
        self.app[NAME] = "Google sandbox"
        self._add_routes()

    def _add_routes(self) -> None:
        events = f"{API}/calendars/{{calendar}}/events"
        self.app.add_routes(
            [
                web.get("/", self.show),
                web.get("/o/oauth2/v2/auth", oauth.authorize_page),
                web.post("/o/oauth2/v2/auth", oauth.authorize(self.sign_in)),
                web.post("/token", oauth.token(self.sign_in)),
                web.post("/revoke", oauth.revoke(self.sign_in)),
                web.post(BATCH, self.batch),
                *Sharing(self.store, self.sign_in, _body).routes(),
                web.post(events, self.insert_event),
                web.post(f"{events}/import", self.import_event),
                web.get(events, self.list_events),
                web.get(f"{events}/{{event}}", self.get_event),
                web.get(f"{events}/{{event}}/instances", self.list_instances),
                web.patch(f"{events}/{{event}}", self.patch_event),
                web.put(f"{events}/{{event}}", self.update_event),
                web.delete(f"{events}/{{event}}", self.delete_event),
                web.get("/sandbox/events", self.all_events),
                web.get("/sandbox/stats", self.stats),
                web.get("/sandbox/violations", self.list_violations),
                web.post("/sandbox/tokens", oauth.hand_out(self.sign_in)),
                web.post("/sandbox/faults", self.traffic.change_faults),
                web.post("/sandbox/forget", self.forget),
                web.post("/sandbox/reset", self.reset),
            ]
        )

    @web.middleware
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Write down what Google's description of its API does not allow; it is answered as ever."""
        if request.path.startswith(f"{API}/"):
            path = request.rel_url.raw_path.removeprefix(f"{API}/")
            self.violations.check(request.method, path, request.query, await request.read())
        return await handler(request)

    def _user_or_nobody(self, request: web.Request) -> str:
        try:
            return self.sign_in.user_of(request)
        except Rejected:
            return ""

    def _project_or_none(self, request: web.Request) -> str:
        try:
            return f"project {self.sign_in.client_of(request)}"
        except Rejected:
            return "project of nobody"

    # --- the Calendar API ---

    async def insert_event(self, request: web.Request) -> web.Response:
        """`events.insert`."""
        user = self.sign_in.user_of(request)
        calendar = self.store.calendar(user, request.match_info["calendar"])
        return _event_response(self.store.insert(calendar, user, await _body(request)))

    async def import_event(self, request: web.Request) -> web.Response:
        """`events.import`."""
        user = self.sign_in.user_of(request)
        calendar = self.store.calendar(user, request.match_info["calendar"])
        return _event_response(self.store.import_event(calendar, user, await _body(request)))

    async def list_events(self, request: web.Request) -> web.Response:
        """`events.list`."""
        user = self.sign_in.user_of(request)
        calendar = self.store.calendar(user, request.match_info["calendar"])
        return json_response(list_events(self.store, calendar, request.query))

    async def list_instances(self, request: web.Request) -> web.Response:
        """`events.instances`."""
        calendar = self.store.calendar(
            self.sign_in.user_of(request), request.match_info["calendar"]
        )
        series = self.store.event(calendar, request.match_info["event"])
        return json_response(list_instances(self.store, calendar, series, request.query))

    async def get_event(self, request: web.Request) -> web.Response:
        """`events.get`; "the get method always returns" cancelled events (reference of the field `status`)."""
        calendar = self.store.calendar(
            self.sign_in.user_of(request), request.match_info["calendar"]
        )
        return _event_response(self.store.event(calendar, request.match_info["event"]))

    async def patch_event(self, request: web.Request) -> web.Response:
        """`events.patch`."""
        return await self._change(request, merge=True)

    async def update_event(self, request: web.Request) -> web.Response:
        """`events.update`."""
        return await self._change(request, merge=False)

    async def _change(self, request: web.Request, *, merge: bool) -> web.Response:
        calendar = self.store.calendar(
            self.sign_in.user_of(request), request.match_info["calendar"]
        )
        body = await _body(request)
        event = self.store.event(calendar, request.match_info["event"])
        _check_etag(request, event.etag)
        return _event_response(self.store.replace(calendar, event, body, merge=merge))

    async def delete_event(self, request: web.Request) -> web.Response:
        """`events.delete`."""
        calendar = self.store.calendar(
            self.sign_in.user_of(request), request.match_info["calendar"]
        )
        event = self.store.event(calendar, request.match_info["event"])
        _check_etag(request, event.etag)
        self.store.remove(calendar, event)
        return web.Response(status=204)

    # --- what it holds ---

    async def show(self, _request: web.Request) -> web.Response:
        """The page for people."""
        live = list(self.store.live_events())
        counts = {calendar.id: 0 for calendar in self.store.calendars.values()}
        for calendar, _ in live:
            counts[calendar.id] += 1
        newest = sorted(live, key=lambda pair: pair[1].version, reverse=True)[:NEWEST]
        return page(
            "Google sandbox",
            paragraph(f"Everything here is {self.kept_in}. {len(live)} events."),
            table(
                "Calendars",
                ["Calendar", "Owner", "Events"],
                [(c.summary, c.owner, counts[c.id]) for c in self.store.calendars.values()],
            ),
            table(
                f"Newest {NEWEST} events",
                ["Summary", "Start", "End", "Location", "Calendar", "Id"],
                [_row(calendar, event.body) for calendar, event in newest],
            ),
            table("Calls", ["Status", "Calls"], self.traffic.stats()["by_status"].items()),
            table(
                "Calls that Google's description of its API does not allow",
                ["Method", "Problem", "Times"],
                [tuple(one.values()) for one in self.violations.listed()],
            ),
        )

    async def all_events(self, request: web.Request) -> web.StreamResponse:
        """All live events, and deleted ones if asked for, of one calendar where it is named; streamed, since there
        may be a million."""
        wanted = request.query.get("calendarId")
        events = (
            self.store.events()
            if request.query.get("showDeleted") == "true"
            else self.store.live_events()
        )
        found = [event.json for calendar, event in events if wanted in (None, calendar.id)]
        answer = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
        await answer.prepare(request)
        for begin in range(0, len(found), CHUNK):
            await answer.write((b"," if begin else b"[") + b",".join(found[begin : begin + CHUNK]))
        await answer.write(b"]" if found else b"[]")
        await answer.write_eof()
        return answer

    async def batch(self, request: web.Request) -> web.Response:
        """Several calls in one request."""
        self.batches += 1
        return await batch(request)

    async def stats(self, _request: web.Request) -> web.Response:
        """Counts of the calls so far."""
        return json_response(
            {**self.traffic.stats(), "inserted": self.store.inserted, "batches": self.batches}
        )

    async def list_violations(self, _request: web.Request) -> web.Response:
        """What callers did that Google's description of its API does not allow."""
        return json_response(self.violations.listed())

    async def forget(self, request: web.Request) -> web.Response:
        """Forget tokens of lists, as Google does after a while: `{"tokens": "sync"}`, or `"page"`."""
        forget = {"sync": self.store.forget_sync_tokens, "page": self.store.forget_page_tokens}
        wanted = str((await _body(request)).get("tokens"))
        if wanted not in forget:
            raise bad_request()
        forget[wanted]()
        return json_response({})

    async def reset(self, _request: web.Request) -> web.Response:
        """Forget events and calls; tokens stay good."""
        self.store.reset()
        self.violations = Violations()
        self.batches = 0
        self.traffic.reset()
        return json_response({})


def _row(calendar: Calendar, body: dict[str, Any]) -> tuple[str, ...]:
    begins, ends = _when(body["start"]), _when(body["end"])
    return (
        body.get("summary", ""),
        begins,
        ends,
        body.get("location", ""),
        calendar.summary,
        body["id"],
    )


def _event_response(event: Event) -> web.Response:
    headers = {"ETag": event.etag}
    return web.Response(
        body=event.json, content_type="application/json", charset="utf-8", headers=headers
    )


def _when(place: dict[str, Any]) -> str:
    return str(place.get("dateTime") or place.get("date"))


def _check_etag(request: web.Request, etag: str) -> None:
    if request.headers.get("If-Match", etag) not in {etag, "*"}:
        raise Rejected(
            412, "conditionNotMet", "Precondition Failed", location=("header", "If-Match")
        )


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Rejected(400, "parseError", "Parse Error") from error
    if not isinstance(body, dict):
        raise bad_request()
    return body


@web.middleware
async def _reject(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Rejected as rejected:
        return rejected.answer()
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return answers.not_found().answer()
    except web.HTTPRequestEntityTooLarge:
        return Rejected(413, "uploadTooLarge", "Request Entity Too Large").answer()
