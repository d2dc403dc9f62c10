"""Reads, creates, changes and deletes single records at once, without a job.

The calls use the same connectors and budgets as jobs. A person waits for the answer: if the service
defers a call for more than some seconds, the caller gets its error.
"""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from openbulk.connectors.base import Connector, Features, NativeBulk
from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.connectors.fields import FieldError
from openbulk.connectors.targets import (
    ResolvedObject,
    refusal_of,
    refusal_to_read,
    resolve_object,
)
from openbulk.domain.date_signs import DateColumns
from openbulk.domain.errors import (
    AnswerLost,
    BadInput,
    NotFound,
    NotPossible,
    Refused,
    RetryLater,
    ServiceError,
)
from openbulk.domain.job import Position
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import (
    Action,
    Outcome,
    OutcomeKind,
    Record,
    Target,
    select_fields,
)
from openbulk.domain.transformation import Transformation, service_name_of
from openbulk.engine.backoff import MAX_RESENDS, wait_before_resend
from openbulk.engine.pages import presenter_of, query_for_connector, take_wanted
from openbulk.engine.record_fields import RecordFields
from openbulk.engine.renamed_messages import message_shown, renamed_outcome
from openbulk.engine.slices.external_sort import record_sort_key
from openbulk.exact_json import pack_line
from openbulk.threads import Threads

MAX_WAIT_SECONDS = 10.0
"""Maximum seconds to repeat a call that the service defers."""
MIN_PAUSE_SECONDS = 0.1
IMPORT_SECONDS = 60.0
"""Maximum seconds to wait for a service's own bulk import."""
POLL_SECONDS = 0.25
PAGE_SECONDS = 10.0
"""After this time a page is returned with the records it has; the rest is on the next page."""
MAX_SORTED = 10_000
"""Maximum records that openbulk sorts for one page."""
MAX_PAGE_BYTES = 4 * 1024 * 1024
MAX_SORTED_BYTES = 16 * 1024 * 1024
"""A page ends early once its records have so many bytes as JSON."""
MIN_PAGE_SIZE = 50
"""With a condition, only some records are wanted, so openbulk reads pages of at least this size."""

_THREADS = Threads("single records", 2)

NO_OPTIONS: Mapping[str, Any] = {}
FindNames = Callable[[str], Awaitable[Transformation | None]]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Resource:
    """An object of an instance, or one record of it, named by a path."""

    object: ResolvedObject
    id: str | None
    """None if the path names the object."""
    features: Features
    transformation: Transformation | None = None
    """The caller's names of the object and its fields, if they are not the service's."""

    @property
    def name(self) -> str:
        """The service's name of the object."""
        return self.object.name

    @property
    def shown_name(self) -> str:
        """The object's name as the caller knows it."""
        return self.name if self.transformation is None else self.transformation.name

    def show(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """A record of the service in the caller's names."""
        if self.transformation is None:
            return record
        return self.transformation.from_service().apply(record)

    @property
    def can(self) -> frozenset[str]:
        """The allowed actions: some of read, create, update and delete."""
        if self.id is not None and self.features.id is None:
            return frozenset()
        writes = {Action.UPDATE, Action.DELETE}
        if self.id is None:
            writes = {Action.CREATE}
        can: frozenset[str] = self.features.actions & writes
        return can | {"read"} if self.features.can_read else can


class Direct:
    """The records of one instance."""

    def __init__(self, connector: Connector, find_names: FindNames) -> None:
        """`find_names` returns the transformation of that name, if there is one."""
        self.connector = connector
        self._find_names = find_names

    async def resource(self, path: str) -> Resource:
        """The object or the record that a path names. Raises NotFound if it names neither.

        Paths look like `events`, `events/abc` or `calendars/primary/events/abc`.
        """
        objects = await _call(self.connector.objects)
        parent, _, last = path.rpartition("/")
        for object_path, record_id in ((path, None), (parent, last)):
            # A name of the caller's own has no slash: a path is the service's.
            names = None if "/" in object_path else await self._find_names(object_path)
            resolved = resolve_object(service_name_of(object_path, names), objects)
            if resolved.name in objects:
                return Resource(resolved, record_id, objects[resolved.name], names)
            if names is not None:
                raise NotFound(
                    f"{names.name!r} is {names.vendor_name!r} at the service, which has no such "
                    f"object any more; the objects are: {', '.join(objects)}"
                )
        raise NotFound(f"there is no object {path!r}; the objects are: {', '.join(objects)}")

    async def check(self) -> None:
        """Call the service. Raises the ServiceError with which it refuses."""
        await _call(self.connector.check)

    async def key_behind_id(self, resource: Resource) -> str | None:
        """The field that `id` stands for: the key of an object that has no field `id`.

        None for an object of the caller's own, whose fields have the caller's names.
        """
        key = resource.features.id
        if key in (None, "id") or resource.transformation is not None:
            return None
        schema = await _call(lambda: self.connector.metadata(resource.name))
        return None if "id" in schema.get("properties", {}) else key

    # --- reading ---

    async def get(
        self, resource: Resource, options: Mapping[str, Any] = NO_OPTIONS
    ) -> Mapping[str, Any]:
        """One record. `options` may have parameters of the service. Raises NotFound."""
        _require_readable(resource)
        record_id = _id_of(resource)
        names = options.keys() & resource.features.parameters
        parameters = {
            **{name: options[name] for name in names},
            **resource.object.path_parameters,
        }
        try:
            record = await _call(lambda: self.connector.get(resource.name, record_id, parameters))
        except NotFound as error:
            if resource.transformation is None:
                raise
            raise NotFound(f"{resource.shown_name!r} has no record {record_id!r}") from error
        return resource.show(record)

    async def page(
        self, resource: Resource, query: Query, begin: Position, size: int
    ) -> tuple[list[Mapping[str, Any]], Position]:
        """The records that a query selects after a position, and the position after them.

        At most `size` records; fewer if they are large, or if finding them takes longer than
        PAGE_SECONDS.
        """
        _require_readable(resource)
        if query.order and not resource.features.sorts:
            return await self._sorted_page(resource, query, begin.skip, size)
        return await self._page(resource, query, begin, size, MAX_PAGE_BYTES)

    async def _page(
        self, resource: Resource, query: Query, begin: Position, size: int, max_bytes: int
    ) -> tuple[list[Mapping[str, Any]], Position]:
        condition = None if resource.features.applies_where else query.where
        present = presenter_of(query)
        records: list[Mapping[str, Any]] = []
        position = begin
        until = asyncio.get_running_loop().time() + PAGE_SECONDS
        while not position.is_end and len(records) < size:
            page = await self._read(resource, query, position, size)
            # The caller's token may be from a larger page: then the rest is on the next one.
            rest = max(0, position.skip - len(page.records))
            wanted, position = take_wanted(page, position, condition, size - len(records))
            position = replace(position, skip=position.skip or rest)
            selected = list(map(present, wanted))
            max_bytes -= sum(len(pack_line(record, default=str)) for record in selected)
            records += selected
            if max_bytes <= 0 or asyncio.get_running_loop().time() > until:
                break
            if page.is_pending:
                await asyncio.sleep(MIN_PAUSE_SECONDS)
        return records, position

    async def _sorted_page(
        self, resource: Resource, query: Query, skip: int, size: int
    ) -> tuple[list[Mapping[str, Any]], Position]:
        view = query.view and replace(query.view, fields=(), order=())
        unsorted = replace(query, order=(), fields=(), view=view)
        records, position = await self._page(
            resource, unsorted, Position(), MAX_SORTED, MAX_SORTED_BYTES
        )
        if not position.is_end:
            raise BadInput(
                "there are too many records to sort at once; narrow them down with `where`, or let "
                "a job sort them: POST /bulk/query with `order by`"
            )
        records.sort(key=lambda record: record_sort_key(record, query.shown_order))
        end = skip + size
        shown = [select_fields(record, query.shown_fields) for record in records[skip:end]]
        return shown, Position(skip=end, is_end=end >= len(records))

    async def _read(self, resource: Resource, query: Query, position: Position, size: int) -> Page:
        page_size = size if query.where is None else max(size, MIN_PAGE_SIZE)
        request = PageRequest(page_size, position.after)
        sent = query_for_connector(
            query, resource.object, is_sorted_by_service=resource.features.sorts
        )
        try:
            return await _call(lambda: _first(self.connector.read(sent, request)))
        except BadInput as error:
            if query.view is None:
                raise
            message = message_shown(error.message, query)
            raise BadInput(message, provider_message=error.provider_message) from error

    # --- writing ---

    async def create(
        self, resource: Resource, values: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Create a record, and return it as the service shows it.

        Raises BadInput if the service refuses it.
        """
        target = _target(resource, Action.CREATE, options)
        fields = await self._fields_of(values, target, resource.features)
        record = Record(1, fields, key=uuid.uuid4().hex)
        outcome = await self._write(target, record, resource)
        return await self._record_after(outcome, resource, values, options)

    async def change(
        self, resource: Resource, values: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Change the given fields of a record, and return it as the service shows it.

        Raises NotFound, and BadInput if the service refuses the change.
        """
        record_id = _id_of(resource)
        # Look first: nothing is sent for a record that does not exist.
        await self.get(resource, options)
        target = _target(resource, Action.UPDATE, options)
        fields = await self._fields_of(values, target, resource.features)
        record = Record(1, {**fields, str(resource.features.id): record_id}, key=record_id)
        outcome = await self._write(target, record, resource)
        shown = resource.show(record.values)
        return await self._record_after(outcome, resource, shown, options)

    async def delete(self, resource: Resource, options: Mapping[str, Any]) -> None:
        """Delete a record. Raises NotFound if the service knows none of that id, deleted or not."""
        record_id = _id_of(resource)
        record = Record(1, {str(resource.features.id): record_id}, key=record_id)
        target = _target(resource, Action.DELETE, options)
        outcome = await self._write(target, record, resource)
        if outcome.kind is not OutcomeKind.DELETED and outcome.id is None:
            # The service may say what is missing: the record, or what it is in.
            if "read" in resource.can:
                await self.get(resource)
            raise NotFound(f"{resource.shown_name!r} has no record {record_id!r}")

    async def _record_after(
        self,
        outcome: Outcome,
        resource: Resource,
        values: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """The written record as the service shows it; the sent values if it cannot be read."""
        written = replace(resource, id=outcome.id)
        if outcome.id is None or "read" not in written.can:
            return values
        try:
            return await self.get(written, options)
        except (NotFound, ServiceError):
            # The write has succeeded: a failure to show the record is not a failure to write it.
            return {**values, **resource.show({str(resource.features.id): outcome.id})}

    async def _fields_of(
        self, values: Mapping[str, Any], target: Target, features: Features
    ) -> Mapping[str, Any]:
        """The values by the names of fields, with dates in ISO 8601, as in an upload.

        Raises BadInput.
        """
        schema = await _call(lambda: self.connector.metadata(target.object))
        try:
            # A record may have thousands of fields.
            return await _THREADS.run(_fields_by_name, values, target, features, schema)
        except FieldError as error:
            raise BadInput(error.message) from error

    async def _write(self, target: Target, record: Record, resource: Resource) -> Outcome:
        refusal = refusal_of(target, {resource.name: resource.features})
        if refusal is not None:
            raise NotPossible(refusal, can=resource.can)
        outcome = (await self._send(target, record, resource.features))[0]
        if target.transformation is not None:
            outcome = renamed_outcome(outcome, target.transformation)
        problem = outcome.problem
        if problem is not None:
            raise BadInput(problem.message, provider_message=problem.provider_message)
        return outcome

    async def _send(self, target: Target, record: Record, features: Features) -> Sequence[Outcome]:
        native = self.connector.native
        if features.native:
            assert native is not None
            return await _call(lambda: _import(native, target, record))
        return await _call(
            lambda: self.connector.write(target, [record]),
            is_idempotent=features.idempotent_writes,
        )


async def _import(native: NativeBulk, target: Target, record: Record) -> Sequence[Outcome]:
    ticket = await native.submit(target, [record])
    for _ in range(round(IMPORT_SECONDS / POLL_SECONDS)):
        outcomes = await native.collect(ticket, target, [record])
        if outcomes is not None:
            return outcomes
        await asyncio.sleep(POLL_SECONDS)
    raise Refused(
        f"the service did not report within {IMPORT_SECONDS:.0f} s whether it took the record; "
        "check there"
    )


def _target(resource: Resource, action: Action, options: Mapping[str, Any]) -> Target:
    """The target of a call. Its identifier is the service's field, whatever the caller calls it."""
    return Target(
        resource.name,
        action,
        identifier_field=None if action is Action.CREATE else resource.features.id,
        options={**options, **resource.object.path_parameters},
        run=uuid.uuid4().hex,
        records=1,
        is_typed=True,
        transformation=resource.transformation,
    )


def _require_readable(resource: Resource) -> None:
    refusal = refusal_to_read(resource.name, {resource.name: resource.features})
    if refusal is not None:
        raise NotPossible(refusal, can=resource.can)


def _id_of(resource: Resource) -> str:
    if resource.id is None or resource.features.id is None:
        why = f"the records of {resource.shown_name!r} have no id; select them with `where`"
        raise NotPossible(why, can=resource.can)
    return resource.id


async def _first(pages: AsyncIterator[Page]) -> Page:
    async for page in pages:
        return page
    return Page([], None)


async def _call(call: Callable[[], Awaitable[Result]], *, is_idempotent: bool = True) -> Result:
    """Make a call; repeat it if the service defers it, or if the answer is lost.

    After a lost answer, only a call that `is_idempotent` is repeated. Raises the ServiceError after
    MAX_RESENDS repetitions, or if the pause would end after MAX_WAIT_SECONDS.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + MAX_WAIT_SECONDS
    resends = 0
    while True:
        try:
            return await call()
        except RetryLater as error:
            pause = error.after
            if resends == MAX_RESENDS or clock() + (pause or 0) > until:
                raise
        except AnswerLost:
            pause = None
            if resends == MAX_RESENDS or not is_idempotent:
                raise
        # A pause that the service asks for does not count: MAX_WAIT_SECONDS bounds those.
        if pause is None:
            resends += 1
            pause = wait_before_resend(resends, random.random())  # noqa: S311
        await asyncio.sleep(max(pause, MIN_PAUSE_SECONDS))


def _fields_by_name(
    values: Mapping[str, Any], target: Target, features: Features, schema: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Raises FieldError, and BadInput if the values do not show the order of their dates."""
    shown = DateColumns()
    shown.add_record(values)
    if target.transformation is not None:
        # Its identifier is not one of the caller's names.
        target = replace(target, identifier_field=None)
    columns, dates = Columns(target, features, schema), DateFields(schema)
    return RecordFields(columns, schema, dates, shown.signs(), target.options).of(values)
