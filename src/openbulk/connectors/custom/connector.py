"""Speaks to a service as its export describes it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from openbulk.connectors.answers import Answer, kind_of, misfit
from openbulk.connectors.base import Features
from openbulk.connectors.custom.description import (
    Call,
    Description,
    ObjectDescription,
    Operation,
    Paging,
    PagingKind,
    Value,
)
from openbulk.connectors.custom.json_parts import Steps, value_behind
from openbulk.connectors.custom.pages import MAX_CURSOR, Numbered, digest_of, next_place
from openbulk.connectors.custom.refusals import (
    problem_outcome,
    require_success,
)
from openbulk.connectors.custom.templates import fill_path
from openbulk.connectors.custom.values import to_types
from openbulk.connectors.fields import FieldError, did_you_mean
from openbulk.connectors.http import Client
from openbulk.domain.errors import BadInput, NotFound, Refused, ServiceError
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target

WHOLE_LIST = 2_000
"""Records that a list without pages may have: it bounds the answer, and not their number."""
CONCURRENCY = 4
"""Calls at a time. What the service takes is not known; it says so by 429."""
_CHECKED = 1
_DONE = {
    Action.CREATE: OutcomeKind.CREATED,
    Action.UPDATE: OutcomeKind.UPDATED,
    Action.DELETE: OutcomeKind.DELETED,
}
_ADDRESS, _CURSOR = "address:", "cursor:"
"""Begin the token of a page that has an address at the service, and of one that has a cursor."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call with its values."""

    call: Call
    path: str
    query: Mapping[str, str]


class CustomConnector:
    """One instance of a custom connector. All of its calls may run at the same time."""

    native = None

    def __init__(
        self,
        description: Description,
        configuration: Mapping[str, str],
        base_url: str,
        client: Client,
    ) -> None:
        """`configuration` has the defaults of the export where the instance has no value."""
        self._description = description
        self._configuration = configuration
        self._base_url = base_url
        self._client = client
        self._features = {name: features_of(one) for name, one in description.objects.items()}

    async def check(self) -> None:
        """The call that the export names for it, else the first list. Raises SignInAgain."""
        call = self._description.check or self._first_list()
        if call is not None:
            query = {}
            if call.paging is not None and call.paging.size:
                query[call.paging.size] = str(_CHECKED)
            answer = await self._send(self._prepare(call, {}), query)
            require_success(answer)

    def _first_list(self) -> Call | None:
        lists = (one.calls.get(Operation.LIST) for one in self._description.objects.values())
        return next((call for call in lists if call and not call.path_parameters), None)

    async def objects(self) -> Mapping[str, Features]:
        """The objects of the export: none are asked for."""
        return self._features

    async def metadata(self, object: str) -> Mapping[str, Any]:
        """The fields that the export has; any field if it has none."""
        return self._object(object).schema

    def _object(self, name: str) -> ObjectDescription:
        found = self._description.objects.get(name)
        if found is None:
            names = self._description.objects
            hint = did_you_mean(name, names, f"the objects are: {', '.join(names) or 'none'}")
            raise NotFound(f"there is no object {name!r}; {hint}")
        return found

    # --- reading ---

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """The records in the service's order; openbulk applies conditions itself."""
        described = self._object(query.object)
        call = described.calls.get(Operation.LIST)
        if call is None:
            raise BadInput(f"the connector {self._description.key} cannot list {described.name!r}")
        prepared = self._prepare(call, query.parameters)
        if call.paging is None:
            answer = require_success(await self._send(prepared, {}, records=WHOLE_LIST))
            yield Page(self._records(call, answer), None)
        elif call.paging.kind is PagingKind.CURSOR:
            async for page in self._read_by_cursor(prepared, call.paging, request):
                yield page
        else:
            async for page in self._read_by_number(prepared, call.paging, request):
                yield page

    async def _read_by_number(
        self, prepared: Prepared, paging: Paging, request: PageRequest
    ) -> AsyncIterator[Page]:
        size = min(request.size, paging.max_size)
        at: Numbered | None = Numbered(paging.start)
        if request.after:
            at = Numbered.of_token(request.after)
        while at is not None:
            sent = {**_size(paging, size), paging.position: str(at.number)}
            answer = await self._send(prepared, sent, records=size)
            if answer.status == 404 and at.digest:
                # Some services have no page behind the last one.
                yield Page([], None)
                return
            records = self._records(prepared.call, require_success(answer))
            if at.digest and records and at.digest == digest_of(records):
                _refuse_repetition(answer, paging, len(records), size)
                yield Page([], None)
                return
            at = at.following(paging.kind, records)
            yield Page(records, None if at is None else at.token)

    async def _read_by_cursor(
        self, prepared: Prepared, paging: Paging, request: PageRequest
    ) -> AsyncIterator[Page]:
        size = min(request.size, paging.max_size)
        token = request.after
        while True:
            answer = require_success(await self._send_at(prepared, paging, token, size))
            records = self._records(prepared.call, answer)
            following = self._next_token(answer, paging)
            if following is not None and following == token:
                raise answer.mismatch("the page token of this page as the next one", "another")
            yield Page(records, following)
            if following is None:
                return
            token = following

    async def _send_at(
        self, prepared: Prepared, paging: Paging, token: str | None, size: int
    ) -> Answer:
        """The answer of the page that a token names."""
        if token is not None and token.startswith(_ADDRESS):
            return await self._send_to(prepared, token.removeprefix(_ADDRESS), size)
        sent = _size(paging, size)
        if token is not None:
            if not paging.position or not token.startswith(_CURSOR):
                raise BadInput("nextPage is not a token of this list")
            sent[paging.position] = token.removeprefix(_CURSOR)
        return await self._send(prepared, sent, records=size)

    async def _send_to(self, prepared: Prepared, address: str, size: int) -> Answer:
        """The answer of a page at an address below the host of the base URL."""
        if not _is_reference(address):
            raise BadInput("nextPage is not a token of this list")
        host = urlsplit(self._base_url)
        url = f"{host.scheme}://{host.netloc}{address}"
        given = _names_in(address)
        fixed = self._texts(prepared.call.query)
        query = {name: text for name, text in fixed.items() if name not in given}
        return await self._client.call(
            "GET", url, params=query, headers=self._texts(prepared.call.headers), records=size
        )

    def _next_token(self, answer: Answer, paging: Paging) -> str | None:
        body = None if paging.next_key.header else answer.json()
        try:
            place = next_place(paging, answer.headers, body)
        except ValueError as error:
            raise answer.mismatch(str(error), "a text there") from error
        if place is None:
            return None
        text, is_address = place
        if len(text) > MAX_CURSOR or not text.isprintable():
            raise answer.mismatch("a next page that is too long or not printable", "a short text")
        return self._reference(answer, text) if is_address else f"{_CURSOR}{text}"

    def _reference(self, answer: Answer, address: str) -> str:
        """The page token of an address, which must be at the host of the base URL."""
        try:
            whole = urlsplit(urljoin(f"{self._base_url}/", address))
            is_here = (whole.scheme, whole.netloc) == urlsplit(self._base_url)[:2]
        except ValueError:
            is_here = False
        if not is_here:
            raise answer.mismatch(
                f"a next page at another address ({address[:80]})", "one at the same host"
            )
        reference = whole.path or "/"
        return f"{_ADDRESS}{reference}?{whole.query}" if whole.query else f"{_ADDRESS}{reference}"

    def _records(self, call: Call, answer: Answer) -> list[dict[str, Any]]:
        """The records in an answer. Raises ServiceError if there is no list where one is due."""
        found = _behind_root(answer.json(), call.response_root)
        place = ".".join(call.response_root)
        if found is None and call.response_root:
            # A list without records may be left out.
            return []
        if not isinstance(found, list):
            raise answer.mismatch(
                f"{kind_of(found)}{place and f' as {place}'}",
                "a list of records there; the export says where it is (rootKey)",
            )
        wrong = misfit(found, {"items": {"type": "object"}}, place or "records")
        if wrong is not None:
            raise answer.mismatch(*wrong)
        return found

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """The record with this id. Raises NotFound."""
        described = self._object(object)
        call = described.calls.get(Operation.GET)
        if call is None:
            raise Refused(
                f"the connector {self._description.key} cannot read single records of {object!r}"
            )
        try:
            prepared = self._prepare(call, {**parameters, call.id_name: id})
        except BadInput as error:
            raise NotFound(f"{object!r} has no record {id!r}") from error
        answer = await self._send(prepared, {})
        if answer.status in {404, 410}:
            raise NotFound(f"{object!r} has no record {id!r}")
        require_success(answer)
        found = _behind_root(answer.json(), call.response_root)
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        if not isinstance(found, dict):
            raise answer.mismatch(kind_of(found), "an object")
        return found

    # --- writing ---

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """Nothing: an export does not say what a record is known by at the service."""
        return {}

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Write each record of the batch. A refused record is an outcome, not an exception."""
        return [await self._write_one(target, record) for record in batch]

    async def _write_one(self, target: Target, record: Record) -> Outcome:
        described = self._object(target.object)
        try:
            call = _call_of(described, target.action)
            record_id = _id_of(described, target, record)
            body = self._body_of(described, target, record, call)
            prepared = self._prepare_write(call, target, record_id)
        except FieldError as error:
            return error.outcome(record.row)
        answer = await self._send(prepared, {}, json=body)
        if answer.is_success:
            made = _id_in(answer, call, described) or record_id
            return Outcome(record.row, _DONE[target.action], made)
        return problem_outcome(target.action, record.row, record_id, answer)

    def _prepare_write(self, call: Call, target: Target, record_id: str | None) -> Prepared:
        """The call for one record. Raises FieldError for a value that cannot be in its path."""
        given = {name: str(value) for name, value in target.options.items()}
        if record_id is not None:
            given[call.id_name] = record_id
        for name in call.path_parameters - given.keys():
            raise FieldError(
                None, f"metaData.{name} is missing: it is part of the path of {target.object!r}"
            )
        try:
            return self._prepare(call, given)
        except BadInput as error:
            raise FieldError(None, error.message) from error

    def _body_of(
        self, object: ObjectDescription, target: Target, record: Record, call: Call
    ) -> Any:
        if target.action is Action.DELETE:
            return None
        values = dict(record.values)
        is_new = target.action is Action.CREATE
        if object.id_field and not (is_new and object.sends_id):
            # A downloaded file has ids; those of new records are the service's own.
            values.pop(object.id_field, None)
        if not target.is_typed:
            values = to_types(object.schema, values)
        body: Any = {**self._texts(call.fields), **values}
        for step in reversed(call.request_root):
            body = {step: body}
        return body

    # --- calls ---

    def _prepare(self, call: Call, given: Mapping[str, str]) -> Prepared:
        """A call with its values. Raises BadInput for one that cannot be in its path."""

        def value_of(name: str) -> str:
            source = call.path_values[name]
            if isinstance(source, Value):
                return source.text(self._configuration) or ""
            return given.get(source, "")

        query = self._texts(call.query)
        query |= {at: given[name] for name, at in call.parameters.items() if given.get(name)}
        return Prepared(call, fill_path(call.path, value_of), query)

    async def _send(
        self, prepared: Prepared, query: Mapping[str, str], *, json: Any = None, records: int = 1
    ) -> Answer:
        return await self._client.call(
            prepared.call.method,
            self._base_url + prepared.path,
            params={**prepared.query, **query},
            json=json,
            headers=self._texts(prepared.call.headers),
            records=records,
        )

    def _texts(self, values: Mapping[str, Value]) -> dict[str, str]:
        """Values for this instance, without those that an entry lacks."""
        texts = {name: value.text(self._configuration) for name, value in values.items()}
        return {name: text for name, text in texts.items() if text is not None}

    async def close(self) -> None:
        """Nothing to close: the HTTP session belongs to the server."""


def features_of(object: ObjectDescription) -> Features:
    """What an object of an export can do."""
    calls = object.calls
    actions = set()
    if Operation.CREATE in calls:
        actions.add(Action.CREATE)
    if Operation.UPDATE in calls or Operation.REPLACE in calls:
        actions.add(Action.UPDATE)
    if Operation.DELETE in calls:
        actions.add(Action.DELETE)
    parameters = set(object.parents)
    for operation in (Operation.LIST, Operation.GET):
        if operation in calls:
            parameters |= calls[operation].parameters.keys()
            parameters |= calls[operation].path_parameters - {calls[operation].id_name}
    has_path = object.path != object.name
    return Features(
        frozenset(actions),
        concurrency=CONCURRENCY,
        can_read=Operation.LIST in calls or Operation.GET in calls,
        identifiers=(object.id_field,) if object.id_field else (),
        paths=(object.path,) if has_path else (),
        parameters=frozenset(parameters),
        changed=object.changed,
        id=object.id_field,
        skips_read_only=True,
        bulk_upload=object.takes_uploads,
        bulk_download=object.gives_downloads,
    )


def _call_of(object: ObjectDescription, action: Action) -> Call:
    if action is Action.CREATE:
        return object.calls[Operation.CREATE]
    if action is Action.DELETE:
        return object.calls[Operation.DELETE]
    return object.calls.get(Operation.UPDATE) or object.calls[Operation.REPLACE]


def _id_of(object: ObjectDescription, target: Target, record: Record) -> str | None:
    """The id of the record to change; None for a new one. Raises FieldError."""
    if target.action is Action.CREATE:
        return None
    field = object.id_field or "id"
    if target.identifier_field not in {None, field}:
        raise FieldError(
            target.identifier_field,
            f"{target.identifier_field} cannot identify records of {object.name!r}; {field} can",
        )
    value = record.values.get(field)
    if value is None or value == "":
        raise FieldError(field, f"{field} is missing: it says which record to {target.action}")
    return str(value)


def _id_in(answer: Answer, call: Call, object: ObjectDescription) -> str | None:
    """The id of a written record, if the answer shows it."""
    if not answer.body or object.id_field is None:
        return None
    try:
        found = _behind_root(answer.json(), call.response_root)
    except ServiceError:
        return None  # it is written, whatever the answer says
    value = value_behind(found, (object.id_field,))
    return None if value is None or isinstance(value, dict | list) else str(value)


def _behind_root(body: Any, root: Steps) -> Any:
    return value_behind(body, root) if root else body


def _size(paging: Paging, size: int) -> dict[str, str]:
    return {paging.size: str(size)} if paging.size else {}


def _is_reference(address: str) -> bool:
    """Whether an address begins with a path, and so cannot lead to another host."""
    return address.startswith("/") and not address.startswith("//") and address.isprintable()


def _names_in(address: str) -> set[str]:
    query = urlsplit(address).query
    return {pair.partition("=")[0] for pair in query.split("&")}


def _refuse_repetition(answer: Answer, paging: Paging, count: int, size: int) -> None:
    """Raise Refused if a full page came twice. A page that is not full was the last one."""
    if count >= size:
        raise Refused(
            f"{answer.call} answered the same records again for the next page; "
            f"it does not page by {paging.position!r}"
        )
