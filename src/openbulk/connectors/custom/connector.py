"""Speaks to a service as its export describes it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openbulk.connectors.answers import Answer, kind_of
from openbulk.connectors.base import Features
from openbulk.connectors.custom.description import (
    Call,
    Description,
    ObjectDescription,
    Operation,
)
from openbulk.connectors.custom.json_parts import value_behind
from openbulk.connectors.custom.lists import read_pages, size_of
from openbulk.connectors.custom.refusals import problem_outcome, require_success
from openbulk.connectors.custom.service import Prepared, Service, content_of, records_in
from openbulk.connectors.custom.values import has_values, to_types
from openbulk.connectors.fields import FieldError, did_you_mean, short_repr
from openbulk.domain.errors import BadInput, NotFound, Refused, ServiceError
from openbulk.domain.plan import Completeness
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target

CONCURRENCY = 4
"""Calls at a time. What the service takes is not known; it says so by 429."""
MAX_LOOKED_UP = 100
"""Records that the service shows for one value of an identifier; most of them are like it."""
_DONE = {
    Action.CREATE: OutcomeKind.CREATED,
    Action.UPDATE: OutcomeKind.UPDATED,
    Action.DELETE: OutcomeKind.DELETED,
}


@dataclass(frozen=True, slots=True)
class Write:
    """The call that writes one record."""

    target: Target
    record: Record
    action: Action
    """What it does; an upsert creates or updates."""
    record_id: str | None
    """The id of the record at the service; None for a new one."""
    prepared: Prepared
    values: Mapping[str, Any] = field(default_factory=dict)
    """The fields to send, in the types of the service."""
    body: Any = None


class CustomConnector:
    """One instance of a custom connector. All of its calls may run at the same time."""

    native = None

    def __init__(self, description: Description, service: Service) -> None:
        self._description = description
        self._service = service
        self._features = {name: features_of(one) for name, one in description.objects.items()}

    async def check(self) -> None:
        """The call that the export names for it, else the first list. Raises SignInAgain."""
        call = self._description.check or self._first_list()
        if call is None:
            return
        query = {} if call.paging is None else size_of(call.paging, 1)
        answer = await self._service.send(self._service.prepare(call, {}), query)
        # A list that wants more than the export says shows that the credentials work, too.
        is_elsewhere = 300 <= answer.status < 400
        if self._description.check is not None or answer.status == 403 or is_elsewhere:
            require_success(answer)

    def _first_list(self) -> Call | None:
        lists = (one.calls.get(Operation.LIST) for one in self._description.objects.values())
        return next((call for call in lists if call and not call.path_parameters), None)

    async def objects(self) -> Mapping[str, Features]:
        """The objects of the export."""
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
            raise BadInput(f"the connector {self._description.key} cannot list {query.object!r}")
        prepared = self._service.prepare(call, query.parameters)
        async for page in read_pages(self._service, prepared, request):
            yield page

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """The record with this id. Raises NotFound."""
        described = self._object(object)
        call = described.calls.get(Operation.GET)
        if call is None:
            raise Refused(
                f"the connector {self._description.key} cannot read single records of {object!r}"
            )
        try:
            prepared = self._service.prepare(call, {**parameters, call.id_name: id})
        except BadInput as error:
            raise NotFound(f"{object!r} has no record {id!r}") from error
        answer = await self._service.send(prepared, {})
        if answer.status in {404, 410}:
            raise NotFound(f"{object!r} has no record {id!r}")
        found = content_of(call, require_success(answer))
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        if not isinstance(found, dict):
            raise answer.mismatch(kind_of(found), "an object")
        return found

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """Records whose writing has had its effect, as far as the service shows it."""
        described = self._object(target.object)
        found: dict[str, str] = {}
        for record in batch:
            try:
                made = await self._find_one(described, target, record)
            except (FieldError, NotFound, Refused):
                continue
            if made is not None:
                found[record.key] = made
        return found

    async def _find_one(
        self, described: ObjectDescription, target: Target, record: Record
    ) -> str | None:
        """The id of a record that is as its writing leaves it; None if it is not."""
        if target.identifier_field in described.lookups:
            record_id = await self._look_up(described, target, record)
        elif target.action is Action.CREATE:
            return None
        else:
            record_id = _id_of(described, target, record)
        if target.action is Action.DELETE:
            return await self._id_if_gone(described, target, record_id)
        if record_id is None:
            return None
        shown = await self.get(target.object, record_id, texts_of(target.options))
        return record_id if has_values(shown, self._values_of(described, target, record)) else None

    async def _id_if_gone(
        self, described: ObjectDescription, target: Target, record_id: str | None
    ) -> str | None:
        if record_id is None:
            return None
        try:
            await self.get(target.object, record_id, texts_of(target.options))
        except NotFound:
            return record_id
        return None

    async def _look_up(
        self, described: ObjectDescription, target: Target, record: Record
    ) -> str | None:
        """The id of the record with the value of the identifier; None if there is none.

        Raises FieldError if the service does not say which one it is.
        """
        field = str(target.identifier_field)
        value = record.values.get(field)
        if value is None or value == "":
            raise FieldError(field, f"{field} is missing: it identifies the record")
        call = described.calls[Operation.LIST]
        prepared = self._prepare_write(call, target, {field: str(value)})
        size = MAX_LOOKED_UP
        query = {}
        if call.paging is not None:
            size = min(size, call.paging.max_size)
            query = size_of(call.paging, size)
        answer = require_success(await self._service.send(prepared, query, records=size))
        shown = records_in(call, answer)
        same = [one for one in shown if str(one.get(field)) == str(value)]
        ids = {str(one[described.id_field]) for one in same if described.id_field in one}
        if len(ids) == 1:
            return ids.pop()
        if ids or len(shown) >= size:
            count = f"{len(ids)} records" if ids else "too many records that are like it"
            raise FieldError(
                field,
                f"{field} {short_repr(value)} does not identify a record: the service has {count}",
            )
        return None

    # --- writing ---

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Write each record of the batch. A refused record is an outcome, not an exception."""
        return [await self._write_one(target, record) for record in batch]

    async def _write_one(self, target: Target, record: Record) -> Outcome:
        try:
            write = await self._prepare(target, record)
        except FieldError as error:
            return error.outcome(record.row)
        if write is None:
            return Outcome(record.row, OutcomeKind.NOT_FOUND)
        answer = await self._service.send(write.prepared, {}, json=write.body)
        if answer.is_success:
            described = self._object(target.object)
            made = _id_in(answer, write.prepared.call, described) or write.record_id
            return Outcome(record.row, _DONE[write.action], made)
        return problem_outcome(write.action, record.row, write.record_id, answer)

    async def _prepare(self, target: Target, record: Record) -> "Write | None":
        """The call that writes a record; None if there is none to delete. Raises FieldError."""
        described = self._object(target.object)
        action, record_id = await self._action_for(described, target, record)
        if record_id is None and action is Action.DELETE:
            return None
        call = _call_of(described, action)
        given = {} if record_id is None else {call.id_name: record_id}
        prepared = self._prepare_write(call, target, given)
        if action is Action.DELETE:
            return Write(target, record, action, record_id, prepared)
        values = self._values_of(described, target, record)
        body = self._body_of(call, values)
        return Write(target, record, action, record_id, prepared, values, body)

    async def _action_for(
        self, described: ObjectDescription, target: Target, record: Record
    ) -> tuple[Action, str | None]:
        """What to do with a record, and the id of the record at the service. Raises FieldError."""
        if target.action is Action.CREATE:
            return Action.CREATE, None
        if target.identifier_field not in described.lookups:
            return target.action, _id_of(described, target, record)
        record_id = await self._look_up(described, target, record)
        if target.action is Action.UPSERT:
            return (Action.CREATE if record_id is None else Action.UPDATE), record_id
        if record_id is None and target.action is Action.UPDATE:
            field = target.identifier_field
            value = short_repr(record.values.get(str(field)))
            raise FieldError(field, f"the service has no record whose {field} is {value}")
        return target.action, record_id

    def _prepare_write(self, call: Call, target: Target, given: Mapping[str, str]) -> Prepared:
        """The call for one record. Raises FieldError for a value that cannot be in its path."""
        given = {**texts_of(target.options), **given}
        for name in sorted(call.path_parameters - given.keys()):
            raise FieldError(
                None, f"metaData.{name} is missing: it is part of the path of {target.object!r}"
            )
        try:
            return self._service.prepare(call, given)
        except BadInput as error:
            raise FieldError(None, error.message) from error

    def _values_of(
        self, described: ObjectDescription, target: Target, record: Record
    ) -> dict[str, Any]:
        """The fields to send, in the types of the service. Raises FieldError."""
        values = dict(record.values)
        is_new = target.action is Action.CREATE
        if described.id_field and not (is_new and described.sends_id):
            # A downloaded file has ids; those of new records are the service's own.
            values.pop(described.id_field, None)
        return values if target.is_typed else to_types(described.schema, values)

    def _body_of(self, call: Call, values: Mapping[str, Any]) -> Any:
        body: Any = {**self._service.texts(call.fields), **values}
        for step in reversed(call.request_root):
            body = {step: body}
        return body

    async def close(self) -> None:
        """Nothing to close: the HTTP session belongs to the server."""


def features_of(described: ObjectDescription) -> Features:
    """What an object of an export can do."""
    calls = described.calls
    possible = {
        Action.CREATE: Operation.CREATE in calls,
        Action.UPDATE: Operation.UPDATE in calls or Operation.REPLACE in calls,
        Action.DELETE: Operation.DELETE in calls,
    }
    actions = {action for action, is_possible in possible.items() if is_possible}
    if described.lookups and actions >= {Action.CREATE, Action.UPDATE}:
        actions.add(Action.UPSERT)
    parameters = set(described.parents)
    for operation in (Operation.LIST, Operation.GET):
        if operation in calls:
            parameters |= calls[operation].parameters.keys()
            parameters |= calls[operation].path_parameters
            parameters.discard(calls[operation].id_name)
    has_path = described.path != described.name
    return Features(
        frozenset(actions),
        concurrency=CONCURRENCY,
        can_read=Operation.LIST in calls or Operation.GET in calls,
        identifiers=(described.id_field,) if described.id_field else (),
        identity={Action.UPSERT: ()},
        paths=(described.path,) if has_path else (),
        parameters=frozenset(parameters),
        lookups=frozenset(described.lookups),
        changed=described.changed,
        id=described.id_field,
        skips_read_only=True,
        bulk_upload=described.takes_uploads,
        bulk_download=described.gives_downloads,
        plan=_completeness_of(described),
    )


def _completeness_of(described: ObjectDescription) -> Completeness:
    """Records are found by what the service shows of them. What it refuses, it alone knows."""
    can_find = Operation.GET in described.calls or described.lookups
    return Completeness.BY_KEY if can_find else Completeness.NONE


def texts_of(options: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in options.items()}


def _call_of(described: ObjectDescription, action: Action) -> Call:
    if action is Action.CREATE:
        return described.calls[Operation.CREATE]
    if action is Action.DELETE:
        return described.calls[Operation.DELETE]
    return described.calls.get(Operation.UPDATE) or described.calls[Operation.REPLACE]


def _id_of(described: ObjectDescription, target: Target, record: Record) -> str:
    """The id of the record to change. Raises FieldError."""
    field = described.id_field or "id"
    if target.identifier_field not in {None, field}:
        possible = " or ".join([field, *described.lookups])
        raise FieldError(
            target.identifier_field,
            f"{target.identifier_field} cannot identify records of {described.name!r}; "
            f"{possible} can",
        )
    value = record.values.get(field)
    if value is None or value == "":
        raise FieldError(field, f"{field} is missing: it identifies the record")
    return str(value)


def _id_in(answer: Answer, call: Call, described: ObjectDescription) -> str | None:
    """The id of a written record, if the answer shows it."""
    if not answer.body or described.id_field is None:
        return None
    try:
        found = content_of(call, answer)
    except ServiceError:
        return None  # it is written, whatever the answer says
    value = value_behind(found, (described.id_field,))
    return None if value is None or isinstance(value, dict | list) else str(value)
