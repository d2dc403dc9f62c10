"""The interface between openbulk and a service: a connector.

To add a service, copy `examples/connector/`, keep its order, and run `openbulk.testing.connectors`
over it. CONTRIBUTING.md lists the steps.

OBJECT    a kind of record at the service, named as the service names it: `events`, `contact`
RECORD    one thing of that kind; `Record.key` stays the same however often it is sent
TARGET    the object and the action of a job, and its caller's options
OUTCOME   what became of a record; a record that the service refuses has an outcome, and raises
          no exception
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from openbulk.connectors.pace import Pace, Unpaced
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Outcome, Record, Target


@dataclass(frozen=True, slots=True)
class Features:
    """What one object of a service can do. The engine looks at this, never at a service's name."""

    actions: frozenset[Action] = frozenset()
    """The actions of `write` (or of `native`); none where the object can only be read."""
    max_batch: int = 1
    """Most records in one call of `write`, or in one `submit` of a native bulk import."""
    concurrency: int = 16
    """Most calls of `write` that one job has under way."""
    initial_concurrency: int | None = None
    """Most calls under way at the beginning of a slice; each answer allows one more, up to
    `concurrency`. None begins with all of them."""
    idempotent_writes: bool = False
    """A batch sent twice with the same keys has the effect of one, so the engine sends it again
    when its answer was lost."""
    can_read: bool = True
    identifiers: tuple[str, ...] = ()
    """Fields that tell records apart where the caller names none: of each record, the first that
    it has. Records with the same value there are sent one after another, in the file's order."""
    paths: tuple[str, ...] = ()
    """Other names of the object; values in them are options: `calendars/{calendarId}/events`."""
    parameters: frozenset[str] = frozenset()
    """The service's own query parameters. A condition may name them like fields; they are passed
    through as `Query.parameters`."""
    changed: str | None = None
    """The field with the date of a record's last change; `Query.changed_since` means that date."""
    has_changes: bool = False
    """The last page of `read` may have a bookmark.

    Read again with the bookmark as `PageRequest.since` and the same parameters and page size,
    `read` yields at least the records whose field `changed` is not before `Bookmark.taken_at`, each
    as it is now. It raises CursorExpired, on any page, where the service has forgotten the
    bookmark."""
    applies_where: bool = False
    """`read` yields exactly the records for which `Query.where` holds."""
    sorts: bool = False
    """`read` yields the records in the order of `Query.order`."""
    id: str | None = "id"
    """The field that identifies a record in `get` and in writes; None where records have none."""
    native: bool = False
    """Uploads go through `Connector.native` instead of `write`."""


class NativeBulk(Protocol):
    """A service's own bulk import: it takes a batch now, and has the outcomes later.

    The ticket is text in the ledger, so it survives a restart between `submit` and `collect`. A
    `submit` that was cut off has no effect, or loses it when the batch is submitted again.
    """

    async def submit(self, target: Target, batch: Sequence[Record]) -> str:
        """Hand a batch over, and return its ticket."""

    async def collect(
        self, ticket: str, target: Target, batch: Sequence[Record]
    ) -> Sequence[Outcome] | None:
        """The outcomes of the ticket's batch, one for each record, in any order.

        None while the service still works on the batch; the engine calls again.
        """


class Connector(Protocol):
    """One signed-in instance of a service.

    Its methods raise only `ServiceError`, and `NotFound` where they say so. It gets a client that
    is signed in and has timeouts, so it never sees a token, never sleeps and never retries. All
    methods may be called concurrently.
    """

    @property
    def native(self) -> NativeBulk | None:
        """The service's own bulk import, where it has one."""

    async def check(self) -> None:
        """Return if the credentials work; else raise `SignInAgain` or another `ServiceError`."""

    async def objects(self) -> Mapping[str, Features]:
        """The objects of this instance in the order to show them, and what each can do."""

    async def metadata(self, object: str) -> Mapping[str, Any]:
        """A JSON Schema of the object.

        It looks like `{"type": "object", "properties": {...}, "required": [...]}`. Nested fields
        are nested schemas. `readOnly`, `enum`, `format`, `title` and `description` are there where
        known. Raises NotFound for an object that `objects` does not name.
        """

    def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """The records that a query selects, page by page, from `request.after` on.

        A page that has a cursor but no records says that the service still prepares them; the
        caller waits. Raises CursorExpired where the service no longer knows `request.after` or
        `request.since`.
        """

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """The record with this id, as `read` shows it.

        `parameters` are the service's own, as in `Query`. Raises NotFound where there is no such
        record.
        """

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """The records of a batch that the service already has: `Record.key` to the service's id.

        The engine calls this when the answer to a write was lost and writes are not idempotent. A
        key is absent where the service cannot say whether it has the record.
        """

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Do the target's action with each record, and return an outcome for each, in any order."""

    async def close(self) -> None:
        """Close connections; calls that are under way may end."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One entry of an instance's configuration."""

    name: str
    help: str
    secret: bool = False


UNPACED = Unpaced()
Remember = Callable[[Mapping[str, str]], Awaitable[None]]
"""Stores changed configuration entries of an instance, sealed: a rotated refresh token."""


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
    """The code challenge of PKCE (RFC 7636, method S256), where the service supports it."""


class OAuth(Protocol):
    """A service's sign-in by authorization code (RFC 6749, section 4.1)."""

    takes_challenge: bool
    """Whether the service supports PKCE: only then does it get a challenge and a verifier."""

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

        `verifier` belongs to the challenge of the code; None where there was no challenge. Raises
        `SignInAgain`.
        """

    async def revoke(self, configuration: Mapping[str, str], http: aiohttp.ClientSession) -> None:
        """Revoke the tokens that `exchange` returned. Raises `ServiceError`.

        Does nothing where there are no tokens, or the service cannot revoke them.
        """


class Provider(Protocol):
    """A service that instances can be created for; `connectors/__init__.py` lists them."""

    key: str
    """As in `element.key`: `googlecalendar`."""
    name: str
    """As people know it: `Google Calendar`."""
    hub: str
    """The hub it belongs to: `scheduling`."""
    settings: Sequence[Setting]
    """The configuration that it knows. Other entries are stored, too, but never as secrets."""
    oauth: OAuth | None
    """Its sign-in by authorization code, where it has one."""

    def connect(self, context: "ConnectionContext") -> Connector:
        """A connector for one instance. Makes no call.

        Raises BadInput for a configuration that cannot work.
        """
