"""The interface that every service is spoken to through.

To add a service, copy `connectors/memory/`, keep its order, and run `openbulk.testing.connectors` over it.

OBJECT    a kind of record at the service, named as the service names it: `events`, `contact`
RECORD    one thing of that kind; `Record.key` is the same for every sending of it
TARGET    the object and the action that a job is about, and what its caller said of them
OUTCOME   what became of a record; a record that the service refuses is an outcome, never an exception
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
    """What one object of a service can do. The engine asks this, never the service's name."""

    actions: frozenset[Action] = frozenset()
    """What `write` (or `native`) takes; empty where the object can only be read."""
    max_batch: int = 1
    """Most records in one call of `write`, or in one `submit` of a native bulk import."""
    concurrency: int = 16
    """Most calls of `write` under way at one time for one job."""
    initial_concurrency: int | None = None
    """So many at the beginning of a turn, where a service is to be approached gently: each answer makes room for one
    more."""
    idempotent_writes: bool = False
    """A batch sent twice with the same keys has the effect of one: it is sent again when its answer was lost."""
    can_read: bool = True
    identifiers: tuple[str, ...] = ()
    """The fields that tell records apart where the caller names none, the first that a record has; records that have
    the same value there are sent one after another, in the order of the file."""
    paths: tuple[str, ...] = ()
    """Other names of the object, with values for metaData in them: `calendars/{calendarId}/events`."""
    parameters: frozenset[str] = frozenset()
    """The service's own query parameters, which a condition may name beside the fields: they are passed through."""
    changed: str | None = None
    """The field that says when a record was last changed; `Query.changed_since` is about it."""
    has_changes: bool = False
    """`read` may end with a bookmark. With that as `PageRequest.since`, and the same parameters and page size, it gives at
    least those of its records whose field `changed` is not before the bookmark's moment, each as it is now; or it
    raises CursorExpired, on whichever page, where the service has forgotten the bookmark."""
    applies_where: bool = False
    """`read` gives exactly the records for which `Query.where` holds."""
    sorts: bool = False
    """`read` gives the records in the order of `Query.order`."""
    id: str | None = "id"
    """The field by which one record is asked for (`get`) and written; None where records have none."""
    native: bool = False
    """Uploads go through the connector's `native` instead of `write`."""


class NativeBulk(Protocol):
    """A service's own bulk import: a batch is handed over, and its outcomes are collected later.

    The ticket is text, kept in the ledger: it survives a restart between `submit` and `collect`.
    A `submit` that was cut off took no effect, or takes none when the batch is submitted again.
    """

    async def submit(self, target: Target, batch: Sequence[Record]) -> str:
        """Hand a batch over and return the ticket that asks for it."""

    async def collect(
        self, ticket: str, target: Target, batch: Sequence[Record]
    ) -> Sequence[Outcome] | None:
        """The outcomes of the batch that this ticket was given for, one a record, in any order.

        None while the service still works on it; the engine asks again.
        """


class Connector(Protocol):
    """One signed-in instance of a service.

    Raises only `domain.errors.ServiceError`. It is handed a client that is signed in and timed: it never sees
    a token, never sleeps, never retries. All of its methods may be called concurrently.
    """

    @property
    def native(self) -> NativeBulk | None:
        """The service's own bulk import, where it has one."""

    async def check(self) -> None:
        """Return where the credentials work; raise `SignInAgain` or another `ServiceError` where they don't."""

    async def objects(self) -> Mapping[str, Features]:
        """The objects of this instance, in the order to show them, and what each can do."""

    async def metadata(self, object: str) -> Mapping[str, Any]:
        """A JSON Schema of the object: `{"type": "object", "properties": {...}, "required": [...]}`.

        Nested fields are nested schemas; `readOnly`, `enum`, `format`, `title` and `description` where known.
        Raises NotFound for an object that `objects` does not name.
        """

    def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """The records of an object, page by page, from `request.after` on.

        A page without records, but with a cursor, says that the service still works on them; the caller waits.
        Raises CursorExpired where the service does not know `request.after` or `request.since` any more.
        """

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """The record with this id, as `read` shows it; `parameters` are the service's own, as in `Query`.

        Raises NotFound where there is none.
        """

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """Which records of a batch the service already has: `Record.key` to the service's id.

        The engine asks this when the answer to a write was lost and the object does not honour keys.
        A key of which the service cannot say is absent.
        """

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Do the target's action with each record of the batch, and return an outcome for each, in any order."""

    async def close(self) -> None:
        """Let go of what is held open; calls that are under way may end."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One entry of an instance's configuration."""

    name: str
    help: str
    secret: bool = False


UNPACED = Unpaced()
Remember = Callable[[Mapping[str, str]], Awaitable[None]]
"""Keeps changed configuration entries of an instance, sealed: a refresh token that the service has rotated."""


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """What a provider needs to connect one instance."""

    configuration: Mapping[str, str]
    """The instance's configuration, secrets included. Never log it."""
    http: aiohttp.ClientSession
    """Opens connections to allowed addresses only."""
    remember: Remember
    pace: Pace = UNPACED
    """Gives permits for calls; every call of the connector takes one."""


@dataclass(frozen=True, slots=True)
class AuthorizeRequest:
    """What a caller gives to get the address at which a person signs in."""

    api_key: str
    api_secret: str
    callback_url: str
    base_url: str | None = None
    scope: str | None = None
    state: str | None = None
    challenge: str | None = None
    """What the code is bound to by PKCE (RFC 7636, method S256), where the service knows it."""


class OAuth(Protocol):
    """A service's sign-in by authorization code (RFC 6749, section 4.1)."""

    takes_challenge: bool
    """Whether the service knows PKCE: only then it is given a challenge, and a verifier."""

    def authorize_url(self, request: AuthorizeRequest) -> str:
        """The address at which a person allows openbulk to act for them."""

    async def exchange(
        self,
        code: str,
        configuration: Mapping[str, str],
        http: aiohttp.ClientSession,
        *,
        verifier: str | None = None,
    ) -> Mapping[str, str]:
        """Trade a code for tokens: the configuration entries to keep, sealed. Raises `SignInAgain`.

        `verifier` is what the challenge of the code was made from; None where it was asked for without one.
        """

    async def revoke(self, configuration: Mapping[str, str], http: aiohttp.ClientSession) -> None:
        """Give back what `exchange` got: its tokens are worth nothing any more. Raises `ServiceError`.

        Does nothing where there is nothing to give back, or the service has no way to.
        """


class Provider(Protocol):
    """A service that instances can be made of: what `connectors/__init__.py` lists."""

    key: str
    """As in `element.key`: `googlecalendar`."""
    name: str
    """As people know it: `Google Calendar`."""
    hub: str
    """The hub it belongs to: `scheduling`."""
    settings: Sequence[Setting]
    """The configuration it understands; entries that it does not list are kept, but never secret."""
    oauth: OAuth | None
    """Its sign-in by authorization code, where it has one."""

    def connect(self, context: "ConnectionContext") -> Connector:
        """A connector for one instance. Makes no call; raises BadInput for a configuration that cannot work."""
