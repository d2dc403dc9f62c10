"""Google Calendar, against the sandbox."""

import asyncio
from collections.abc import Mapping

import aiohttp
import pytest

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.domain.errors import AnswerLost, BadInput, Refused, RetryLater, SignInAgain
from openbulk.domain.records import Action, OutcomeKind, Record, Target
from openbulk.sandbox import google
from openbulk.testing.connectors import Connect, record, send
from support import Serve, forget
from support.google_sandbox import GoogleTests, configuration, event, held, set_faults

EVENTS = Target("events", Action.CREATE)


class TestGoogleCalendar(GoogleTests):
    object_name = "events"
    good = (event("Maths"), event("Art"), event("Music"))
    bad = {"summary": "Never", "start": {"date": "2026-02-30"}, "end": {"date": "2026-03-02"}}  # noqa: RUF012
    distinct_field = "summary"

    @pytest.fixture
    async def connect_with_wrong_credentials(
        self, http: aiohttp.ClientSession, url: str
    ) -> Connect:
        settings = {**await configuration(http, url), "oauth.user.refresh_token": "revoked"}
        return lambda: GoogleCalendarProvider().connect(ConnectionContext(settings, http, forget))

    @pytest.fixture
    async def connect_to_nowhere(self, http: aiohttp.ClientSession, url: str) -> Connect:
        settings = {**await configuration(http, url), "base.url": "http://127.0.0.1:1"}
        return lambda: GoogleCalendarProvider().connect(ConnectionContext(settings, http, forget))

    # --- identity ---

    async def test_a_call_whose_answer_was_lost_creates_one_event(
        self, http: aiohttp.ClientSession, url: str, connect: Connect
    ) -> None:
        connector = connect()
        await connector.check()
        await set_faults(http, url, "drop-after=1")
        with pytest.raises(AnswerLost):
            await connector.write(EVENTS, [record(1, event("Maths"))])
        await set_faults(http, url, "")
        (outcome,) = await connector.write(EVENTS, [record(1, event("Maths"))])
        assert outcome.kind is OutcomeKind.CREATED
        assert [one["id"] for one in await held(http, url)] == [outcome.id]

    async def test_an_id_of_the_callers_own_is_kept_also_over_a_lost_answer(
        self, connect: Connect
    ) -> None:
        for _ in range(2):
            (outcome,) = await send(connect, EVENTS, [record(1, event("Maths", id="maths2026"))])
            assert (outcome.kind, outcome.id) == (OutcomeKind.CREATED, "maths2026")

    async def test_an_id_that_another_event_has_is_refused(self, connect: Connect) -> None:
        await send(connect, EVENTS, [record(1, event("Maths", id="maths2026"))])
        (outcome,) = await send(connect, EVENTS, [record(2, event("Art", id="maths2026"))])
        assert outcome.kind is OutcomeKind.FAILED
        assert outcome.problem is not None
        assert "exists, or did before it was deleted" in outcome.problem.message

    # --- what Google would refuse, refused before a call is spent ---

    @pytest.mark.parametrize(
        ("values", "field", "says"),
        [
            ({"summary": "x"}, "start", "start is missing; give start.dateTime"),
            (event("x", summry="y"), "summry", "did you mean 'summary'?"),
            (event("x", id="Not Legal"), "id", "is not a legal event id"),
            (
                event("x", visibility="secret"),
                "visibility",
                "it can be default, public, private, confidential",
            ),
            (event("x", attendees="ann"), "attendees", "a list is written as JSON"),
            (
                event("x", attendees=[{"email": "Ann Lee"}]),
                "attendees[0].email",
                "attendees[0].email is 'Ann Lee', which is not an email address; write it like "
                "ann@",
            ),
            (
                event("x", reminders={"overrides": [{"method": "popup", "minutes": 99999}]}),
                "reminders.overrides[0].minutes",
                "reminders.overrides[0].minutes is 99999; Google takes 0 to 40320",
            ),
            (event("x", attendees='[{"email": '), "attendees", "looks like JSON but is not"),
            (event("x", guestsCanModify="maybe"), "guestsCanModify", "it must be true or false"),
            (event("x", start={"date": "01.03.2026"}), "start.date", "dates look like 2026-02-28"),
            (
                event("x", start={"dateTime": "2026-03-01"}),
                "start.dateTime",
                "is not a date with a time",
            ),
            (
                event("x", start={"date": "2026-03-01", "dateTime": "2026-03-01T10:00:00Z"}),
                "start",
                "both given",
            ),
            (event("x", reminders="loud"), "reminders", "it has fields of its own"),
            (
                event("x", extendedProperties={"private": {"note": "x" * 1025}}),
                "extendedProperties.private.note",
                "its value 1025, and Google keeps 44 and 1024",
            ),
            (
                event("x", extendedProperties={"shared": {"n" * 45: "x"}}),
                f"extendedProperties.shared.{'n' * 45}",
                "its name has 45 characters",
            ),
        ],
    )
    async def test_a_value_that_google_would_refuse_costs_no_call(
        self,
        http: aiohttp.ClientSession,
        url: str,
        connect: Connect,
        values: Mapping[str, object],
        field: str,
        says: str,
    ) -> None:
        (outcome,) = await send(connect, EVENTS, [record(1, values)])
        assert outcome.problem is not None
        assert (outcome.problem.field, says in outcome.problem.message) == (field, True), (
            outcome.problem
        )
        async with http.get(f"{url}/sandbox/stats") as answer:
            assert (await answer.json())["calls"] == 0

    async def test_values_of_a_spreadsheet_become_googles_types(
        self, http: aiohttp.ClientSession, url: str, connect: Connect
    ) -> None:
        values = event(
            "Lesson",
            start={"dateTime": "2026-03-01 09:00", "timeZone": "Europe/Berlin"},
            end={"dateTime": "2026-03-01T10:00:00+01:00", "timeZone": "Europe/Berlin"},
            attendees=[{"email": "ann@example.com", "optional": "TRUE"}],
            reminders='{"useDefault": false, "overrides": [{"method": "popup", "minutes": "10"}]}',
            recurrence="RRULE:FREQ=DAILY;COUNT=3",
            visibility="Private",
            kind="calendar#event",
            htmlLink="https://example.com",
        )
        (outcome,) = await send(connect, EVENTS, [record(1, values)])
        assert outcome.kind is OutcomeKind.CREATED, outcome
        (one,) = await held(http, url)
        assert one["start"] == {
            "dateTime": "2026-03-01T09:00:00+01:00",
            "timeZone": "Europe/Berlin",
        }
        assert one["attendees"] == [{"email": "ann@example.com", "optional": True}]
        assert one["reminders"] == {
            "useDefault": False,
            "overrides": [{"method": "popup", "minutes": 10}],
        }
        assert (one["recurrence"], one["visibility"]) == (["RRULE:FREQ=DAILY;COUNT=3"], "private")

    # --- where it goes ---

    async def test_the_calendar_is_that_of_the_row_of_metadata_or_the_primary_one(
        self, http: aiohttp.ClientSession, url: str, connect: Connect
    ) -> None:
        connector = connect()
        batch = [
            record(1, event("primary")),
            record(2, event("nowhere", calendarId="nobody@example.com")),
        ]
        outcomes = await send(connect, EVENTS, batch)
        assert [outcome.kind for outcome in outcomes] == [OutcomeKind.CREATED, OutcomeKind.FAILED]
        assert outcomes[1].problem is not None
        assert "check calendarId" in outcomes[1].problem.message
        for options in (
            {"calendarId": "ann@example.com"},
            {"path": "/calendars/ann@example.com/events"},
        ):
            target = Target("events", Action.CREATE, options=options)
            (outcome,) = await connector.write(
                target, [Record(1, event("named"), key=str(options))]
            )
            assert outcome.kind is OutcomeKind.CREATED
        assert len(await held(http, url)) == 3

    # --- when the service is not well ---

    async def test_a_quota_that_is_used_up_is_waited_for(
        self, http: aiohttp.ClientSession, serve: Serve
    ) -> None:
        url = await serve(google.make_app(google.Options(quota_per_minute=2)))
        connector: Connector = GoogleCalendarProvider().connect(
            ConnectionContext(await configuration(http, url), http, forget)
        )
        with pytest.raises(RetryLater, match="rateLimitExceeded"):
            for row in range(3):
                await connector.write(EVENTS, [record(row, event("x"))])

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ("error-429", RetryLater),
            ("error-503", RetryLater),
            ("error-500", AnswerLost),
            ("drop-before", AnswerLost),
        ],
    )
    async def test_failures_say_whether_the_event_may_have_been_made(
        self,
        http: aiohttp.ClientSession,
        url: str,
        connect: Connect,
        fault: str,
        error: type[Exception],
    ) -> None:
        connector = connect()
        await connector.check()
        await set_faults(http, url, f"{fault}=1")
        with pytest.raises(error):
            await connector.write(EVENTS, [record(1, event("x"))])

    async def test_a_token_that_ran_out_is_renewed_once_for_all_calls(
        self, http: aiohttp.ClientSession, serve: Serve
    ) -> None:
        url = await serve(google.make_app(google.Options(token_seconds=61)))
        connector: Connector = GoogleCalendarProvider().connect(
            ConnectionContext(await configuration(http, url), http, forget)
        )
        await connector.check()
        await set_faults(http, url, "expire-token=1")
        with pytest.raises(SignInAgain):
            await connector.write(EVENTS, [record(1, event("x"))])
        await set_faults(http, url, "")
        batches = [[record(row, event(str(row)))] for row in range(20)]
        answers = await asyncio.gather(*(connector.write(EVENTS, batch) for batch in batches))
        assert {answer[0].kind for answer in answers} == {OutcomeKind.CREATED}


async def test_a_private_address_is_refused_for_good(http: aiohttp.ClientSession) -> None:
    from openbulk.notify.egress import guarded_connector  # noqa: PLC0415

    settings = {
        "base.url": "http://127.0.0.1:1",
        "oauth.api.key": "client",
        "oauth.api.secret": "secret",
        "oauth.user.refresh_token": "token",
    }
    async with aiohttp.ClientSession(connector=guarded_connector(allowed=(), limit=1)) as guarded:
        connector: Connector = GoogleCalendarProvider().connect(
            ConnectionContext(settings, guarded, forget)
        )
        with pytest.raises(Refused, match="OPENBULK_ALLOW_PRIVATE_ADDRESSES"):
            await connector.check()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "the instance has no credentials"),
        ({"oauth.user.refresh_token": "t"}, "lacks oauth.api.key and oauth.api.secret"),
        ({"google.service_account": "{}"}, "is not the JSON key of a service account"),
    ],
)
async def test_an_instance_without_credentials_says_what_to_give(
    http: aiohttp.ClientSession, settings: Mapping[str, str], says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        GoogleCalendarProvider().connect(ConnectionContext(settings, http, forget))


async def test_a_service_account_signs_in_for_its_subject(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    import json  # noqa: PLC0415

    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

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
    url = await serve(google.make_app(google.Options()))
    settings = {
        "base.url": url,
        "google.service_account": json.dumps(account),
        "google.subject": "head@school.example.com",
    }
    connector: Connector = GoogleCalendarProvider().connect(
        ConnectionContext(settings, http, forget)
    )
    (outcome,) = await connector.write(EVENTS, [record(1, event("Assembly"))])
    assert outcome.kind is OutcomeKind.CREATED
    (one,) = await held(http, url)
    assert one["creator"] == {"email": "head@school.example.com", "self": True}
