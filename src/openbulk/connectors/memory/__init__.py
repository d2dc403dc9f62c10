"""A service in the server's own memory: the smallest connector, for trials and measurements.

A server offers it only with `OPENBULK_MEMORY_CONNECTOR=true`. The instances of an organization
with the same `space` share their records. The records are gone with the last of these instances,
and when the server stops. To try out error files: a record with a field `fail` is refused, with the
field's value as the reason.

To connect a service over HTTP, copy `examples/connector/`, which has the same order of members.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from openbulk.connectors.base import (
    ConfigurationEntry,
    ConnectionContext,
    Connector,
    Features,
    OAuth,
)
from openbulk.connectors.drift import drift_of, outcome_kind_of, outcome_of_drift, version_of
from openbulk.connectors.memory.planning import PlannedRecords, changes_between
from openbulk.connectors.memory.records import Records, Room
from openbulk.connectors.memory.undoing import undo
from openbulk.connectors.pace import Budget
from openbulk.domain.errors import NotFound, SignInAgain
from openbulk.domain.options import Option
from openbulk.domain.plan import Completeness, Planned, UsageLimit, kind_of
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import (
    Action,
    Before,
    Outcome,
    OutcomeKind,
    Record,
    Target,
    value_at,
)
from openbulk.domain.undo import Reversal

OBJECTS: Mapping[str, Features] = {
    "records": Features(
        frozenset(Action),
        max_batch=1000,
        concurrency=2,
        idempotent_writes=True,
        plan=Completeness.COMPLETE,
        undoes=frozenset(Action),
        guards_writes=True,
    ),
    "log": Features(
        frozenset({Action.CREATE}),
        max_batch=100,
        concurrency=2,
        plan=Completeness.COMPLETE,
        guards_writes=True,
    ),
}
"""`records` have keys: a record sent twice is stored once. `log` stores every copy."""

_EMPTY = (None, "")

Space = dict[str, Records]
"""Records by object."""


class Memory:
    """One instance."""

    native = None
    remembers_plans = False

    def __init__(self, space: Space, room: Room, *, keep: bool) -> None:
        self._space = space
        self._room = room
        self._keep = keep

    async def check(self) -> None:
        """Memory needs no credentials."""

    async def objects(self) -> Mapping[str, Features]:
        """Every instance has these objects."""
        return OBJECTS

    async def metadata(self, object: str) -> Mapping[str, Any]:
        """Records may have any field."""
        self._records(object)
        fail = {"type": "string", "description": "Refuses the record, with this as the reason."}
        properties = {"id": {"type": "string", "readOnly": True}, "fail": fail}
        return {"type": "object", "properties": properties, "additionalProperties": {}}

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """Records in order of arrival. The page token is the number of records before the page."""
        records = self._records(query.object)
        keys = list(records)
        first = request.number_after(0)
        # At least one page, even without records.
        for begin in range(first, max(len(keys), first + 1), request.size):
            end = begin + request.size
            # A record may have been deleted since the previous page.
            found = ((key, records.get(key)) for key in keys[begin:end])
            page = [{"id": key, **values} for key, values in found if values is not None]
            yield Page(page, str(end) if end < len(keys) else None)

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """The record with this key."""
        values = self._records(object).get(id)
        if values is None:
            raise NotFound(f"{object!r} has no record {id!r}")
        return {"id": id, **values}

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """The records whose keys are stored. A log has no keys."""
        if target.object == "log":
            return {}
        records = self._records(target.object)
        return {record.key: record.key for record in batch if record.key in records}

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Do the action with each record. A refused record is an outcome, not an exception."""
        records, write = self._records(target.object), self._writer(target)
        self._room.version += 1
        # Nobody writes between look and write: both are in one step of the event loop.
        return [self._find_drift(target, one) or write(one, records) for one in batch]

    def _find_drift(self, target: Target, record: Record) -> Outcome | None:
        """The outcome of a record that is not as its plan saw it; None for any other."""
        if record.expected is None:
            return None
        records = PlannedRecords(self._records(target.object), self._room)
        found = self._plan(target, record, records, self._writer(target))
        reason = drift_of(record.expected, outcome_kind_of(found), found.id, found.version)
        return None if reason is None else outcome_of_drift(record.row, reason, found.id)

    async def undo(
        self, target: Target, batch: Sequence[Reversal], *, overwrites: bool, is_trial: bool
    ) -> Sequence[Outcome]:
        """Put records back, if nobody has changed them since."""
        records = self._records(target.object)
        self._room.version += 1
        return [
            undo(reversal, records, overwrites=overwrites, is_trial=is_trial) for reversal in batch
        ]

    def budgets(self, place: str | None) -> Sequence[Budget]:
        """Memory limits no calls."""
        return ()

    def usage_limits(self, object: str) -> Sequence[UsageLimit]:
        """Memory has none."""
        return ()

    async def plan(self, target: Target, batch: Sequence[Record]) -> Sequence[Planned]:
        """What `write` would do, beside the records and not in them."""
        records = PlannedRecords(self._records(target.object), self._room)
        write = self._writer(target)
        return [self._plan(target, record, records, write) for record in batch]

    def _plan(
        self, target: Target, record: Record, records: PlannedRecords, write: "Write"
    ) -> Planned:
        key = _with_own_id(record).key if _takes_ids(target) and _has_id(record) else record.key
        before = records.get(key)
        outcome = write(record, records)
        known = None if before is None or outcome.problem else key
        return Planned(
            record.row,
            kind_of(outcome),
            known,
            changes_between(before, records.get(key)),
            problem=outcome.problem,
            version=None if known is None else _version_seen(target, record, before),
            key=None if target.object == "log" else key,
        )

    def _writer(self, target: Target) -> "Write":
        by_key, by_id, takes_ids = (
            _act_of(target),
            _ACTIONS_BY_ID[target.action],
            _takes_ids(target),
        )

        needed = None if target.action is Action.CREATE else target.identifier_field

        def write(record: Record, records: Records) -> Outcome:
            outcome = _problem_of(record, needed)
            if outcome is None and takes_ids and _has_id(record):
                outcome = by_id(_with_own_id(record), records, self._keep)
            return outcome or by_key(record, records, self._keep)

        return write

    async def close(self) -> None:
        """Nothing is open."""

    def _records(self, object: str) -> Records:
        if object not in OBJECTS:
            raise NotFound(f"there is no object {object!r}; the objects are: {', '.join(OBJECTS)}")
        return self._space.setdefault(object, Records(self._room))


def _problem_of(record: Record, needed: str | None) -> Outcome | None:
    """Why a record is refused. `needed` is the field that identifies records."""
    if reason := record.values.get("fail"):
        return Outcome.failure(record.row, str(reason), field="fail")
    if not needed or value_at(record.values, needed) not in _EMPTY:
        return None
    return Outcome.failure(
        record.row,
        f"{needed} is empty, but it identifies the record (metaData.identifierFieldName); "
        "give it a value",
        field=needed,
    )


def _version_seen(target: Target, record: Record, before: Mapping[str, Any] | None) -> str:
    """The state of a known record: of the fields that the row has, or whole to delete it."""
    assert before is not None
    if target.action is Action.DELETE:
        return version_of(before)
    return version_of({name: before[name] for name in record.values if name in before})


def _takes_ids(target: Target) -> bool:
    # A log appends whatever it is sent, and its records have ids all the same.
    has_ids = target.object == "records" or target.only_compares
    return has_ids and target.identifier_field in (None, "id")


def _has_id(record: Record) -> bool:
    return record.values.get("id") not in _EMPTY


def _with_own_id(record: Record) -> Record:
    """The record under the id that it has: a record that was read comes back with one."""
    values = {name: value for name, value in record.values.items() if name != "id"}
    return record._replace(key=str(record.values["id"]), values=values)


def _put(
    record: Record,
    records: Records,
    keep: bool,
    kind: OutcomeKind,
    before: Before | None = None,
) -> Outcome:
    if keep and not records.put(record.key, record.values):
        return _no_room(record)
    version = records.room.version
    return Outcome(record.row, kind, record.key, None, False, "", False, before, version)


def _create(record: Record, records: Records, keep: bool) -> Outcome:
    return _put(record, records, keep, OutcomeKind.CREATED)


def _create_with_id(record: Record, records: Records, keep: bool) -> Outcome:
    known = records.get(record.key)
    if known is None:
        return _create(record, records, keep)
    if known == record.values:
        # A repeated call.
        return Outcome(record.row, OutcomeKind.UNCHANGED, record.key)
    return Outcome.failure(
        record.row,
        f"a record with the id {record.key!r} exists; use action upsert to change it",
        field="id",
    )


def _append(record: Record, records: Records, keep: bool) -> Outcome:
    if not keep:
        return Outcome(record.row, OutcomeKind.CREATED)
    number = str(len(records) + 1)
    if not records.put(number, record.values):
        return _no_room(record)
    return Outcome(record.row, OutcomeKind.CREATED, number)


def _upsert(record: Record, records: Records, keep: bool) -> Outcome:
    """A field that the record lacks stays as it is."""
    known = records.get(record.key)
    if known is None:
        return _put(record, records, keep, OutcomeKind.CREATED)
    merged = {**known, **record.values}
    if merged == known:
        return Outcome(record.row, OutcomeKind.UNCHANGED, record.key)
    written = {name: known.get(name) for name in record.values}
    before = Before(written, records.version(record.key))
    return _put(record._replace(values=merged), records, keep, OutcomeKind.UPDATED, before)


def _update(record: Record, records: Records, keep: bool) -> Outcome:
    if record.key not in records:
        return _no_such_record(record)
    return _upsert(record, records, keep)


def _delete(record: Record, records: Records, _keep: bool) -> Outcome:
    known, version = records.get(record.key), records.version(record.key)
    if known is None or not records.delete(record.key):
        return Outcome(record.row, OutcomeKind.NOT_FOUND)
    before = Before(known, version)
    return Outcome(record.row, OutcomeKind.DELETED, record.key, before=before)


def _delete_without_identifier(record: Record, records: Records, keep: bool) -> Outcome:
    if record.key not in records:
        return _no_such_record(record)
    return _delete(record, records, keep)


def _no_room(record: Record) -> Outcome:
    return Outcome.failure(
        record.row,
        "the memory of this server is full; delete records or instances of the element memory, "
        "or load into a service",
    )


def _no_such_record(record: Record) -> Outcome:
    return Outcome.failure(
        record.row,
        f"there is no record {record.key!r}; the column that identifies records is named by "
        "metaData.identifierFieldName",
    )


Write = Callable[[Record, Records], Outcome]
Act = Callable[[Record, Records, bool], Outcome]
_ACTIONS: Mapping[Action, Act] = {
    Action.CREATE: _create,
    Action.UPDATE: _update,
    Action.UPSERT: _upsert,
    Action.DELETE: _delete,
}


_ACTIONS_BY_ID: Mapping[Action, Act] = {**_ACTIONS, Action.CREATE: _create_with_id}


def _act_of(target: Target) -> Act:
    if target.object == "log":
        return _append
    if target.action is Action.DELETE and target.identifier_field is None:
        return _delete_without_identifier
    return _ACTIONS[target.action]


class MemoryProvider:
    """Makes connectors to memory, and holds its spaces."""

    key = "memory"
    name = "Memory"
    hub = "general"
    event_objects = frozenset[str]()
    makes_calls = False
    entries: Sequence[ConfigurationEntry] = (
        ConfigurationEntry(
            "space", "Instances with the same space share their records; default: one space."
        ),
        ConfigurationEntry(
            "keep",
            "false: accept records and keep none of them; default: true.",
            choices=("true", "false"),
        ),
    )
    options: Sequence[Option] = ()
    oauth: OAuth | None = None

    def __init__(self, room: Room | None = None, *, is_on: bool = True) -> None:
        self.is_on = is_on
        self._room = room or Room()
        self._spaces: dict[tuple[int, str], Space] = {}

    def connect(self, context: ConnectionContext) -> Connector:
        """A connector for an instance. Memory limits no calls, so it takes no permits.

        Raises SignInAgain if this server has no memory for records.
        """
        if not self.is_on:
            raise SignInAgain(
                "this server has no memory for records; start it with "
                "OPENBULK_MEMORY_CONNECTOR=true, or delete the instance"
            )
        name = _space_of(context.configuration)
        space = self._spaces.setdefault((context.organization_id, name), {})
        return Memory(
            space, self._room, keep=context.configuration.get("keep", "true").lower() != "false"
        )

    def keep_only(self, organization_id: int, configurations: Sequence[Mapping[str, str]]) -> None:
        """Delete the spaces of an organization that none of its instances has any more."""
        kept = {_space_of(configuration) for configuration in configurations}
        for owner, name in list(self._spaces):
            if owner == organization_id and name not in kept:
                for records in self._spaces.pop((owner, name)).values():
                    records.clear()


def _space_of(configuration: Mapping[str, str]) -> str:
    return configuration.get("space", "")
