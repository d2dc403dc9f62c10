"""The interface that every service is spoken to through.

To add a service, copy `connectors/memory/`, keep its order, and run `openbulk.testing.connectors` over it.

OBJECT    a kind of record at the service, named as the service names it: `events`, `contact`
RECORD    one thing of that kind; `Record.key` is the same for every sending of it
OUTCOME   what became of a record; a record that the service refuses is an outcome, never an exception
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from openbulk.domain.query import Page, Query
from openbulk.domain.records import Action, Outcome, Record


@dataclass(frozen=True, slots=True)
class Features:
    """What one object of a service can do. The engine asks this, never the service's name."""

    actions: frozenset[Action] = frozenset()
    """What `write` (or `native`) takes; empty where the object can only be read."""
    max_batch: int = 1
    """Most records in one call of `write`."""
    concurrency: int = 16
    """Most calls of `write` under way at one time for one job."""
    honours_keys: bool = False
    """A batch sent twice with the same keys has the effect of one: it may be sent again when its answer was lost."""
    can_read: bool = True
    native: bool = False
    """Uploads go through the connector's `native`, in batches of up to `max_batch` records."""


class NativeBulk(Protocol):
    """A service's own bulk import: a batch is handed over, and its outcomes are collected later.

    The ticket is text, kept in the ledger: it survives a restart between `submit` and `collect`.
    A submit that raised or was cut off has left nothing that takes effect, or is harmless when submitted again.
    """

    async def submit(self, object: str, action: Action, batch: Sequence[Record]) -> str:
        """Hand a batch over and return the ticket that asks for it."""

    async def collect(self, ticket: str, batch: Sequence[Record]) -> Sequence[Outcome] | None:
        """The outcomes of the batch that was submitted for this ticket, one a record, in any order.

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

        Nested fields are nested schemas; `readOnly`, `enum`, `format` and `description` are given where known.
        Raises KeyError for an object that `objects` does not name.
        """

    def read(self, query: Query) -> AsyncIterator[Page]:
        """The records of an object, page by page, from `query.after` on."""

    async def find(self, object: str, keys: Sequence[str]) -> Mapping[str, Record]:
        """Which of these keys the service has: what the engine asks when the answer to a write was lost.

        A connector that cannot look records up by key returns nothing.
        """

    async def write(self, object: str, action: Action, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Do the action with each record of the batch, and return an outcome for each, in any order."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One entry of an instance's configuration."""

    name: str
    help: str
    secret: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """What a connector is told of the job that it writes for."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """The caller's `metaData`, as it came: a connector reads the keys that it documents."""
    identifier_field: str | None = None
    """The field that tells records apart, where the caller named one."""


class Provider(Protocol):
    """A service that instances can be made of: the one object that `connectors/__init__.py` lists."""

    key: str
    """As in `element.key`: `googlecalendar`."""
    name: str
    """As people know it: `Google Calendar`."""
    hub: str
    """The hub it belongs to: `scheduling`."""
    settings: Sequence[Setting]
