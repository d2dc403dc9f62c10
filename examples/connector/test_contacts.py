"""Contacts keeps the promises of every connector, against its sandbox."""

from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from connector.contacts import ContactsProvider
from connector.sandbox import Sandbox
from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.domain.errors import BadInput, RetryLater
from openbulk.domain.records import Action, Outcome, OutcomeKind, Target
from openbulk.testing.connectors import Connect, ConnectorTests, record, send


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with TestServer(Sandbox().app()) as server:
        yield str(server.make_url("/"))


def connector(http: aiohttp.ClientSession, url: str, key: str = "secret") -> Connector:
    configuration = {"api.key": key, "base.url": url}
    return ContactsProvider().connect(ConnectionContext(configuration, http, remember))


async def remember(changes: Mapping[str, str]) -> None:
    """Do nothing: a key never changes."""


# --- the promises of every connector: these twenty lines are all that they need ---


class TestContacts(ConnectorTests):
    object_name = "contacts"
    good = (
        {"email": "ann@example.com", "name": "Ann", "newsletter": "yes"},
        {"email": "bob@example.com", "birthday": "1985-02-28"},
        {"email": "cara@example.com", "status": "lead"},
    )
    bad = {"email": "not an address"}  # noqa: RUF012
    distinct_field = "email"

    @pytest.fixture
    async def connect(self, http: aiohttp.ClientSession, url: str) -> Connect:
        return lambda: connector(http, url)

    @pytest.fixture
    async def connect_with_wrong_credentials(
        self, http: aiohttp.ClientSession, url: str
    ) -> Connect:
        return lambda: connector(http, url, "wrong")

    @pytest.fixture
    async def connect_to_nowhere(self, http: aiohttp.ClientSession) -> Connect:
        return lambda: connector(http, "http://127.0.0.1:1")


# --- what is Contacts' own ---


async def write(connect: Connect, action: Action, values: Mapping[str, str]) -> Outcome:
    """The outcome of one record."""
    target = Target("contacts", action)
    (outcome,) = await send(connect, target, [record(1, values)])
    return outcome


async def test_a_contact_is_created_changed_and_deleted(
    http: aiohttp.ClientSession, url: str
) -> None:
    def connect() -> Connector:
        return connector(http, url)

    created = await write(connect, Action.CREATE, {"email": "ann@example.com"})
    assert created.id is not None
    changes = {"id": created.id, "newsletter": "no"}
    assert (await write(connect, Action.UPDATE, changes)).kind is OutcomeKind.UPDATED
    assert (await connect().get("contacts", created.id, {}))["newsletter"] is False
    for kind in (OutcomeKind.DELETED, OutcomeKind.NOT_FOUND):
        assert (await write(connect, Action.DELETE, {"id": created.id})).kind is kind
    gone = await write(connect, Action.UPDATE, changes)
    assert gone.problem is not None
    assert gone.problem.message == f"there is no contact with the id {created.id!r}"


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"emial": "a@b.c"}, "emial", "a contact has no field 'emial'; did you mean 'email'?"),
        ({"birthday": "28.2.1985"}, "birthday", "dates look like 2026-02-28"),
        ({"newsletter": "maybe"}, "newsletter", "it must be true or false"),
        ({"status": "friend"}, "status", "it can be lead, customer, former"),
        ({"email": "a"}, "email", "email is not an address"),
    ],
)
async def test_a_value_at_fault_names_its_field_and_what_would_be_right(
    http: aiohttp.ClientSession, url: str, values: Mapping[str, str], field: str, message: str
) -> None:
    outcome = await write(lambda: connector(http, url), Action.CREATE, values)
    assert outcome.problem is not None
    assert outcome.problem.field == field
    assert outcome.problem.message.endswith(message)


async def test_a_service_that_is_busy_is_called_again_when_it_says(
    http: aiohttp.ClientSession,
) -> None:
    async with TestServer(Sandbox(calls=1).app()) as server:
        contacts = connector(http, str(server.make_url("/")))
        await contacts.check()
        with pytest.raises(RetryLater) as busy:
            await contacts.check()
    assert busy.value.after == 30.0


def test_an_instance_without_a_key_is_refused(http: aiohttp.ClientSession) -> None:
    with pytest.raises(BadInput, match=r"api\.key"):
        ContactsProvider().connect(ConnectionContext({}, http, remember))
