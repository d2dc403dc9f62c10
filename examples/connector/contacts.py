"""Contacts: a connector to a made-up address book with a REST API. Copy it to connect your service.

1. Copy this file to `src/openbulk/connectors/<service>/__init__.py`, `sandbox.py` to
   `src/openbulk/sandbox/` and `test_contacts.py` to `tests/connectors/`. Keep the order of members.
2. List the provider in `src/openbulk/connectors/__init__.py`.
3. Run the test until every promise of `openbulk.testing.connectors` is kept.

A connector turns records into calls, and answers into outcomes. It never sleeps, retries or counts
calls: the client signs, paces and times each call, and the engine decides what to send again.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from openbulk.connectors.answers import Answer
from openbulk.connectors.base import (
    ConfigurationEntry,
    ConnectionContext,
    Connector,
    Features,
    OAuth,
)
from openbulk.connectors.fields import (
    FieldError,
    did_you_mean,
    not_a_choice,
    parse_boolean,
    parse_date,
)
from openbulk.connectors.http import Client, HeaderAuth
from openbulk.connectors.pace import Budget
from openbulk.domain.errors import BadInput, CursorExpired, NotFound, Refused, ServiceError
from openbulk.domain.options import Option
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target

# --- what the service's documentation says ---

API_URL = "https://api.contacts.example"
PATH = "/v1/contacts"
MAX_PAGE = 100
"""Maximum contacts in a page of a list. The service refuses a larger `limit`."""
CALLS_PER_MINUTE = 600
STATUSES = ("lead", "customer", "former")

OBJECTS: Mapping[str, Features] = {
    "contacts": Features(
        frozenset({Action.CREATE, Action.UPDATE, Action.DELETE}),
        # The service accepts one record a call, and up to eight calls at a time.
        max_batch=1,
        concurrency=8,
        # A second POST with the same `externalKey` creates nothing, a second PATCH or DELETE
        # changes nothing: if an answer is lost, the engine sends the call again.
        idempotent_writes=True,
        # Contacts with the same address are written in the order of the file.
        identifiers=("id", "email"),
    )
}
"""What each object can do. The engine reads this, and never the name of the service."""

PROPERTIES: Mapping[str, Mapping[str, Any]] = {
    "id": {"type": "string", "readOnly": True},
    "email": {"type": "string", "format": "email"},
    "name": {"type": "string"},
    "birthday": {"type": "string", "format": "date"},
    "newsletter": {"type": "boolean"},
    "status": {"type": "string", "enum": list(STATUSES)},
}


class Contacts:
    """One signed-in address book. All of its calls may run at the same time: it keeps no state."""

    native = None
    """The service has no bulk import of its own; see `connectors/eloqua/` for one that has."""

    def __init__(self, client: Client, base_url: str, budgets: Sequence[Budget]) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._budgets = budgets

    async def check(self) -> None:
        """The cheapest call that needs the key. Raises SignInAgain if the key is refused."""
        _require_success(await self._call("GET", "/v1/account"))

    async def objects(self) -> Mapping[str, Features]:
        """Every address book has these objects. Other services list theirs by a call."""
        return OBJECTS

    async def metadata(self, object: str) -> Mapping[str, Any]:
        """The fields of a contact as JSON Schema."""
        _require_object(object)
        return {"type": "object", "properties": PROPERTIES, "required": ["email"]}

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """Contacts in the service's own order.

        The service cannot filter or sort, so `Features` does not offer it: the engine applies the
        query's condition and order itself.
        """
        _require_object(query.object)
        size = min(request.size, MAX_PAGE)
        page_token = request.after
        while True:
            parameters = {**query.parameters, "limit": str(size)}
            if page_token is not None:
                parameters["cursor"] = page_token
            page = _require_success(await self._call("GET", PATH, params=parameters)).json()
            page_token = page["next"]
            yield Page(page["contacts"], page_token)
            # The last page has no page token. It may hold no records.
            if page_token is None:
                return

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """The contact with this id."""
        _require_object(object)
        answer = await self._call("GET", _path_of(id), params=parameters)
        if answer.status == 404:
            raise NotFound(f"there is no contact with the id {id!r}")
        contact: Mapping[str, Any] = _require_success(answer).object()
        return contact

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """Not needed: the engine calls this only if writes are not idempotent."""
        return {}

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Write each record of the batch. A refused record is an outcome, not an exception."""
        return [await self._write_one(target.action, record) for record in batch]

    async def close(self) -> None:
        """Nothing to close: the HTTP session belongs to the server."""

    async def _write_one(self, action: Action, record: Record) -> Outcome:
        try:
            method, path, body = _CALLS[action](record)
        except FieldError as error:
            return error.outcome(record.row)
        answer = await self._call(method, path, json=body)
        if answer.is_success:
            return Outcome(record.row, _DONE[action], _id_of(record, answer))
        return _problem(action, record, answer)

    async def _call(self, method: str, path: str, **more: Any) -> Answer:
        """Every call goes through here, so that every call counts against the budgets."""
        url = self._base_url + path
        return await self._client.call(method, url, budgets=self._budgets, **more)


# --- records to calls ---

Call = tuple[str, str, Mapping[str, Any] | None]
"""Method, path, and JSON body."""


def _create(record: Record) -> Call:
    # `Record.key` stays the same each time a record is sent, even after a restart.
    return "POST", PATH, {**_body_of(record), "externalKey": record.key}


def _update(record: Record) -> Call:
    contact_id = _require_id(record, "update")
    return "PATCH", _path_of(contact_id), _body_of(record)


def _delete(record: Record) -> Call:
    return "DELETE", _path_of(_require_id(record, "delete")), None


_CALLS: Mapping[Action, Callable[[Record], Call]] = {
    Action.CREATE: _create,
    Action.UPDATE: _update,
    Action.DELETE: _delete,
}
_DONE: Mapping[Action, OutcomeKind] = {
    Action.CREATE: OutcomeKind.CREATED,
    Action.UPDATE: OutcomeKind.UPDATED,
    Action.DELETE: OutcomeKind.DELETED,
}


def _body_of(record: Record) -> dict[str, Any]:
    """A record in the service's types: a CSV file holds text only. Raises FieldError.

    Check a value here only if that improves on the service's own message, or saves a call that is
    certain to fail. The service checks the rest.
    """
    # A downloaded file has ids. The service makes its own for new contacts.
    given = {name: value for name, value in record.values.items() if name != "id"}
    return {name: _convert(name, value) for name, value in given.items()}


def _convert(name: str, value: Any) -> Any:
    if name not in PROPERTIES:
        hint = did_you_mean(name, PROPERTIES, f"its fields are: {', '.join(PROPERTIES)}")
        raise FieldError(name, f"a contact has no field {name!r}; {hint}")
    if value is None:
        return None
    match name:
        case "birthday":
            return parse_date(name, value).isoformat()
        case "newsletter":
            return parse_boolean(name, value)
        case "status" if value not in STATUSES:
            raise not_a_choice(name, value, STATUSES)
    return value


def _require_id(record: Record, verb: str) -> str:
    if not record.values.get("id"):
        raise FieldError("id", f"id is missing: it identifies the contact to {verb}")
    return str(record.values["id"])


def _path_of(contact_id: str) -> str:
    # An id comes from a file or a caller, and may hold any character.
    return f"{PATH}/{quote(contact_id, safe='')}"


# --- answers to outcomes and errors ---


def _id_of(record: Record, answer: Answer) -> str:
    """The id of the written contact. The service answers a DELETE without a body (204)."""
    if answer.body:
        return answer.text_at("id")
    return str(record.values["id"])


def _problem(action: Action, record: Record, answer: Answer) -> Outcome:
    """The outcome of a record that the service did not write. Raises ServiceError.

    This function alone decides whether an answer is about the record or about the whole call.
    """
    match answer.status, action:
        case 409, Action.CREATE:
            # The service knows the key: an earlier sending of this record has created the contact.
            return Outcome(record.row, OutcomeKind.CREATED, answer.text_at("id"))
        case 404, Action.DELETE:
            return Outcome(record.row, OutcomeKind.NOT_FOUND)
        case 404, _:
            message = f"there is no contact with the id {record.values['id']!r}"
            return Outcome.failure(record.row, message, field="id")
        case 400, _:
            error = answer.json()["error"]
            return Outcome.failure(
                record.row,
                error["message"],
                field=error.get("field"),
                provider_message=answer.text(),
            )
    raise _failure(answer)


def _require_success(answer: Answer) -> Answer:
    if not answer.is_success:
        raise _failure(answer)
    return answer


def _failure(answer: Answer) -> ServiceError:
    """The error for an answer about the whole call, chosen by what the engine does next.

    The client has already raised for 401, 429 and 5xx, and if there was no answer.
    """
    if answer.status == 410:
        return CursorExpired("the list has changed too much to be continued from this page")
    return Refused(f"Contacts refuses the call ({answer.status})", provider_message=answer.text())


def _require_object(object: str) -> None:
    if object not in OBJECTS:
        raise NotFound(f"there is no object {object!r}; the objects are: {', '.join(OBJECTS)}")


class ContactsProvider:
    """Makes connectors to Contacts."""

    key = "contacts"
    name = "Contacts"
    hub = "crm"
    event_objects = frozenset[str]()
    makes_calls = True
    entries: Sequence[ConfigurationEntry] = (
        ConfigurationEntry("api.key", "API key of the address book.", secret=True),
        ConfigurationEntry(
            "base.url", f"Address of the service; default: {API_URL}. For sandboxes and proxies."
        ),
    )
    options: Sequence[Option] = ()
    """The keys of `metaData` that it reads, besides those of every upload."""
    oauth: OAuth | None = None
    """Signed in by a key; see `connectors/eloqua/service.py` for a service with OAuth 2."""

    def connect(self, context: ConnectionContext) -> Connector:
        """A connector for an instance. Makes no call. Raises BadInput without a key."""
        key = context.configuration.get("api.key")
        if not key:
            raise BadInput("the configuration lacks api.key: Contacts shows it under Settings")
        auth = HeaderAuth({"Authorization": f"Bearer {key}"})
        client = Client(context.http, auth, self.name, context.pace)
        base_url = context.configuration.get("base.url") or API_URL
        return Contacts(client, base_url, [_budget_of(key)])


def _budget_of(key: str) -> Budget:
    """The service counts the calls of a key: instances with the same key share its budget.

    The client reads a refusal (429 with Retry-After). Pass it `throttle_of` if a service refuses in
    another way.
    """
    # Scopes are stored and logged, so the key is not in them.
    owner = hashlib.sha256(key.encode()).hexdigest()[:16]
    return Budget(
        scope=f"contacts/key/{owner}",
        label="key",
        calls=CALLS_PER_MINUTE,
        seconds=60.0,
        limit_text=f"Contacts allows {CALLS_PER_MINUTE} calls a minute for one key",
    )
