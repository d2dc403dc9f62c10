"""Custom connectors: what an export means, and the promises of every connector."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_connector.service import Service
from openbulk.connectors.base import CUSTOM, AuthorizeRequest, ConnectionContext, Connector
from openbulk.connectors.custom import CustomProvider
from openbulk.connectors.custom.description import Description
from openbulk.connectors.custom.export import key_of, read_export, without_secrets
from openbulk.connectors.custom.paging import link_to_next
from openbulk.connectors.custom.replacement import problem_of_replacement
from openbulk.connectors.custom.templates import fill_base, fill_path
from openbulk.connectors.drift import write_checked
from openbulk.domain.errors import (
    BadInput,
    NotFound,
    Refused,
    RetryLater,
    ServiceError,
    SignInAgain,
)
from openbulk.domain.plan import Change
from openbulk.domain.query import PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Target
from openbulk.notify.egress import guarded_connector
from openbulk.testing.connectors import (
    Connect,
    ConnectorTests,
    check_schema,
    plan,
    record,
    records_of,
    send,
)
from support import Serve, forget

EXPORT = Path(__file__).parents[2] / "examples" / "custom_connector" / "acmecrm.json"


def export_of(url: str = "https://api.example.com", **more: Any) -> dict[str, Any]:
    """The example's export, for a service at an address."""
    export: dict[str, Any] = json.loads(EXPORT.read_text())
    export["configuration"][0]["defaultValue"] = url
    return {**export, **more}


def paged(export: dict[str, Any], kind: str, parameter: str, next_key: str = "") -> dict[str, Any]:
    """The export with pages of a kind."""
    entries = {one["key"]: one for one in export["configuration"]}
    entries["pagination.type"]["defaultValue"] = kind
    listing = export["resources"][0]
    listing["nextPageKey"] = next_key
    listing["parameters"][1] |= {
        "name": "page" if kind == "page" else "nextPage",
        "vendorName": parameter,
    }
    if not parameter:
        del listing["parameters"][1]
    return export


def connect(
    export: Mapping[str, Any], http: aiohttp.ClientSession, **configuration: str
) -> Connector:
    given = {name.replace("_", "."): value for name, value in configuration.items()}
    given.setdefault("api.key", "secret")
    provider = CustomProvider(read_export(export))
    return provider.connect(ConnectionContext(given, http, forget))


def left_out(export: Mapping[str, Any]) -> dict[str, str]:
    """What an export loses, by its places."""
    return {one.place: one.reason for one in read_export(export).left_out}


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def url(serve: Serve, service: Service) -> str:
    return await serve(service.app())


# --- the promises of every connector, for each kind of pages and of sign-in ---


class CustomTests(ConnectorTests):
    object_name = "contacts"
    good = (
        {"email": "ann@example.com", "name": "Ann", "age": "40"},
        {"email": "bob@example.com", "name": "Bob"},
        {"email": "cara@example.com"},
    )
    bad = {"email": "not an address"}  # noqa: RUF012
    distinct_field = "email"

    def export(self, url: str) -> dict[str, Any]:
        return export_of(f"{url}/offset")

    @pytest.fixture
    async def connect(self, http: aiohttp.ClientSession, url: str) -> Connect:
        return lambda: connect(self.export(url), http)

    @pytest.fixture
    async def connect_with_wrong_credentials(
        self, http: aiohttp.ClientSession, url: str
    ) -> Connect:
        return lambda: connect(self.export(url), http, api_key="wrong", password="wrong")

    @pytest.fixture
    async def connect_to_nowhere(self, http: aiohttp.ClientSession) -> Connect:
        return lambda: connect(self.export("http://127.0.0.1:1"), http)


class TestOffsetsAndAKeyInAHeader(CustomTests):
    pass


class TestNumberedPagesAndAKeyInTheQuery(CustomTests):
    def export(self, url: str) -> dict[str, Any]:
        export = paged(export_of(f"{url}/page"), "page", "page")
        export["parameters"][0] |= {"vendorName": "key", "vendorType": "query"}
        return export


class TestCursorsAndBasic(CustomTests):
    def export(self, url: str) -> dict[str, Any]:
        export = paged(export_of(f"{url}/cursor"), "cursor", "after", "body.paging.next")
        export |= {"authentication": {"type": "basic"}, "parameters": []}
        export["configuration"][1] |= {"required": False}
        export["configuration"] += [
            {"key": "username", "defaultValue": "ann"},
            {"key": "password", "type": "PASSWORD"},
        ]
        return export

    @pytest.fixture
    async def connect(self, http: aiohttp.ClientSession, url: str) -> Connect:
        return lambda: connect(self.export(url), http, password="secret")

    @pytest.fixture
    async def connect_to_nowhere(self, http: aiohttp.ClientSession) -> Connect:
        return lambda: connect(self.export("http://127.0.0.1:1"), http, password="secret")


class TestLinksInTheBody(CustomTests):
    def export(self, url: str) -> dict[str, Any]:
        return paged(export_of(f"{url}/link"), "link", "", "body.next")


class TestLinksInAHeaderAndNoFields(CustomTests):
    good = ({"email": "ann@example.com"}, {"email": "bob@example.com"}, {"email": "c@example.com"})

    def export(self, url: str) -> dict[str, Any]:
        export = export_of(f"{url}/header", objects=[])
        return paged(export, "cursor", "", "header.Link")


class TestACursorInAnAddress(CustomTests):
    def export(self, url: str) -> dict[str, Any]:
        return paged(export_of(f"{url}/link"), "cursor", "after", "body.next?after")


# --- OAuth 2 ---


def oauth_export(url: str) -> dict[str, Any]:
    export = export_of(f"{url}/offset", authentication={"type": "oauth2"}, parameters=[])
    export["configuration"][1:2] = [
        {"key": "oauth.authorization.url", "defaultValue": f"{url}/oauth/authorize?access=offline"},
        {"key": "oauth.token.url", "defaultValue": f"{url}/oauth/token"},
        {"key": "oauth.token.revoke_url", "defaultValue": f"{url}/oauth/revoke"},
        {"key": "oauth.scope", "defaultValue": "people"},
    ]
    return export


APPLICATION = {"oauth.api.key": "client", "oauth.api.secret": "client-secret"}


async def test_a_person_signs_in_by_code_and_tokens_are_renewed(
    http: aiohttp.ClientSession, url: str, service: Service
) -> None:
    """Each refresh token is remembered; a token that the service forgets is renewed at once."""
    provider = CustomProvider(read_export(oauth_export(url)))
    assert provider.oauth is not None
    asked = AuthorizeRequest("client", "client-secret", "https://me.example.com/back", state="s")
    assert provider.oauth.authorize_url(asked) == (
        f"{url}/oauth/authorize?access=offline&response_type=code&client_id=client"
        "&redirect_uri=https%3A%2F%2Fme.example.com%2Fback&scope=people&state=s"
    )
    entries = dict(APPLICATION)
    entries |= await provider.oauth.exchange("code", entries, http)
    assert entries["oauth.user.refresh_token"] == "refresh-1"
    remembered: list[Mapping[str, str]] = []

    async def remember(changes: Mapping[str, str]) -> None:
        remembered.append(changes)

    connector = provider.connect(ConnectionContext(entries, http, remember))
    await connector.check()
    service.access_token = "another"
    await connector.check()
    assert remembered == [
        {"oauth.user.refresh_token": "refresh-2"},
        {"oauth.user.refresh_token": "refresh-3"},
    ]
    await provider.oauth.revoke({**entries, **remembered[-1]}, http)
    with pytest.raises(SignInAgain):
        await connector.check()
    with pytest.raises(SignInAgain):
        await provider.oauth.exchange("no code", entries, http)


async def test_a_service_without_refresh_tokens_keeps_its_access_token(
    http: aiohttp.ClientSession, url: str, service: Service
) -> None:
    """It is sent as the export says; once it is refused, a person has to sign in again."""
    service.access_token = "long"
    export = oauth_export(url)
    export["parameters"] = [
        {
            "name": "Bearer ${configuration.oauth.user.token}",
            "type": "value",
            "vendorName": "Authorization",
            "vendorType": "header",
        }
    ]
    provider = CustomProvider(read_export(export))
    entries = {**APPLICATION, "oauth.user.token": "long"}
    connector = provider.connect(ConnectionContext(entries, http, forget))
    await connector.check()
    service.access_token = "another"
    with pytest.raises(SignInAgain):
        await connector.check()
    with pytest.raises(BadInput, match="/elements/acmecrm/oauth/url"):
        provider.connect(ConnectionContext(APPLICATION, http, forget))


# --- calls ---


async def write(
    connector: Connector, action: Action, values: Mapping[str, Any], **target: Any
) -> Outcome:
    """The outcome of one record."""
    wanted = Target(target.pop("object", "contacts"), action, **target)
    (outcome,) = await send(lambda: connector, wanted, [record(1, values)])
    return outcome


def message(outcome: Outcome) -> str:
    assert outcome.problem is not None
    return outcome.problem.message


async def test_a_record_is_changed_and_deleted_by_its_id(
    http: aiohttp.ClientSession, url: str, service: Service
) -> None:
    connector = connect(export_of(f"{url}/offset"), http)
    made = await write(connector, Action.CREATE, {"email": "a@b.c", "age": "7"})
    assert service.people["1"] == {"id": 1, "email": "a@b.c", "age": 7}
    changes = {"id": made.id, "age": "8"}
    assert (await write(connector, Action.UPDATE, changes)).kind is OutcomeKind.UPDATED
    assert service.people["1"]["age"] == 8
    for kind in (OutcomeKind.DELETED, OutcomeKind.NOT_FOUND):
        assert (await write(connector, Action.DELETE, {"id": made.id})).kind is kind
    gone = await write(connector, Action.UPDATE, changes)
    assert message(gone) == "the service has no record with the id '1'"
    refused = await write(connector, Action.CREATE, {"email": "nobody"})
    assert message(refused) == "email is not an address"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"email": "a@b.c", "age": "seven"}, "age is 'seven'; it is a whole number, such as 12"),
        ({"id": "", "email": "a@b.c"}, "id is missing: it identifies the record"),
        ({"id": "..", "email": "a@b.c"}, "id is '..', which cannot be part of a path"),
    ],
)
async def test_a_value_that_cannot_be_sent_costs_its_own_record_alone(
    http: aiohttp.ClientSession,
    url: str,
    service: Service,
    values: Mapping[str, str],
    sentence: str,
) -> None:
    action = Action.UPDATE if "id" in values else Action.CREATE
    outcome = await write(connect(export_of(f"{url}/offset"), http), action, values)
    assert message(outcome) == sentence
    assert service.requests == []


async def test_no_value_changes_the_steps_of_a_path(
    http: aiohttp.ClientSession, url: str, service: Service
) -> None:
    connector = connect(export_of(f"{url}/offset"), http)
    for wild in ("../me", "1?admin=true", "1#", "a/b", "%2e%2e", "http://example.com/"):
        with pytest.raises(NotFound):
            await connector.get("contacts", wild, {})
        assert service.requests[-1].match_info.get("id") == wild
        assert service.requests[-1].rel_url.query_string == ""
    for wild in ("", ".", "..", "\n"):
        seen = len(service.requests)
        with pytest.raises(NotFound):
            await connector.get("contacts", wild, {})
        assert len(service.requests) == seen


async def test_an_object_below_another_gets_the_parameter_of_its_path(
    http: aiohttp.ClientSession, url: str, service: Service
) -> None:
    export = export_of(f"{url}/offset")
    for one in export["resources"][:2]:
        one["path"] = "/hubs/crm/teams/{team}/members"
        one["vendorPath"] = "/teams/{team}/people"
    connector = connect(export, http)
    features = (await connector.objects())["members"]
    assert features.paths == ("teams/{team}/members",)
    options = {"team": "a/b"}
    values = {"email": "a@b.c"}
    made = await write(connector, Action.CREATE, values, object="members", options=options)
    assert made.kind is OutcomeKind.CREATED
    assert service.people["1"]["team"] == "a/b"
    query = Query("members", parameters={"team": "a/b"})
    assert len((await anext(connector.read(query, PageRequest()))).records) == 1
    without = await write(connector, Action.CREATE, values, object="members")
    assert message(without) == "metaData.team is missing: it is part of the path of 'members'"


async def test_a_busy_service_is_called_again_when_it_says(
    http: aiohttp.ClientSession, url: str, service: Service
) -> None:
    service.busy = 1
    with pytest.raises(RetryLater) as busy:
        await connect(export_of(f"{url}/offset"), http).check()
    assert busy.value.after == 1.0


# --- records that are known by another field ---


def with_lookup(url: str) -> dict[str, Any]:
    """The export, whose list can be asked for an address."""
    export = export_of(f"{url}/offset")
    export["resources"][0]["parameters"].append(
        {"name": "email", "type": "query", "vendorName": "email", "vendorType": "query"}
    )
    return export


async def test_an_upsert_looks_a_record_up_by_a_field_that_the_list_takes(
    http: aiohttp.ClientSession, url: str, service: Service
) -> None:
    """The service of the tests shows others, too: only an equal value counts."""
    connector = connect(with_lookup(url), http)
    features = (await connector.objects())["contacts"]
    assert Action.UPSERT in features.actions
    assert features.lookups == {"email"}
    plain = connect(export_of(f"{url}/offset"), http)
    assert Action.UPSERT not in (await plain.objects())["contacts"].actions
    by_email = {"identifier_field": "email"}
    for email, age, kind in (
        ("a@b.c", 1, OutcomeKind.CREATED),
        ("d@e.f", 2, OutcomeKind.CREATED),
        ("a@b.c", 3, OutcomeKind.UPDATED),
    ):
        values = {"email": email, "age": age}
        assert (await write(connector, Action.UPSERT, values, **by_email)).kind is kind
    assert [one["age"] for one in service.people.values()] == [3, 2]
    gone = await write(connector, Action.UPDATE, {"email": "x@y.z"}, **by_email)
    assert message(gone) == "the service has no record whose email is 'x@y.z'"
    missing = await write(connector, Action.DELETE, {"email": "x@y.z"}, **by_email)
    assert missing.kind is OutcomeKind.NOT_FOUND
    service.people["9"] = {"id": 9, "email": "a@b.c"}
    twice = await write(connector, Action.DELETE, {"email": "a@b.c"}, **by_email)
    assert message(twice) == ("email 'a@b.c' does not identify a record: the service has 2 records")
    other = await write(connector, Action.UPDATE, {"name": "A"}, identifier_field="name")
    assert message(other) == "name cannot identify records of 'contacts'; id or email can"


async def test_a_plan_says_what_becomes_of_records_that_the_service_shows(
    http: aiohttp.ClientSession, url: str, service: Service
) -> None:
    """By id and by a field of the list, each row behind the ones before it; nothing is sent."""
    connector = connect(with_lookup(url), http)
    ann = {"email": "ann@example.com", "name": "Ann", "age": 40}
    (made,) = await send(lambda: connector, Target("contacts", Action.CREATE), [record(1, ann)])
    stored = json.dumps(service.people, default=str)
    by_email = Target("contacts", Action.UPSERT, "email", run="upsert")
    rows: list[Mapping[str, Any]] = [
        {"email": "ann@example.com", "name": "Anna", "age": "40"},
        {"email": "ann@example.com", "name": "Anna"},
        {"email": "bob@example.com", "name": "Bob"},
        {"email": "bob@example.com", "name": "Rob"},
        {"name": "Cara"},
        {"email": "dan@example.com", "age": "old"},
    ]
    planned = await plan(lambda: connector, by_email, records_of(rows))
    assert [one.kind.value for one in planned] == [
        *("updated", "unchanged", "created", "updated", "refused", "refused")
    ]
    assert (planned[0].id, planned[0].changes) == (made.id, {"name": Change("Ann", "Anna")})
    assert (planned[3].id, planned[3].changes) == (None, {"name": Change("Bob", "Rob")})
    assert (planned[0].key, planned[2].key) == (planned[1].key, planned[3].key)
    delete = Target("contacts", Action.DELETE, run="delete")
    twice = await plan(lambda: connector, delete, records_of([{"id": made.id}] * 2))
    assert [one.kind.value for one in twice] == ["deleted", "not_found"]
    missing = Target("contacts", Action.UPDATE, run="update")
    (one,) = await plan(lambda: connector, missing, [record(1, {"id": "99", "name": "x"})])
    assert one.problem and one.problem.message == "the service has no record with the id '99'"
    assert json.dumps(service.people, default=str) == stored


async def test_a_plan_of_rows_of_one_new_record_is_carried_out(
    http: aiohttp.ClientSession, url: str, service: Service
) -> None:
    """The plan does not know its id. A row that changes nothing is not sent."""
    connector = connect(with_lookup(url), http)
    to = Target("contacts", Action.UPSERT, "email", run="apply")
    rows = [{"email": "bob@example.com", "name": name} for name in ("Bob", "Rob", "Rob")]
    planned = await plan(lambda: connector, to, records_of(rows))
    outcomes: list[Outcome] = []
    for one, said in zip(records_of(rows), planned, strict=True):
        expecting = one._replace(expected=said.expectation)
        outcomes += await write_checked(connector, to, [expecting])
    assert [one.kind.value for one in outcomes] == ["created", "updated", "unchanged"]
    writes = [one.method for one in service.requests if one.method != "GET"]
    assert len(writes) == 2


async def test_what_became_of_a_lost_answer_is_told_by_the_record_itself(
    http: aiohttp.ClientSession, url: str, service: Service
) -> None:
    """A record is found if it is as its writing leaves it, and never on a guess."""
    connector = connect(with_lookup(url), http)
    service.people["1"] = {"id": 1, "email": "a@b.c", "age": 5}

    async def is_found(action: Action, identifier: str | None, **values: str) -> bool:
        target = Target("contacts", action, identifier_field=identifier)
        batch = [record(1, values)]
        return batch[0].key in await connector.find(target, batch)

    assert await is_found(Action.CREATE, "email", email="a@b.c", age="5")
    assert not await is_found(Action.CREATE, "email", email="a@b.c", age="6")
    assert not await is_found(Action.CREATE, None, email="a@b.c")
    assert await is_found(Action.UPDATE, None, id="1", age="5")
    assert not await is_found(Action.UPDATE, None, id="1", age="6")
    assert not await is_found(Action.DELETE, None, id="1")
    assert await is_found(Action.DELETE, None, id="2")


# --- pages that a service gets wrong ---


Answerer = Callable[[aiohttp.web.Request], Any]


async def pages_of(
    serve: Serve,
    http: aiohttp.ClientSession,
    answer: Answerer,
    change: Callable[[str], dict[str, Any]],
) -> list[list[int]]:
    """The ids of the records of all pages of a service that answers so."""

    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        body = answer(request)
        if isinstance(body, aiohttp.web.Response):
            return body
        return aiohttp.web.json_response(body)

    app = aiohttp.web.Application()
    app.router.add_get("/{path:.*}", handle)
    connector = connect(change(await serve(app)), http)
    pages: AsyncIterator[Any] = connector.read(Query("contacts"), PageRequest(size=2))
    return [[one["id"] for one in page.records] async for page in pages]


def numbered(url: str) -> dict[str, Any]:
    return paged(export_of(url), "page", "page")


def items(*ids: int, **more: Any) -> dict[str, Any]:
    return {"items": [{"id": one} for one in ids], **more}


async def test_a_service_with_smaller_pages_than_asked_for_is_read_to_its_end(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    """It shows one record at a time, though it was asked for two, and 404 behind the last page."""

    def answer(request: aiohttp.web.Request) -> Any:
        number = int(request.query["page"])
        return items(number) if number < 4 else aiohttp.web.Response(status=404)

    assert await pages_of(serve, http, answer, numbered) == [[1], [2], [3], []]


async def test_a_service_that_repeats_its_last_page_is_not_read_forever(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    """Behind the last page some services show it again; others know no pages at all."""

    def answer(request: aiohttp.web.Request) -> Any:
        return items(1, 2) if request.query["page"] == "1" else items(3)

    assert await pages_of(serve, http, answer, numbered) == [[1, 2], [3]]
    assert await pages_of(serve, http, lambda _: items(1), numbered) == [[1], []]
    with pytest.raises(Refused, match="the same records again"):
        await pages_of(serve, http, lambda _: items(1, 2), numbered)


@pytest.mark.parametrize(
    ("following", "sentence"),
    [
        ("https://evil.example.com/people?after=2", "at another address"),
        ("//evil.example.com/people", "at another address"),
        ({"a": 1}, "neither a text nor a number"),
        ("x" * 5_000, "too long or not printable"),
        ("/people?after=1", "the page token of this page as the next one"),
    ],
)
async def test_a_next_page_elsewhere_is_not_followed(
    serve: Serve, http: aiohttp.ClientSession, following: Any, sentence: str
) -> None:
    """Credentials go to the host of the base URL alone. Another try brings the same answer."""

    def linked(url: str) -> dict[str, Any]:
        return paged(export_of(url), "cursor", "", "body.next")

    with pytest.raises(Refused, match=sentence):
        await pages_of(serve, http, lambda _: items(1, next=following), linked)


async def test_an_answer_without_a_list_says_where_one_was_expected(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    assert await pages_of(serve, http, lambda _: {"total": 0}, numbered) == [[]]
    wrong: tuple[Any, ...] = ({"items": {"id": 1}}, {"items": [1]}, [])
    for body in wrong:

        def answer(_: aiohttp.web.Request, body: Any = body) -> Any:
            return body

        with pytest.raises(Refused, match="; expected "):
            await pages_of(serve, http, answer, numbered)


def test_links_in_a_header_are_read_by_their_relation() -> None:
    assert link_to_next('</a>; rel="prev", </b?x=1>; title="t"; rel="next"') == "/b?x=1"
    assert link_to_next("<https://a.example.com/>; rel=next") == "https://a.example.com/"
    assert link_to_next('</a>; rel="last"') is None
    assert link_to_next("") is None


# --- addresses ---


@pytest.mark.parametrize(
    ("template", "values", "address"),
    [
        ("https://{site}.example.com/v1/", {"site": "acme"}, "https://acme.example.com/v1"),
        (
            "https://{host}/rest",
            {"host": "acme.example.com:8443"},
            "https://acme.example.com:8443/rest",
        ),
        ("https://a.example.com:{port}", {"port": "8443"}, "https://a.example.com:8443"),
        (
            "https://a.example.com/{t}/x",
            {"t": "a/../b c"},
            "https://a.example.com/a%2F..%2Fb%20c/x",
        ),
    ],
)
def test_values_fill_a_base_url(template: str, values: dict[str, str], address: str) -> None:
    assert fill_base(template, values.__getitem__) == address


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("https://{x}.example.com", "evil.com/"),
        ("https://{x}.example.com", "evil.com#"),
        ("https://{x}.example.com", "user@evil"),
        ("https://{x}.example.com", "evil.com:1"),
        ("https://{x}.example.com", ""),
        ("https://{x}", "evil.com/path"),
        ("https://a.example.com:{x}", "80@evil.com"),
        ("https://a.example.com/{x}", ".."),
        ("https://a.example.com/{x}/y", "a\nb"),
    ],
)
def test_a_value_that_would_change_the_host_is_refused(template: str, value: str) -> None:
    with pytest.raises(BadInput, match="cannot be part of"):
        fill_base(template, lambda _: value)


def test_a_path_has_as_many_steps_as_its_template() -> None:
    assert fill_path("/a/{b}/c", lambda _: "x/y?z#%2F") == "/a/x%2Fy%3Fz%23%252F/c"


# --- what an export loses ---


def resource(**more: Any) -> dict[str, Any]:
    return {
        "path": "/things",
        "method": "GET",
        "vendorPath": "/things",
        "vendorMethod": "GET",
        **more,
    }


PARAMETER = {"name": "x", "type": "query", "vendorName": "x", "vendorType": "query"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hooks": [{"type": "preRequest", "body": "done()"}]}, "is a script (preRequest)"),
        ({"nextResource": "GET:/others"}, "it is chained to 'GET:/others'"),
        ({"type": "onProvision"}, "its type 'onprovision' is not 'api'"),
        ({"executable": False}, "it is not executable"),
        ({"method": "OPTIONS"}, "openbulk has no OPTIONS on an object"),
        ({"method": "DELETE", "vendorMethod": "DELETE"}, "openbulk has no DELETE on an object"),
        ({"vendorMethod": "POST"}, "openbulk does not list with POST"),
        ({"vendorMethod": "TRACE"}, "openbulk cannot send 'TRACE'"),
        ({"vendorPath": "https://evil.example.com/"}, "openbulk calls base.url alone"),
        ({"vendorPath": "//evil.example.com/"}, "openbulk calls base.url alone"),
        ({"vendorPath": "/a/../b"}, "is not a path"),
        ({"vendorPath": "/a/{other}"}, "no parameter fills {other}"),
        ({"path": "/{objectName}"}, "its path names no object"),
        ({"path": "/objects"}, "openbulk answers this path by itself"),
        ({"path": "/bulk/query"}, "openbulk answers this path by itself"),
        ({"path": "/jobs"}, "openbulk answers this path by itself"),
        ({"path": "/instances/all"}, "openbulk answers this path by itself"),
        ({"path": "/query"}, "openbulk answers this path by itself"),
        ({"path": "/.."}, "more in it than words and parameters"),
        ({"path": "/hubs/crm/a/./b"}, "more in it than words and parameters"),
        (
            {"path": "/things/{id}", "method": "DELETE", "vendorMethod": "DELETE"},
            "does not get {id}",
        ),
        ({"rootKey": "a[0].b"}, "openbulk cannot follow 'a[0].b'"),
        ({"paginationType": "KEYSET"}, "pages of the kind 'keyset'"),
        (
            {"paginationType": "cursor", "parameters": [{**PARAMETER, "name": "page"}]},
            "no nextPageKey",
        ),
        ({"parameters": [{**PARAMETER, "name": "pageSize"}]}, "have no parameter 'offset'"),
        ({"parameters": [{**PARAMETER, "vendorType": "form", "required": True}]}, "as 'form'"),
        ({"parameters": [{**PARAMETER, "type": "prevBody"}]}, "'prevbody'"),
        ({"parameters": [{**PARAMETER, "type": "body", "vendorType": "form"}]}, "as 'form'"),
        (
            {
                "parameters": [
                    {**PARAMETER, "type": "bodyField", "vendorType": "bodyField", "name": "y"}
                ]
            },
            "'bodyfield'",
        ),
        (
            {
                "parameters": [
                    {
                        **PARAMETER,
                        "type": "value",
                        "name": "text/xml",
                        "vendorName": "Accept",
                        "vendorType": "header",
                    }
                ]
            },
            "openbulk speaks JSON alone",
        ),
        (
            {
                "parameters": [
                    {**PARAMETER, "type": "configuration", "name": "api.key", "vendorType": "path"}
                ]
            },
            "messages show paths",
        ),
        (
            {
                "parameters": [
                    {**PARAMETER, "type": "configuration", "name": "no.such", "vendorType": "query"}
                ]
            },
            "has no entry 'no.such'",
        ),
    ],
)
def test_a_call_that_would_mean_something_else_is_left_out(
    changes: Mapping[str, Any], reason: str
) -> None:
    """Its neighbours stay."""
    export = export_of()
    export["resources"][5] = resource(**changes)
    lost = left_out(export)
    assert list(lost) == ["resources[5]"]
    assert reason in lost["resources[5]"], lost
    assert list(read_export(export).objects) == ["contacts"]


def test_no_object_has_the_name_of_a_call_of_openbulks_own() -> None:
    export = export_of()
    export["resources"].append(resource(path="/crm/jobs"))
    assert list(read_export(export).objects) == ["contacts", "crm-jobs"]


def test_calls_of_one_object_name_the_parts_of_its_path_alike() -> None:
    """A record's id would else go where that of another belongs."""
    export = export_of()
    paths = ("/teams/{id}/notes", "/teams/{team}/notes/{id}", "/teams/{id}/notes/{id}")
    export["resources"] = [resource(path=path, vendorPath=path) for path in paths]
    export["resources"] += [resource(), resource()]
    assert left_out(export) == {
        "resources[1]": "GET teams/{team}/notes: resources[0] has other names in this path; "
        "use the same",
        "resources[2]": "GET /teams/{id}/notes/{id}: two parts of its path have the same name",
        "resources[4]": "GET things: resources[3] describes this call already",
    }
    assert list(read_export(export).objects) == ["notes", "things"]


def test_a_parameter_that_is_not_needed_costs_itself_alone() -> None:
    export = export_of()
    export["resources"][5] = resource(
        parameters=[
            {**PARAMETER, "vendorType": "header", "vendorName": "X-Trace"},
            {**PARAMETER, "name": "since", "converter": "toEpoch"},
            {**PARAMETER, "type": "value", "vendorType": "header", "vendorName": "Host"},
            {**PARAMETER, "type": "bodyField", "vendorType": "bodyField"},
        ]
    )
    assert left_out(export) == {
        "resources[5].parameters[0]": "the parameter 'x': openbulk cannot send 'query' as 'header'",
        "resources[5].parameters[1]": "the parameter 'since': openbulk has no converter 'toEpoch'",
    }
    assert "things" in read_export(export).objects


def test_a_script_of_the_whole_export_is_part_of_every_call() -> None:
    lost = left_out(export_of(hooks=[{"type": "preRequest", "body": "done()"}]))
    assert list(lost) == [f"resources[{n}]" for n in range(6)]
    assert read_export(export_of(hooks=[{"type": "preRequest", "body": " "}])).objects


@pytest.mark.parametrize(
    ("changes", "place", "sentence"),
    [
        ({"protocolType": "jdbc"}, "protocolType", "its protocol is 'jdbc'"),
        ({"authentication": {"type": "oauth1"}}, "authentication.type", "it signs in by 'oauth1'"),
        ({"authentication": {"type": "awsv4"}}, "authentication.type", "it signs in by 'awsv4'"),
    ],
)
def test_a_sign_in_that_is_not_known_is_said_to_whoever_makes_an_instance(
    http: aiohttp.ClientSession, changes: Mapping[str, Any], place: str, sentence: str
) -> None:
    export = export_of(**changes)
    assert place in left_out(export)
    with pytest.raises(BadInput, match=sentence):
        connect(export, http)


def test_an_export_without_resources_or_an_address_is_still_one(
    http: aiohttp.ClientSession,
) -> None:
    """Its key comes from its name."""
    small = {
        "name": "Small Thing 2",
        "configuration": [{"key": "base.url", "defaultValue": "jdbc:postgresql://{db.host}"}],
    }
    described = read_export(small)
    assert (described.key, described.hub, described.objects) == ("smallthing2", "general", {})
    assert [one.place for one in described.left_out] == ["configuration[base.url]"]
    with pytest.raises(BadInput, match=r"the configuration lacks base\.url"):
        connect(small, http)


# --- fields and permissions ---


def described(export: Mapping[str, Any]) -> Description:
    return read_export(export)


def test_fields_come_from_models_of_either_form() -> None:
    """A reference is an object inside; a model that is only answered says not what may be sent."""
    export = export_of(objects=[])
    export["resources"][0]["model"] = {
        "name": "list",
        "swagger": {
            "list": {"id": "list", "type": "array", "items": {"$ref": "one"}},
            "one": {
                "properties": {
                    "id": {"type": "integer"},
                    "born": {"type": "string", "format": "date"},
                    "home": {"type": "place"},
                    "tags": {"type": "array", "items": {"type": "string"}},
                }
            },
            "place": {"properties": {"city": {"type": "string"}, "in": {"$ref": "place"}}},
        },
    }
    schema = described(export).objects["contacts"].schema
    assert schema["properties"]["id"] == {"type": "integer", "readOnly": True}
    assert schema["properties"]["born"] == {"type": "string", "format": "date"}
    assert schema["properties"]["home"]["properties"]["city"] == {"type": "string"}
    assert schema["properties"]["tags"] == {"type": "array", "items": {"type": "string"}}
    assert schema["additionalProperties"] == {}
    export["resources"][1]["object"] = {
        "name": "contacts",
        "fields": [
            {"name": "id", "type": "integer", "request": False},
            {"name": "email", "type": "string", "request": True, "required": True, "custom": True},
            {
                "name": "home",
                "type": "object",
                "reference": {"name": "place", "fields": [{"name": "zip", "type": "string"}]},
            },
        ],
    }
    schema = described(export).objects["contacts"].schema
    assert schema["required"] == ["email"]
    assert [name for name, field in schema["properties"].items() if CUSTOM in field] == ["email"]
    assert schema["properties"]["home"]["properties"] == {"zip": {"type": "string"}}
    assert "additionalProperties" not in schema


@pytest.mark.parametrize(
    ("of_call", "of_object", "of_export", "takes"),
    [
        (None, True, False, True),
        (None, False, True, False),
        (None, None, True, True),
        (None, None, None, False),
        (False, True, True, False),
    ],
)
def test_the_nearest_permission_for_bulk_decides(
    of_call: bool | None, of_object: bool | None, of_export: bool | None, takes: bool
) -> None:
    export = export_of(bulkUploadEnabled=of_export, bulkDownloadEnabled=True)
    export["objects"][0]["bulkUploadEnabled"] = of_object
    export["resources"][1]["bulkUploadEnabled"] = of_call
    assert described(export).objects["contacts"].takes_uploads is takes


# --- strangers ---


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"key": "", "name": "!"}, "the export has no key and no name"),
        ({"key": "1crm"}, "it begins with a letter"),
        ({"key": "../x"}, "it begins with a letter"),
        ({"configuration": {}}, "configuration is not a list"),
        ({"configuration": [1]}, r"configuration\[0\] is not an object"),
        ({"configuration": [{"name": "x"}]}, r"configuration\[0\]\.key is missing"),
        ({"configuration": [{"key": "x"}, {"key": "x"}]}, r"configuration\[1\] is the entry 'x'"),
        ({"resources": [resource()] * 2_001}, "resources has 2,001 items; at most 2,000"),
        ({"resources": [resource(path=["x"])]}, r"resources\[0\]\.path is not a text"),
        ({"resources": [resource(path="x" * 5_000)]}, "more than 4000 characters"),
        ({"resources": [resource(executable="maybe")]}, "it must be true or false"),
        ({"authentication": "basic"}, "authentication is not an object"),
        ({"objects": [{"name": "contacts", "fields": [{}]}]}, r"fields\[0\]\.name is missing"),
    ],
)
def test_what_is_no_export_is_refused_with_its_place(
    changes: Mapping[str, Any], sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        read_export(export_of(**changes))


def test_secrets_of_an_export_are_not_kept() -> None:
    export = export_of()
    export["configuration"][1]["defaultValue"] = "s3cr3t"
    export["configuration"].append({"key": "session.token", "defaultValue": "s3cr3t"})
    kept = json.dumps(without_secrets(export))
    assert "s3cr3t" not in kept
    assert "https://api.example.com" in kept
    places = ["configuration[1].defaultValue", "configuration[5].defaultValue", "resources[5]"]
    assert list(left_out(export)) == places
    assert key_of(export) == "acmecrm"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"defaultValue": "https://evil.example.com"}, "base.url would send their secrets"),
        ({"defaultValue": "http://api.example.com"}, "base.url would send their secrets"),
        ({"defaultValue": "https://api.example.com/v2"}, None),
    ],
)
def test_another_export_keeps_the_secrets_of_instances_where_they_are(
    change: Mapping[str, str], problem: str | None
) -> None:
    before, after = export_of(), export_of()
    after["configuration"][0] |= change
    found = problem_of_replacement(read_export(before), read_export(after))
    assert found is None if problem is None else problem in str(found)
    after = export_of()
    after["configuration"][1] = {"key": "api.key", "type": "PASSWORD"}
    assert problem_of_replacement(read_export(before), read_export(after)) is None
    after["configuration"].append({"key": "oauth.token.url", "defaultValue": "https://evil.com/t"})
    found = problem_of_replacement(read_export(before), read_export(after))
    assert found == "oauth.token.url would send their secrets to another host"


async def test_an_address_that_this_server_may_not_call_is_not_called(
    url: str, service: Service
) -> None:
    async with aiohttp.ClientSession(connector=guarded_connector(allowed=(), limit=1)) as http:
        with pytest.raises(Refused, match="private address"):
            await connect(export_of(f"{url}/offset"), http).check()
    assert service.requests == []


def test_an_export_made_to_keep_a_server_busy_is_read_in_no_time() -> None:
    """Models that refer to each other ten times on each level, and parameters of every call."""
    models = {
        f"m{level}": {"properties": {f"f{n}": {"$ref": f"m{level + 1}"} for n in range(10)}}
        for level in range(12)
    }
    export = {
        "key": "busy",
        "parameters": [{**PARAMETER, "vendorType": "header"}] * 100,
        "resources": [
            resource(path=f"/o{n}", model={"name": "m0", "swagger": models}) for n in range(100)
        ],
    }
    read = read_export(export)
    assert (len(read.objects), len(read.left_out)) == (100, 100)
    assert len(str([one.schema for one in read.objects.values()])) < 10_000_000


async def test_a_call_carries_the_constants_of_its_export(
    http: aiohttp.ClientSession, url: str, service: Service
) -> None:
    """In headers, in the query and in the body; JSON may have a name of its own."""
    export = export_of(f"{url}/offset")
    constant = {"type": "value", "vendorType": "header"}
    export["parameters"] += [
        {**constant, "name": "application/vnd.acme+json", "vendorName": "content-type"},
        {**constant, "name": "key ${configuration.api.key}", "vendorName": "X-Also"},
        {**constant, "name": "2026-05", "vendorName": "version", "vendorType": "query"},
        {**constant, "name": "import", "vendorName": "source", "vendorType": "bodyField"},
        {**constant, "name": "keep-alive", "vendorName": "Connection"},
    ]
    export["resources"][1]["vendorPath"] += "?notify=false"
    made = await write(connect(export, http), Action.CREATE, {"email": "a@b.c"})
    assert made.kind is OutcomeKind.CREATED
    request = service.requests[-1]
    assert request.headers.getall("Content-Type") == ["application/vnd.acme+json"]
    assert request.headers["X-Also"] == "key secret"
    assert dict(request.query) == {"version": "2026-05", "notify": "false"}
    assert service.people["1"] == {"id": 1, "email": "a@b.c", "source": "import"}


SECRET = 'p"ss/w+rd-1'


async def _repeat(request: aiohttp.web.Request) -> aiohttp.web.Response:
    """Refuse a request with all that it had."""
    status = int(request.headers.get("X-Status", 400))
    authorization = request.headers.get("Authorization", "").removeprefix("Basic ")
    plain = base64.b64decode(authorization + "==").decode(errors="replace")
    told = [str(request.rel_url), dict(request.headers), await request.text(), plain]
    return aiohttp.web.json_response({"error": told, "items": json.dumps(told)}, status=status)


@pytest.mark.parametrize("status", ["200", "302", "400", "401", "429", "500"])
@pytest.mark.parametrize("place", ["header", "query", "bodyField", "basic", "token", "odd"])
async def test_a_service_that_repeats_a_secret_shows_it_to_nobody(
    serve: Serve, http: aiohttp.ClientSession, status: str, place: str
) -> None:
    """Messages go into answers, logs and the ledger, and may be read by many."""
    app = aiohttp.web.Application()
    app.router.add_route("*", "/{path:.*}", _repeat)
    export = export_of(await serve(app))
    constant = {"name": status, "type": "value", "vendorName": "X-Status", "vendorType": "header"}
    export["parameters"] = [constant]
    if place == "basic":
        export["authentication"] = {"type": "basic"}
        entries = {"username": "ann", "password": SECRET}
    elif place in {"token", "odd"}:
        export["authentication"] = {"type": "oauth2"}
        entries = {"oauth.user.token": SECRET}
        if place == "odd":
            scheme = {**constant, "name": "Basic ${configuration.oauth.user.token}"}
            export["parameters"].append({**scheme, "vendorName": "Authorization"})
    else:
        entries = {}
        export["parameters"].append(
            {
                "name": "x ${configuration.api.key} x",
                "type": "value",
                "vendorName": "X-Key",
                "vendorType": place,
            }
        )
    connector = connect(export, http, **{"api.key": SECRET, **entries})
    told: list[str] = []
    try:
        made = await write(connector, Action.CREATE, {"email": "a@b.c"})
        told.append(str(made))
    except ServiceError as error:
        told += [error.message, str(error.provider_message)]
    with pytest.raises((NotFound, ServiceError)) as raised:
        await connector.get("contacts", "1", {})
        async for _ in connector.read(Query("contacts"), PageRequest()):
            pass
    told += [str(raised.value), str(getattr(raised.value, "provider_message", ""))]
    assert not [text for text in told if "ss/w" in text or "ss%2Fw" in text or "ss\\/w" in text]
    assert not any(base64.b64encode(f"ann:{SECRET}".encode()).decode() in text for text in told)


async def test_a_sign_in_service_that_repeats_a_secret_shows_it_to_nobody(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    app = aiohttp.web.Application()
    app.router.add_route("*", "/{path:.*}", _repeat)
    provider = CustomProvider(read_export(oauth_export(await serve(app))))
    assert provider.oauth is not None
    entries = {**APPLICATION, "oauth.callback.url": "https://me.example.com"}
    for in_header in ("true", "false"):
        with pytest.raises(SignInAgain) as raised:
            await provider.oauth.exchange(
                "the-code", {**entries, "oauth.basic.header": in_header}, http
            )
        told = f"{raised.value.message} {raised.value.provider_message}"
        assert "me.example.com" in told
        assert "client-secret" not in told
        assert "the-code" not in told


@pytest.mark.parametrize("name", ["base.url", "oauth.token.url", "oauth.revoke.url"])
@pytest.mark.parametrize("secret", ["oauth.api.secret", "oauth.user.refresh_token", "my.token"])
def test_no_secret_is_a_part_of_an_address(name: str, secret: str) -> None:
    """Answers would show it as a part of the host. The entry stays a secret one."""
    name = {"oauth.revoke.url": "oauth.token.revoke_url"}.get(name, name)
    for address in (f"https://{{{secret}}}.example.com", f"https://a.example.com/{{{secret}}}"):
        export = oauth_export("https://api.example.com")
        entries = {one["key"]: one for one in export["configuration"]}
        entries[name]["defaultValue"] = address
        read = read_export(export)
        assert f"has the secret '{secret}' in it" in left_out(export)[f"configuration[{name}]"]
        assert read.entries[name].default is None
        assert secret not in read.entries or read.entries[secret].is_secret
    if name != "base.url":
        entries[name]["defaultValue"] = f"https://a.example.com/token?x={{{secret}}}"
        assert "in it" in left_out(export)[f"configuration[{name}]"]
        entries[name]["defaultValue"] = "https://a.example.com/token?x={tenant}"
        assert "behind its question mark" in left_out(export)[f"configuration[{name}]"]


async def test_a_service_that_is_elsewhere_is_said_at_the_first_call(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    """A redirect is not followed: credentials go to the host of the base URL alone."""
    app = aiohttp.web.Application()
    moved = aiohttp.web.HTTPMovedPermanently("https://new.example.com/v2/people?key=secret")

    async def redirect(_: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        raise moved

    app.router.add_route("*", "/{path:.*}", redirect)
    with pytest.raises(Refused, match=r"leads to https://new\.example\.com/v2/people;") as raised:
        await connect(export_of(await serve(app)), http).check()
    assert "key=secret" not in raised.value.message


async def test_a_check_that_the_export_names_is_the_one_that_is_made(
    http: aiohttp.ClientSession, url: str, service: Service
) -> None:
    """Without one, a list that refuses its parameters says nothing against the credentials."""
    export = export_of(f"{url}/offset")
    export["resources"][5] = resource(type="provisionAuthValidation", vendorPath="/me")
    await connect(export, http).check()
    assert service.requests[-1].path == "/offset/me"
    export["resources"][5]["vendorPath"] = "/nowhere"
    with pytest.raises(Refused):
        await connect(export, http).check()
    export["resources"][5] = resource()
    export["resources"][0]["vendorPath"] = "/nowhere"
    await connect(export, http).check()


@pytest.mark.parametrize("value", ["a\r\nHost: evil", "caf\u00e9", "a\tb"])
def test_a_value_that_no_header_can_have_is_refused(
    http: aiohttp.ClientSession, value: str
) -> None:
    with pytest.raises(BadInput, match=r"api\.key cannot be sent in the header X-Api-Key"):
        connect(export_of(), http, api_key=value)
    export = export_of()
    export["parameters"].append(
        {
            "name": f"{value} ${{configuration.oauth.user.token}}",
            "type": "value",
            "vendorName": "Authorization",
            "vendorType": "header",
        }
    )
    with pytest.raises(BadInput, match="cannot be sent in the header Authorization"):
        connect(export, http)


# --- any change of an export ---


def places_in(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, inner in items:
        found.append((*place, key))
        if isinstance(inner, dict | list):
            found += places_in(inner, (*place, key))
    return found


PLACES = places_in(export_of())
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(["{id}", "${configuration.x}", "/a/{b}", "body.x?y", "https://x{", "..", "|"]),
    st.lists(st.one_of(st.none(), st.text(max_size=3), st.dictionaries(st.text(), st.none()))),
    st.dictionaries(st.sampled_from(["name", "type", "key", "fields"]), st.text(max_size=5)),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(PLACES), ANYTHING), min_size=1, max_size=3))
def test_any_export_is_read_or_refused_with_a_sentence(
    changes: list[tuple[tuple[Any, ...], Any]],
) -> None:
    export = export_of()
    for (*parents, last), value in changes:
        place: Any = export
        try:
            for key in parents:
                place = place[key]
            place[last] = value
        except (TypeError, KeyError, IndexError):
            continue
    try:
        provider = CustomProvider(read_export(export))
    except BadInput as error:
        assert error.message
        return
    without_secrets(export)
    for one in provider.description.objects.values():
        check_schema(one.schema, one.name)
