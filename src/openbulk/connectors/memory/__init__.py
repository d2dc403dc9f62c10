"""A service in the server's own memory: for trying openbulk, for measuring it, and the connector to copy.

Instances with the same `space` share their records; what they hold is gone when the server stops. A record with
a field `fail` is refused, with that field's value as the reason, so that error files can be tried.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from openbulk.connectors.base import ConnectionContext, Connector, Features, OAuth, Setting
from openbulk.domain.errors import NotFound
from openbulk.domain.query import Page, PageRequest, Query
from openbulk.domain.records import Action, Outcome, OutcomeKind, Record, Target

OBJECTS: Mapping[str, Features] = {
    "records": Features(frozenset(Action), max_batch=1000, concurrency=2, idempotent_writes=True),
    "log": Features(frozenset({Action.CREATE}), max_batch=100, concurrency=2),
}
"""`records` are told apart by their keys; `log` takes whatever is sent, as often as it is sent."""

Space = dict[str, dict[str, Mapping[str, Any]]]
"""Object to key to values."""


class Memory:
    """One instance."""

    native = None

    def __init__(self, space: Space, *, keep: bool) -> None:
        self._space = space
        self._keep = keep

    async def check(self) -> None:
        """There is nothing to sign in to."""

    async def objects(self) -> Mapping[str, Features]:
        """Records and a log."""
        return OBJECTS

    async def metadata(self, object: str) -> Mapping[str, Any]:
        """Any field is taken."""
        self._kept(object)
        fail = {"type": "string", "description": "Refuses the record, with this as the reason."}
        properties = {"id": {"type": "string", "readOnly": True}, "fail": fail}
        return {"type": "object", "properties": properties, "additionalProperties": {}}

    async def read(self, query: Query, request: PageRequest) -> AsyncIterator[Page]:
        """What was kept, in the order in which it came; the cursor counts records."""
        kept = self._kept(query.object)
        keys = list(kept)
        begin = int(request.after or 0)
        while True:
            end = begin + request.size
            yield Page(
                [{"id": key, **kept[key]} for key in keys[begin:end] if key in kept],
                str(end) if end < len(keys) else None,
            )
            begin = end
            if begin >= len(keys):
                return

    async def get(self, object: str, id: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """The record with this key."""
        if id not in self._kept(object):
            raise NotFound(f"{object!r} has no record {id!r}")
        return {"id": id, **self._kept(object)[id]}

    async def find(self, target: Target, batch: Sequence[Record]) -> Mapping[str, str]:
        """The records whose keys are kept; a log cannot say."""
        if target.object == "log":
            return {}
        return {
            record.key: record.key for record in batch if record.key in self._kept(target.object)
        }

    async def write(self, target: Target, batch: Sequence[Record]) -> Sequence[Outcome]:
        """Do the action with each record."""
        kept = self._kept(target.object)
        act = _append if target.object == "log" else _ACTIONS[target.action]
        return [self._refused(record) or act(record, kept, self._keep) for record in batch]

    async def close(self) -> None:
        """Nothing is held open."""

    def _kept(self, object: str) -> dict[str, Mapping[str, Any]]:
        if object not in OBJECTS:
            raise NotFound(f"there is no object {object!r}; the objects are: {', '.join(OBJECTS)}")
        return self._space.setdefault(object, {})

    def _refused(self, record: Record) -> Outcome | None:
        reason = record.values.get("fail")
        return Outcome.failed(record.row, str(reason), field="fail") if reason else None


def _put(
    record: Record, kept: dict[str, Mapping[str, Any]], keep: bool, kind: OutcomeKind
) -> Outcome:
    if keep:
        kept[record.key] = record.values
    return Outcome(record.row, kind, record.key)


def _create(record: Record, kept: dict[str, Mapping[str, Any]], keep: bool) -> Outcome:
    return _put(record, kept, keep, OutcomeKind.CREATED)


def _append(record: Record, kept: dict[str, Mapping[str, Any]], keep: bool) -> Outcome:
    if keep:
        kept[f"{len(kept) + 1}"] = record.values
    return Outcome(record.row, OutcomeKind.CREATED, f"{len(kept)}" if keep else None)


def _upsert(record: Record, kept: dict[str, Mapping[str, Any]], keep: bool) -> Outcome:
    if record.key not in kept:
        return _create(record, kept, keep)
    if kept[record.key] == record.values:
        return Outcome(record.row, OutcomeKind.UNCHANGED, record.key)
    return _put(record, kept, keep, OutcomeKind.UPDATED)


def _update(record: Record, kept: dict[str, Mapping[str, Any]], keep: bool) -> Outcome:
    return _upsert(record, kept, keep) if record.key in kept else _missing(record)


def _delete(record: Record, kept: dict[str, Mapping[str, Any]], _keep: bool) -> Outcome:
    return (
        _missing(record)
        if kept.pop(record.key, None) is None
        else Outcome(record.row, OutcomeKind.DELETED, record.key)
    )


def _missing(record: Record) -> Outcome:
    return Outcome.failed(
        record.row,
        f"there is no record {record.key!r}; metaData.identifierFieldName names its field",
    )


Act = Callable[[Record, dict[str, Mapping[str, Any]], bool], Outcome]
_ACTIONS: Mapping[Action, Act] = {
    Action.CREATE: _create,
    Action.UPDATE: _update,
    Action.UPSERT: _upsert,
    Action.DELETE: _delete,
}


class MemoryProvider:
    """Makes instances, and keeps their spaces."""

    key = "memory"
    name = "Memory"
    hub = "general"
    settings: Sequence[Setting] = (
        Setting(
            "space", "Instances with the same space share their records; default: one for all."
        ),
        Setting("keep", "false: take records and forget them at once; default: true."),
    )
    oauth: OAuth | None = None

    def __init__(self) -> None:
        self._spaces: dict[str, Space] = {}

    def connect(self, context: ConnectionContext) -> Connector:
        """A connector for an instance. Memory bounds no calls."""
        space = self._spaces.setdefault(context.configuration.get("space", ""), {})
        return Memory(space, keep=context.configuration.get("keep", "true").lower() != "false")
