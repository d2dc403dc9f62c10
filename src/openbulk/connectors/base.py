"""The interface between openbulk and a service: a connector.

To add a service, copy `examples/connector/`, keep its order, and run `openbulk.testing.connectors`
over it. CONTRIBUTING.md lists the steps.

OBJECT    a kind of record at the service, named as the service names it: `events`, `contact`
RECORD    one thing of that kind; `Record.key` stays the same however often it is sent
TARGET    the object and the action of a job, and its caller's options
OUTCOME   what happened to a record; a refused record is an outcome, not an exception
"""

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Hashable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import aiohttp

from openbulk.connectors.pace import Budget, Pace, Unpaced
from openbulk.domain.options import Option
from openbulk.domain.plan import Completeness, Planned, UsageLimit
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Outcome, Record, Target
from openbulk.domain.undo import Reversal

CUSTOM = "x-custom"
"""Keyword of a field's schema."""
OrderingKeys = Callable[[Record], Collection[Hashable] | None]
"""Makes the keys by which a record is ordered: of two records that share one, the first in the file
is sent first. None means that it may share one with any other record."""


@dataclass(frozen=True, slots=True)
class LocalTimes:
    """What becomes of times without a zone, in fields that hold an instant."""

    zone: str
    """The zone that they get, as a sentence has it: `UTC`, `the time zone of the calendar`."""
    fields: frozenset[str] | None = None
    """The fields that hold an instant; None for all that have a date with a time."""
    is_of_service: bool = True
    """Whether the service itself has the zone. Otherwise it is openbulk's default, and asked for;
    `metaData.timeZone` answers."""


@dataclass(frozen=True, slots=True)
class Features:
    """What one object of a service can do. The engine looks at this, never at a service's name."""

    actions: frozenset[Action] = frozenset()
    """The actions of `write` (or of `native`); none if the object is read-only."""
    max_batch: int = 1
    """Maximum records in one call of `write`, or in one `submit` of a native bulk import."""
    concurrency: int = 16
    """Maximum concurrent calls of `write` for one job."""
    initial_concurrency: int | None = None
    """Maximum concurrent calls at the beginning of a slice; each answer allows one more, up to
    `concurrency`. None begins with `concurrency` calls."""
    idempotent_writes: bool = False
    """Sending a batch twice with the same keys has the effect of sending it once, so the engine
    resends it if its answer was lost."""
    can_read: bool = True
    identifiers: tuple[str, ...] = ()
    """Fields that identify records if the caller names none: for each record, the first that it
    has. Records with the same value in any of them are sent one after another, in the file's
    order."""
    identity: Mapping[Action, tuple[str, ...]] = field(default_factory=dict)
    """For an action, the fields that each record needs if the caller names no identifier, as they
    identify it together; empty if the caller has to name one."""
    ordering: Callable[[Target], OrderingKeys] | None = None
    """Makes, for a target, what says which of its records are sent one after another, in place of
    `identifiers` and `references`: where equal values may be written in several ways."""
    references: Mapping[str, str] = field(default_factory=dict)
    """Fields that name another record of the object, and the identifier that they name it by:
    `{"recurringEventId": "id"}`. A record is sent after the one that it names, if that comes first
    in the file."""
    paths: tuple[str, ...] = ()
    """Other names of the object. Values in them are options: `calendars/{calendarId}/events`."""
    parameters: frozenset[str] = frozenset()
    """The service's own query parameters. A condition may name them like fields; they are passed
    through as `Query.parameters`."""
    lookups: frozenset[str] = frozenset()
    """Those parameters that are the names of fields, too. openbulk applies conditions on them by
    itself, whether the service does so or not."""
    changed: str | None = None
    """The field with the date of a record's last change; `Query.changed_since` means that date."""
    has_changes: bool = False
    """The last page of `read` may have a bookmark.

    Read again with the bookmark as `PageRequest.since` and the same parameters and page size,
    `read` yields at least the records whose field `changed` is not before `Bookmark.taken_at`, each
    in its current state. It raises CursorExpired, on any page, if the service has forgotten the
    bookmark."""
    applies_where: bool = False
    """`read` yields exactly the records for which `Query.where` holds."""
    sorts: bool = False
    """`read` yields the records in the order of `Query.order`."""
    id: str | None = "id"
    """The field that identifies a record in `get` and in writes; None if records have none."""
    documents: frozenset[str] = frozenset()
    """Fields whose value is one whole, such as a JSON document in a column: a table shows it in one
    cell, and not in a column for each of its parts."""
    extra_columns: tuple[str, ...] = ()
    """Columns that a row may have beside the fields of `metadata`: `calendarId` says where an event
    goes."""
    any_identifier: bool = False
    """A caller may identify records by a column that is no field: the service keeps its value."""
    needs: tuple[tuple[str, ...], ...] = ()
    """Fields without which no record can be created; of each group, a record needs one."""
    common: tuple[str, ...] = ()
    """Fields that most records have: messages name them first."""
    skips_read_only: bool = False
    """Fields that `metadata` calls read-only are left out before `write`, unless they identify the
    record: a record that was read may be sent back."""
    native: bool = False
    """Uploads go through `Connector.native` instead of `write`."""
    bulk_upload: bool = True
    """Files can be uploaded. Otherwise records are written one by one alone."""
    bulk_download: bool = True
    """Jobs can download records. Otherwise they are read page by page alone."""
    plan: Completeness = Completeness.NONE
    """How much the plan of an upload can say. Unless it is `none`, the connector is `PlansWrites`;
    if it is, the plan of `PlansWrites` says what the connector checks by itself."""
    undoes: frozenset[Action] = frozenset()
    """The actions whose jobs can be undone. Unless it is empty, the connector is `UndoesWrites`,
    and the outcomes of `write` say what it has overwritten."""
    guards_writes: bool = False
    """`write` itself leaves a record as it is that is not as `Record.expected` says, and nobody can
    change the record between its look and its write. Otherwise the engine plans each record again
    right before it writes it."""
    local_times: LocalTimes | None = None
    """None if the service gets such times as they are, or has no fields for them."""


class NativeBulk(Protocol):
    """A service's own bulk import: submit a batch, collect its outcomes later.

    The ledger stores the ticket, so it survives a restart between `submit` and `collect`. An
    interrupted `submit` has no effect, or loses it when the batch is submitted again.
    """

    async def submit(self, target: Target, batch: Sequence[Record]) -> str:
        """Hand a batch over, and return its ticket."""

    async def collect(
        self, ticket: str, target: Target, batch: Sequence[Record]
    ) -> Sequence[Outcome] | None:
        """The outcomes of the ticket's batch, one for each record, in any order.

        None while the service is still processing the batch; the engine calls again.
        """


class Connector(Protocol):
    """One signed-in instance of a service.

    Methods raise only `ServiceError`, and `NotFound` or `BadInput` if their docstring says so. The
    client that a connector gets is signed in and has timeouts, so a connector never handles a
    token, never sleeps and never retries. All methods may be called concurrently.
    """

    @property
    def native(self) -> NativeBulk | None:
        """The service's own bulk import; None if it has none."""

    async def check(self) -> None:
        """Return if the credentials work; else raise `SignInAgain` or another `ServiceError`."""

    async def objects(self) -> Mapping[str, Features]:
        """The objects of this instance in the order to show them, and what each can do."""

    async def metadata(self, object: str) -> Mapping[str, Any]:
        """A JSON Schema of the object.

        It looks like `{"type": "object", "properties": {...}, "required": [...]}`. Nested fields
        are nested schemas. `readOnly`, `enum`, `format`, `title` and `description` are present if
        known, and CUSTOM is true for a field that somebody has added at the service. Columns are
        resolved against it (`columns.py`): `write` gets no other fields, unless the schema has
        `additionalProperties`. Raises NotFound for an object that `objects` does not name.
        """

    def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """Yield the records that a query selects, page by page, after `request.after`.

        A page without records, and with the page token (`Page.next`) that reading began with, means
        that the service is still preparing them: the caller waits. Raises CursorExpired if the
        service no longer knows `request.after` or `request.since`, and BadInput for a query that it
        cannot answer.
        """

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """The record with this id, as `read` shows it.

        `parameters` are the service's own, as in `Query`. Raises NotFound if there is no such
        record.
        """

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """The records of a batch that the service already has: `Record.key` to the service's id.

        The engine calls this when the answer to a write was lost and writes are not idempotent. A
        key is absent if the service cannot tell whether it has the record.
        """

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Do the target's action with each record, and return an outcome for each, in any order."""

    async def close(self) -> None:
        """Close connections. Calls in flight may still finish."""


@runtime_checkable
class PlansWrites(Protocol):
    """A connector that can say what `write` would do."""

    remembers_plans: bool
    """Whether it knows, of each job, what the earlier calls of `plan` would do. Otherwise a record
    that depends on an earlier one is planned in one batch with it, behind it."""

    def budgets(self, place: str | None) -> Sequence[Budget]:
        """The budgets that a call counts on, from the widest to the narrowest.

        Of a call that writes in a place (`Planned.place`), or of any other call.
        """

    def usage_limits(self, object: str) -> Sequence[UsageLimit]:
        """What the service lets a person do to this object in some time, beside calls."""

    async def plan(self, target: Target, batch: Sequence[Record]) -> Sequence[Planned]:
        """What `write` would do with these records, one after another; one for each, in any order.

        Nothing stays at the service, not even a note. It raises as `write`.
        """


@runtime_checkable
class UndoesWrites(Protocol):
    """A connector that can put back what `write` has changed."""

    async def undo(
        self, target: Target, batch: Sequence[Reversal], *, overwrites: bool, is_trial: bool
    ) -> Sequence[Outcome]:
        """Put records back, each at most once in a batch; an outcome for each, in any order.

        What was created is deleted; what was changed gets the old values of the fields that were
        written; what was deleted is made again, with the same id. A record whose version is another
        one than `Reversal.version` is kept, unless `overwrites`. One that is as it was before is
        reversed already: the call can be made twice. A trial writes nothing, and says what would
        become of each. It raises as `write`.
        """


@dataclass(frozen=True, slots=True)
class ConfigurationEntry:
    """One entry of an instance's configuration."""

    name: str
    help: str
    secret: bool = False
    choices: tuple[str, ...] = ()
    """The values that it takes, in any case; empty if it takes any text."""
    receives_secrets: bool = False
    """It names the host that the instance's secrets are sent to."""


UNPACED = Unpaced()
Remember = Callable[[Mapping[str, str]], Awaitable[None]]
"""Seals and stores changed configuration entries of an instance, such as a new refresh token."""


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """What a provider needs to connect one instance."""

    configuration: Mapping[str, str]
    """The instance's configuration with its secrets. Never log it."""
    http: aiohttp.ClientSession
    """Opens connections to allowed addresses only."""
    remember: Remember
    pace: Pace = UNPACED
    """Every call of the connector takes a permit from it."""
    organization_id: int = 0
    """The organization of the instance: what a provider keeps itself is apart for each."""


@dataclass(frozen=True, slots=True)
class AuthorizeRequest:
    """What a caller sends to get the URL at which a person signs in."""

    api_key: str
    api_secret: str
    callback_url: str
    base_url: str | None = None
    scope: str | None = None
    state: str | None = None
    challenge: str | None = None
    """The code challenge of PKCE (RFC 7636, method S256), if the service supports it."""


class OAuth(Protocol):
    """A service's sign-in by authorization code (RFC 6749, section 4.1)."""

    takes_challenge: bool
    """Whether the service supports PKCE. Only then are a challenge and a verifier sent."""

    def authorize_url(self, request: AuthorizeRequest) -> str:
        """The URL at which a person allows openbulk to act for them."""

    async def exchange(
        self,
        code: str,
        configuration: Mapping[str, str],
        http: aiohttp.ClientSession,
        *,
        verifier: str | None = None,
    ) -> Mapping[str, str]:
        """Exchange a code for tokens, and return them as configuration entries to seal and store.

        `verifier` belongs to the code's challenge; None if there was no challenge. Raises
        `SignInAgain`.
        """

    async def revoke(self, configuration: Mapping[str, str], http: aiohttp.ClientSession) -> None:
        """Revoke the tokens that `exchange` returned. Raises `ServiceError`.

        Does nothing if there are no tokens, or the service cannot revoke them.
        """


@runtime_checkable
class KeepsRecords(Protocol):
    """A provider that keeps the records of its instances in this process, if it may."""

    is_on: bool

    def keep_only(self, organization_id: int, configurations: Sequence[Mapping[str, str]]) -> None:
        """Delete what no instance of the organization, by these configurations, has any more."""


class Provider(Protocol):
    """A service that instances can be created for; `connectors/__init__.py` lists them."""

    key: str
    """As in `element.key`: `googlecalendar`."""
    name: str
    """As people know it: `Google Calendar`."""
    hub: str
    """The hub it belongs to: `scheduling`."""
    event_objects: frozenset[str]
    """The objects whose records are events as Google's Calendar API has them. Only for these, a
    table with the columns of Google Calendar's CSV is taken for one."""
    makes_calls: bool
    """Whether its connectors take a permit of their pace for each call, so that a job can be slowed
    down; False where records are written without calls of a service."""
    entries: Sequence[ConfigurationEntry]
    """The configuration entries that it reads. Others are refused."""
    options: Sequence[Option]
    """The keys of `metaData` that its connectors read (`Target.options`). Others are refused."""
    oauth: OAuth | None
    """Its sign-in by authorization code; None if it has none."""

    def connect(self, context: "ConnectionContext") -> Connector:
        """A connector for one instance. Makes no call.

        Raises BadInput for a configuration that cannot work.
        """
