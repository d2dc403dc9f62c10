"""Oracle Eloqua: contacts and accounts through its bulk import, campaigns and lists one by one."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from openbulk.connectors.base import (
    ConfigurationEntry,
    ConnectionContext,
    Connector,
    Features,
    LocalTimes,
    NativeBulk,
    OAuth,
)
from openbulk.connectors.eloqua.asset_planning import AssetPlans
from openbulk.connectors.eloqua.bulk import ENTITIES, UPDATE_RULES, EloquaBulk
from openbulk.connectors.eloqua.exports import CHANGED, read_export
from openbulk.connectors.eloqua.planning import ImportPlans
from openbulk.connectors.eloqua.rest import (
    ACTIVITY_PARAMETERS,
    ACTIVITY_SCHEMA,
    ASSET_PARAMETERS,
    ASSETS,
    READABLE,
    meaning_of_asset,
    read_activities,
    read_asset,
    read_pages,
    write_asset,
)
from openbulk.connectors.eloqua.service import LOGIN_URL, EloquaOAuth, Service, auth_of
from openbulk.connectors.fields import FieldError
from openbulk.connectors.http import Client
from openbulk.connectors.pace import Budget
from openbulk.connectors.repeated_rows import RepeatedRows
from openbulk.domain.conditions import Comparison
from openbulk.domain.errors import NotFound, RetryLater
from openbulk.domain.options import Option
from openbulk.domain.plan import Completeness, Planned, UsageLimit, plan_of_refusal
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Outcome, Record, Target

ACTIVITIES = "activities"
RECORDS_PER_IMPORT = 20_000
"""A few megabytes of staged data. Large enough that Eloqua's limit of 2,000 imports an hour is not
an obstacle (40 million records, and some 18 million if each has 10 columns and 300 bytes, as the
engine also bounds the bytes of a batch), small enough to lose little when a sync fails."""

POLL_SECONDS = 0.25
"""Seconds between two checks of an export of one record."""
MAX_POLLS = 240
"""Checks of such an export: a caller waits for its answer."""

# An import always creates or updates: Eloqua has no other way to create a contact in bulk.
_CONTACT = Features(
    frozenset({Action.CREATE, Action.UPSERT}),
    max_batch=RECORDS_PER_IMPORT,
    # A plan is made import by import, too.
    concurrency=1,
    idempotent_writes=True,
    native=True,
    changed=CHANGED["contact"],
    needs=((ENTITIES["contact"].identifier,),),
    skips_read_only=True,
    # The Open Connectors service takes both, and lists the one.
    paths=("contacts",),
    plan=Completeness.COMPLETE,
    local_times=LocalTimes("UTC"),
)
_ACCOUNT = replace(
    _CONTACT,
    changed=CHANGED["account"],
    needs=((ENTITIES["account"].identifier,),),
    paths=("accounts",),
)
_ASSET = Features(
    frozenset({Action.CREATE, Action.UPDATE, Action.DELETE}),
    concurrency=4,
    parameters=ASSET_PARAMETERS,
    plan=Completeness.COMPLETE,
)


class Eloqua:
    """One signed-in Eloqua account."""

    remembers_plans = True

    def __init__(self, service: Service) -> None:
        self._service = service
        self._bulk = EloquaBulk(service)
        self._repeated = RepeatedRows()
        self._import_plans = ImportPlans(service, self._bulk)
        self._asset_plans = AssetPlans(service)

    @property
    def native(self) -> NativeBulk | None:
        """Eloqua's import of contacts and accounts."""
        return self._bulk

    async def check(self) -> None:
        """Request the address of the account, which needs valid credentials."""
        await self._service.locate(again=True)

    async def objects(self) -> Mapping[str, Features]:
        """In the order in which the Open Connectors service lists them."""
        return {
            ACTIVITIES: Features(id=None, parameters=ACTIVITY_PARAMETERS),
            "contact": _CONTACT,
            "campaign": replace(_ASSET, paths=("campaigns",)),
            "list": replace(_ASSET, paths=("lists",)),
            "account": _ACCOUNT,
        }

    async def metadata(self, object: str) -> Mapping[str, Any]:
        """From the account's own field list."""
        if object == ACTIVITIES:
            return ACTIVITY_SCHEMA
        if object in ASSETS:
            return ASSETS[object].schema
        if object in ENTITIES:
            return (await self._bulk.fields(object)).schema(ENTITIES[object].identifier)
        raise _no_object(object)

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """Contacts and accounts by a bulk export, everything else through the REST API."""
        async for page in await self._pages(query, request):
            yield page

    async def _pages(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        if query.object in ENTITIES:
            fields = await self._bulk.fields(query.object)
            return read_export(self._service, ENTITIES[query.object], fields, query, request)
        if query.object == ACTIVITIES:
            return read_activities(self._service, query, request)
        if query.object in READABLE:
            return read_pages(self._service, query, request)
        raise _no_object(query.object)

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """A contact or an account by an export of it alone, else by a call of the REST API.

        An import does not say which ids its records have. So the field that identifies them there
        may stand for an id, which is a number.
        """
        if object in ASSETS:
            return await read_asset(self._service, ASSETS[object], id)
        if object not in ENTITIES:
            raise _no_object(object)
        field = "id" if id.isdecimal() else ENTITIES[object].identifier
        wanted = Comparison(field, "=", (id,))
        polls = 0
        async for page in self.read(Query(object, where=wanted), PageRequest()):
            if page.records:
                return page.records[0]
            if page.next is not None:
                polls += 1
                if polls > MAX_POLLS:
                    raise RetryLater(
                        f"Eloqua has not exported the {object} within "
                        f"{MAX_POLLS * POLL_SECONDS:.0f} seconds; try again later"
                    )
                await asyncio.sleep(POLL_SECONDS)
        raise NotFound(f"Eloqua has no {object} with the id {id!r}")

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """No record: Eloqua does not store which record created a campaign or a list."""
        return {}

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Campaigns and lists, one call each."""
        asset = ASSETS[target.object]
        differing = await self._differing(target, batch)
        return [
            differing[record.row].outcome(record.row)
            if record.row in differing
            else await write_asset(self._service, asset, target.action, record)
            for record in batch
        ]

    async def _differing(self, target: Target, batch: Sequence[Record]) -> Mapping[int, FieldError]:
        """Rows of campaigns or lists that say otherwise than an earlier row of their file."""
        if target.action is not Action.UPDATE:
            return {}
        return await self._repeated.problems(target, batch, meaning_of_asset)

    def budgets(self, place: str | None) -> Sequence[Budget]:
        """Eloqua's limits are soft ones: it refuses no call."""
        return ()

    def usage_limits(self, object: str) -> Sequence[UsageLimit]:
        """None that Oracle documents."""
        return ()

    async def plan(self, target: Target, batch: Sequence[Record]) -> Sequence[Planned]:
        """What an import, or `write`, would do. It exports, or reads, what Eloqua has."""
        if target.object in ENTITIES:
            return await self._import_plans.plan(target, batch)
        differing = await self._differing(target, batch)
        return [
            plan_of_refusal(differing[record.row].outcome(record.row), f"id {record.values['id']}")
            if record.row in differing
            else await self._asset_plans.plan(target, record)
            for record in batch
        ]

    async def close(self) -> None:
        """Nothing to close: the HTTP session belongs to the server."""


def _no_object(object: str) -> NotFound:
    return NotFound(
        f"Eloqua has no object {object!r}; its objects are: activities, contact, campaign, list, "
        "account"
    )


class EloquaProvider:
    """Makes connectors to Eloqua."""

    key = "eloqua"
    name = "Oracle Eloqua"
    hub = "marketing"
    event_objects = frozenset[str]()
    makes_calls = True
    entries: Sequence[ConfigurationEntry] = (
        ConfigurationEntry("username", "Company\\user."),
        ConfigurationEntry("password", "Password of that user.", secret=True),
        ConfigurationEntry(
            "oauth.api.key", "Client id of the Eloqua app, instead of user and password."
        ),
        ConfigurationEntry("oauth.api.secret", "Client secret of the Eloqua app.", secret=True),
        ConfigurationEntry("oauth.callback.url", "Redirect address that was used to sign in."),
        ConfigurationEntry(
            "oauth.user.refresh_token", "Refresh token; made from providerData.code.", secret=True
        ),
        ConfigurationEntry(
            "base.url",
            "Where to sign in; default: https://login.eloqua.com. For sandboxes and proxies.",
            receives_secrets=True,
        ),
    )
    options: Sequence[Option] = (
        Option(
            "updateRule",
            "what a value does to Eloqua's own; default: ifNewIsNotNull, so that an empty cell "
            "leaves it",
            choices=UPDATE_RULES,
            objects=frozenset(ENTITIES),
        ),
    )
    oauth: OAuth | None = EloquaOAuth()

    def connect(self, context: ConnectionContext) -> Connector:
        """A connector for an instance. Raises BadInput without credentials."""
        client = Client(context.http, auth_of(context), self.name, context.pace)
        return Eloqua(Service(client, context.configuration.get("base.url") or LOGIN_URL))
