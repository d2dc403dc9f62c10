"""Answers that Google's sandbox does not give, from a service that answers as each test wants."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from openbulk.connectors.base import AuthorizeRequest, ConnectionContext, Connector
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.domain.errors import (
    BadInput,
    NotFound,
    Refused,
    RetryLater,
    ServiceError,
    SignInAgain,
)
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target
from openbulk.engine.quota.governor import Governor, InstancePace
from openbulk.storage.budgets import Budgets
from openbulk.storage.database import migrate, open_ledger_engine
from support import Serve, forget

Answer = tuple[int, Any]
EVENT: Mapping[str, Any] = {
    "summary": "Maths",
    "start": {"date": "2026-03-01"},
    "end": {"date": "2026-03-02"},
}
GIVEN: Mapping[str, Any] = {**EVENT, "id": "given", "iCalUID": "given@google.com"}
TOKEN: Answer = (200, {"access_token": "token", "expires_in": 3600, "refresh_token": "refresh"})


def refusal(status: int, reason: str, message: str = "In Google's words.") -> Answer:
    return status, {
        "error": {
            "errors": [{"domain": "global", "reason": reason, "message": message}],
            "code": status,
            "message": message,
        }
    }


@dataclass
class Google:
    """Gives each method the answer that the test set, and keeps the calls."""

    answers: dict[str, Answer] = field(default_factory=dict)
    token: Answer = TOKEN
    calls: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/token", self.give_token)
        app.router.add_route("*", "/calendar/v3/{path:.*}", self.answer)
        return app

    async def give_token(self, request: web.Request) -> web.Response:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        return web.json_response(self.token[1], status=self.token[0])

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.calls.append(
            (request.method, request.raw_path.partition("?")[0], dict(request.query), body)
        )
        status, answer = self.answers.get(request.method, (200, GIVEN))
        return (
            web.Response(text=answer, status=status)
            if isinstance(answer, str)
            else web.json_response(answer, status=status)
        )

    @property
    def settings(self) -> dict[str, str]:
        return {
            "base.url": self.url,
            "oauth.api.key": "client",
            "oauth.api.secret": "secret",
            "oauth.callback.url": "http://localhost/back",
            "oauth.user.refresh_token": "refresh",
        }


@pytest.fixture
async def google(serve: Serve) -> Google:
    made = Google()
    made.url = await serve(made.app())
    return made


@pytest.fixture
def connector(google: Google, http: aiohttp.ClientSession) -> Connector:
    return GoogleCalendarProvider().connect(ConnectionContext(google.settings, http, forget))


async def create(connector: Connector, values: Mapping[str, Any], **options: Any) -> Outcome:
    target = Target("events", Action.CREATE, options=options)
    (outcome,) = await connector.write(target, [Record(7, values, key="file:7")])
    assert outcome.row == 7
    return outcome


def service_account() -> str:
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "client_email": "robot@project.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": key.decode(),
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return json.dumps(account)


# --- refusals ---


@pytest.mark.parametrize(
    ("answer", "error", "says", "after"),
    [
        (refusal(403, "rateLimitExceeded"), RetryLater, "rate limit", None),
        (refusal(403, "userRateLimitExceeded"), RetryLater, "rate limit", None),
        (
            refusal(403, "quotaExceeded", "Calendar usage limits exceeded."),
            RetryLater,
            "limits on calendar use",
            3600.0,
        ),
        (refusal(403, "accessNotConfigured"), Refused, "enable it there", None),
        (refusal(403, "insufficientPermissions"), Refused, "auth/calendar.events", None),
        (refusal(403, "domainPolicy"), Refused, "administrator", None),
    ],
)
async def test_what_concerns_the_whole_account_is_known_by_the_reason(
    google: Google,
    connector: Connector,
    answer: Answer,
    error: type[ServiceError],
    says: str,
    after: float | None,
) -> None:
    google.answers["POST"] = answer
    with pytest.raises(error, match=says) as raised:
        await create(connector, EVENT)
    assert raised.value.provider_message == answer[1]["error"]["message"]
    assert getattr(raised.value, "after", None) == after


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (refusal(400, "timeRangeEmpty"), "ends before it starts"),
        (refusal(400, "invalid"), "a value is not valid: In Google's words."),
        (refusal(403, "forbidden"), "may not write to that calendar"),
        (refusal(403, "requiredAccessLevel"), "may not write to that calendar"),
        (refusal(403, "forbiddenForServiceAccounts"), "domain-wide delegation"),
        (refusal(404, "notFound"), "calendar 'primary': there is no such calendar"),
        (refusal(409, "conflict"), "Google refused it (conflict)"),
        (refusal(418, "teapot"), "Google refused it (teapot): In Google's words."),
        ((400, "<html>not Google</html>"), "Google refused it (400): <html>not Google</html>"),
        ((400, {"error": "text"}), "Google refused it (400)"),
    ],
)
async def test_what_concerns_one_record_is_its_outcome(
    google: Google, connector: Connector, answer: Answer, says: str
) -> None:
    google.answers["POST"] = answer
    outcome = await create(connector, EVENT)
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.problem is not None
    assert says in outcome.problem.message
    assert outcome.problem.provider_message


@pytest.mark.parametrize(
    "answer", [refusal(404, "notFound"), refusal(403, "forbidden"), (404, "<html>"), (302, "")]
)
async def test_an_account_whose_calendar_cannot_be_seen_does_not_pass_the_check(
    google: Google, connector: Connector, answer: Answer
) -> None:
    google.answers["GET"] = answer
    with pytest.raises(Refused):
        await connector.check()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(404, "notFound"), NotFound),
        (refusal(400, "invalid"), Refused),
        (refusal(410, "fullSyncRequired"), Refused),
        (refusal(403, "rateLimitExceeded"), RetryLater),
    ],
)
async def test_a_page_that_is_refused_says_why(
    google: Google, connector: Connector, answer: Answer, error: type[Exception]
) -> None:
    google.answers["GET"] = answer
    with pytest.raises(error):
        await anext(aiter(connector.read(Query("events"), PageRequest())))


# --- ids ---


async def test_an_id_made_from_the_key_that_is_taken_was_taken_by_us(
    google: Google, connector: Connector
) -> None:
    google.answers["POST"] = refusal(409, "duplicate")
    outcome = await create(connector, EVENT)
    assert outcome.kind is OutcomeKind.CREATED
    assert [method for method, *_ in google.calls] == ["POST"], "no call is spent to look"
    assert outcome.id == google.calls[0][3]["id"]
    assert len(str(outcome.id)) == 52
    assert set(str(outcome.id)) <= set("0123456789abcdefghijklmnopqrstuv")


async def test_a_look_at_a_taken_id_that_is_throttled_decides_nothing(
    google: Google, connector: Connector
) -> None:
    google.answers = {"POST": refusal(409, "duplicate"), "GET": refusal(403, "rateLimitExceeded")}
    with pytest.raises(RetryLater):
        await create(connector, {**EVENT, "id": "maths2026"})


async def test_the_mark_on_an_event_with_a_callers_id_keeps_other_properties(
    google: Google, connector: Connector
) -> None:
    await create(
        connector, {**EVENT, "id": "maths2026", "extendedProperties": {"private": {"class": "3b"}}}
    )
    properties = google.calls[0][3]["extendedProperties"]["private"]
    assert properties["class"] == "3b"
    assert "file:7" not in str(properties), "the key stays with us"


async def test_a_deletion_that_google_refuses_is_refused_for_each_row(
    google: Google, connector: Connector
) -> None:
    """The event is still there for the next row that means it."""
    event = {**EVENT, "id": "maths2026", "iCalUID": "17@school.example", "status": "confirmed"}
    google.answers = {"GET": (200, {"items": [event]}), "DELETE": refusal(403, "forbidden")}
    target = Target("events", Action.DELETE, run="1")
    for number in (1, 2):
        row = Record(number, {"iCalUID": "17@school.example"}, key=f"file:{number}")
        (outcome,) = await connector.write(target, [row])
        assert outcome.kind is OutcomeKind.FAILED


# --- the call ---


@pytest.mark.parametrize(
    ("values", "options", "path", "parameters"),
    [
        ({}, {}, "primary", {}),
        (
            {},
            {"path": "/calendars/team%40group.calendar.google.com/events"},
            "team@group.calendar.google.com",
            {},
        ),
        ({"calendarId": "en#holiday@group.v"}, {"calendarId": "other"}, "en%23holiday@group.v", {}),
        ({"calendarId": "a/../b?c"}, {}, "a%2F..%2Fb%3Fc", {}),
        ({}, {"sendUpdates": "all"}, "primary", {"sendUpdates": "all"}),
        (
            {"conferenceData": '{"conferenceId": "x"}'},
            {},
            "primary",
            {"conferenceDataVersion": "1"},
        ),
        (
            {"attachments": [{"fileUrl": "https://x"}]},
            {},
            "primary",
            {"supportsAttachments": "true"},
        ),
    ],
)
async def test_the_call_is_the_one_that_google_documents(
    google: Google,
    connector: Connector,
    values: Mapping[str, Any],
    options: Mapping[str, Any],
    path: str,
    parameters: Mapping[str, str],
) -> None:
    assert (await create(connector, {**EVENT, **values}, **options)).kind is OutcomeKind.CREATED
    ((method, seen, query, body),) = google.calls
    assert (method, seen) == ("POST", f"/calendar/v3/calendars/{path}/events")
    assert query == {"sendUpdates": "none", **parameters}
    assert "calendarId" not in body


async def test_a_send_updates_that_is_not_known_costs_no_call(
    google: Google, connector: Connector
) -> None:
    outcome = await create(connector, EVENT, sendUpdates="everybody")
    assert outcome.problem is not None
    assert "it can be none, all, externalOnly" in outcome.problem.message
    assert google.calls == []


@pytest.mark.parametrize(
    "values",
    [
        {"summary": "half a character \ud83d"},
        {"reminders": {"overrides": [{"minutes": 10**30}]}},
        {"reminders": '{"overrides": [{"minutes": "99999999999999999999"}]}'},
        {"workingLocationProperties": {"homeOffice": {"big": 10**30}}},
    ],
)
async def test_a_value_that_json_cannot_hold_fails_its_record_only(
    google: Google, connector: Connector, values: Mapping[str, Any]
) -> None:
    outcome = await create(connector, {**EVENT, **values})
    assert outcome.kind is OutcomeKind.FAILED
    assert google.calls == []


async def test_places_of_a_list_without_a_value_are_left_out(
    google: Google, connector: Connector
) -> None:
    await create(connector, {**EVENT, "recurrence": ["RRULE:FREQ=DAILY", None]})
    assert google.calls[0][3]["recurrence"] == ["RRULE:FREQ=DAILY"]


# --- sign-in ---


def test_the_sign_in_asks_for_the_narrow_scope_and_for_a_refresh_token() -> None:
    request = AuthorizeRequest("client", "secret", "https://example.com/back", state="s&t")
    address = (
        GoogleCalendarProvider.oauth.authorize_url(request) if GoogleCalendarProvider.oauth else ""
    )
    assert address.startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    assert "secret" not in address
    assert parse_qs(urlsplit(address).query) == {
        "client_id": ["client"],
        "redirect_uri": ["https://example.com/back"],
        "response_type": ["code"],
        "scope": ["https://www.googleapis.com/auth/calendar.events"],
        "access_type": ["offline"],
        "prompt": ["consent"],
        "state": ["s&t"],
    }


async def test_a_code_becomes_a_refresh_token(google: Google, http: aiohttp.ClientSession) -> None:
    assert GoogleCalendarProvider.oauth
    kept = await GoogleCalendarProvider.oauth.exchange("4/code", google.settings, http)
    assert kept == {"oauth.user.refresh_token": "refresh"}
    assert google.forms == [
        {
            "grant_type": "authorization_code",
            "code": "4/code",
            "redirect_uri": "http://localhost/back",
            "client_id": "client",
            "client_secret": "secret",
        }
    ]


async def test_a_code_that_gives_no_refresh_token_says_how_to_get_one(
    google: Google, http: aiohttp.ClientSession
) -> None:
    google.token = (200, {"access_token": "token"})
    assert GoogleCalendarProvider.oauth
    with pytest.raises(SignInAgain, match="/elements/googlecalendar/oauth/url"):
        await GoogleCalendarProvider.oauth.exchange("4/code", google.settings, http)


@pytest.mark.parametrize("error", ["invalid_grant", "unauthorized_client"])
async def test_a_service_account_that_is_refused_says_what_to_mend(
    google: Google, http: aiohttp.ClientSession, error: str
) -> None:
    google.token = (
        400 if error == "invalid_grant" else 401,
        {"error": error, "error_description": "No."},
    )
    settings = {
        "base.url": google.url,
        "google.service_account": service_account(),
        "google.subject": "a@example.com",
    }
    connector: Connector = GoogleCalendarProvider().connect(
        ConnectionContext(settings, http, forget)
    )
    with pytest.raises(SignInAgain, match=r"google\.subject") as raised:
        await connector.check()
    assert raised.value.provider_message == "No."


async def test_a_usage_limit_costs_one_call_and_no_more(
    google: Google, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """The next call fails without being sent, with the reason and the time to wait."""
    engine = open_ledger_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    await migrate(engine)
    google.answers["POST"] = refusal(403, "quotaExceeded")
    for _ in range(3):
        pace = InstancePace(Governor(Budgets(engine)))
        connector = GoogleCalendarProvider().connect(
            ConnectionContext(google.settings, http, forget, pace)
        )
        with pytest.raises(RetryLater, match="they are lifted after hours") as busy:
            await create(connector, EVENT)
        assert busy.value.after is not None
        assert busy.value.after > 3_500
    assert len(google.calls) == 1
    await engine.dispose()


async def test_a_limit_of_the_configuration_has_to_be_a_number(
    google: Google, http: aiohttp.ClientSession
) -> None:
    """Making the instance fails."""
    with pytest.raises(BadInput, match="must be a whole number of calls"):
        GoogleCalendarProvider().connect(
            ConnectionContext({**google.settings, "quota.user.minute": "many"}, http, forget)
        )
