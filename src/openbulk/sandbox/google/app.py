"""The Google sandbox: its routes and its operator pages."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from openbulk.sandbox.google import errors
from openbulk.sandbox.google.batch import PATH as BATCH
from openbulk.sandbox.google.batch import handle_batch
from openbulk.sandbox.google.bodies import read_body
from openbulk.sandbox.google.contract import Violations, find_bad_parameter
from openbulk.sandbox.google.errors import Rejected, bad_request, invalid
from openbulk.sandbox.google.events import Events
from openbulk.sandbox.google.oauth import OAuth
from openbulk.sandbox.google.sharing import Sharing
from openbulk.sandbox.google.store import CHANGES_SECONDS, Calendar, Event, Store
from openbulk.sandbox.google.tokens import Tokens
from openbulk.sandbox.journal import Journal
from openbulk.sandbox.page import Time, page, paragraph, table
from openbulk.sandbox.server import NAME
from openbulk.sandbox.traffic import Handler, Traffic, json_response

API = "/calendar/v3"
MAX_BODY_BYTES = 1024 * 1024
NEWEST = 50
CHUNK = 1000
"""Events in one write of `/sandbox/events`."""


@dataclass(frozen=True, slots=True)
class Options:
    """The behaviour of the sandbox."""

    latency_ms: int = 0
    quota_per_minute: int | None = None
    """Calls per minute and user."""
    faults: str = ""
    project_quota_per_minute: int | None = None
    """Calls per minute of all users who signed in through one client."""
    token_seconds: int = 3600
    """Life of an access token."""
    changes_seconds: float = CHANGES_SECONDS
    """Seconds for which changes can be listed by their date (`updatedMin`)."""
    state: Path | None = None
    """The file that keeps the data. Without one, the data is gone when the sandbox stops."""


def make_app(options: Options) -> web.Application:
    """The sandbox. Raises ValueError if the faults or the state cannot be parsed."""
    return _Sandbox(options).app


class _Sandbox:
    """The state that the handlers share."""

    def __init__(self, options: Options) -> None:
        journal = Journal(options.state)
        self.store = Store(journal, options.changes_seconds)
        self.violations = Violations()
        self.batches = 0
        self.tokens = Tokens(options.token_seconds, journal)
        self.location = "in memory and gone when the sandbox stops"
        if options.state is not None:
            self.location = f"in {options.state}"
        self.traffic = Traffic(
            is_call=lambda request: request.path.startswith(API),
            caller_of=self._user_or_nobody,
            over_quota=errors.over_quota,
            refusals=errors.REFUSALS,
            expire_token=self.tokens.expire,
            latency_ms=options.latency_ms,
            quota_per_minute=options.quota_per_minute,
            project_of=self._project_or_nobody,
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
        self.app.add_routes(
            [
                web.get("/", self.show),
                *OAuth(self.tokens).routes(),
                web.post(BATCH, self.batch),
                *Sharing(self.store, self.tokens).routes(API),
                *Events(self.store, self.tokens).routes(API),
                # A stream has a body, which an answer to HEAD must not have.
                web.get("/sandbox/events", self.all_events, allow_head=False),
                web.get("/sandbox/stats", self.stats),
                web.get("/sandbox/violations", self.list_violations),
                web.post("/sandbox/faults", self.traffic.change_faults),
                web.post("/sandbox/forget", self.forget),
                web.post("/sandbox/reset", self.reset),
            ]
        )

    @web.middleware
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count violations of Google's description of its API.

        Like Google, refuse a parameter with an illegal value; ignore one that is not known.
        """
        if request.path.startswith(f"{API}/"):
            path = request.rel_url.raw_path.removeprefix(f"{API}/")
            self.violations.check(request.method, path, request.query, await request.read())
            bad_parameter = find_bad_parameter(request.method, path, request.query)
            if bad_parameter:
                self.tokens.user_of(request)
                raise invalid(f"Invalid value for: {bad_parameter}", bad_parameter)
        return await handler(request)

    def _user_or_nobody(self, request: web.Request) -> str:
        try:
            return self.tokens.user_of(request)
        except Rejected:
            return ""

    def _project_or_nobody(self, request: web.Request) -> str:
        try:
            return f"project {self.tokens.client_of(request)}"
        except Rejected:
            return "project of nobody"

    # --- for operators and tests ---

    async def show(self, _request: web.Request) -> web.Response:
        """The page for people."""
        live = list(self.store.live_events())
        counts = Counter(calendar.id for calendar, _ in live)
        newest = sorted(live, key=lambda pair: pair[1].version, reverse=True)[:NEWEST]
        return page(
            "Google sandbox",
            paragraph(f"Everything here is {self.location}. {len(live)} events."),
            table(
                "Calendars",
                ["Calendar", "Owner", "Events"],
                [(c.summary, c.owner, counts[c.id]) for c in self.store.calendars.values()],
            ),
            table(
                f"Newest {NEWEST} events",
                ["Summary", "Start", "End", "Location", "Calendar", "Id"],
                [_newest_row(calendar, event) for calendar, event in newest],
            ),
            table("Calls", ["Status", "Calls"], self.traffic.stats()["by_status"].items()),
            table(
                "Calls that Google's description of its API does not allow",
                ["Method", "Problem", "Times"],
                [tuple(one.values()) for one in self.violations.resource()],
            ),
        )

    async def all_events(self, request: web.Request) -> web.StreamResponse:
        """All live events, as one JSON list.

        `showDeleted=true` adds deleted ones; `calendarId` selects a calendar.
        """
        calendar_id = request.query.get("calendarId")
        shows_deleted = request.query.get("showDeleted") == "true"
        events = self.store.events() if shows_deleted else self.store.live_events()
        selected = [event.json for calendar, event in events if calendar_id in (None, calendar.id)]
        answer = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
        await answer.prepare(request)
        # Streamed: there may be a million.
        await answer.write(b"[")
        for begin in range(0, len(selected), CHUNK):
            separator = b"," if begin else b""
            await answer.write(separator + b",".join(selected[begin : begin + CHUNK]))
        await answer.write(b"]")
        await answer.write_eof()
        return answer

    async def batch(self, request: web.Request) -> web.Response:
        """`/batch/calendar/v3`."""
        self.batches += 1
        return await handle_batch(request)

    async def stats(self, _request: web.Request) -> web.Response:
        """Counts of the calls so far."""
        return json_response(
            {**self.traffic.stats(), "inserted": self.store.inserted, "batches": self.batches}
        )

    async def list_violations(self, _request: web.Request) -> web.Response:
        """The calls that Google's description of its API does not allow."""
        return json_response(self.violations.resource())

    async def forget(self, request: web.Request) -> web.Response:
        """Expire tokens of lists, as Google does: `{"tokens": "sync"}` or `{"tokens": "page"}`."""
        forget = {"sync": self.store.forget_sync_tokens, "page": self.store.forget_page_tokens}
        wanted = str((await read_body(request)).get("tokens"))
        if wanted not in forget:
            raise bad_request()
        forget[wanted]()
        return json_response({})

    async def reset(self, _request: web.Request) -> web.Response:
        """Forget events and calls; tokens stay valid."""
        self.store.reset()
        self.violations = Violations()
        self.batches = 0
        self.traffic.reset()
        return json_response({})


def _newest_row(calendar: Calendar, event: Event) -> tuple[str, ...]:
    body = event.body
    start, end = _shown_time(body["start"]), _shown_time(body["end"])
    return body.get("summary", ""), start, end, body.get("location", ""), calendar.summary, event.id


def _shown_time(place: dict[str, Any]) -> Time:
    return Time(place.get("dateTime") or place.get("date"))


@web.middleware
async def _reject(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Rejected as rejected:
        return rejected.answer()
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return errors.not_found().answer()
    except web.HTTPRequestEntityTooLarge:
        return Rejected(413, "uploadTooLarge", "Request Entity Too Large").answer()
