"""Which calls of a slice wait for one another: those that may hold the same record."""

from collections.abc import Collection, Hashable, Mapping, Sequence, Set

from openbulk.connectors.base import Features, OrderingKeys
from openbulk.domain.records import Record, Target, value_at


def ordering_keys_of(target: Target, features: Features) -> OrderingKeys:
    """What makes the keys of records: the object's own, or the values of its identifiers."""
    if features.concurrency == 1:
        return _no_keys  # all calls wait for one another
    if features.ordering is not None:
        return features.ordering(target)
    columns = _ordering_columns(target, features)
    if not columns:
        return _no_keys
    return lambda record: _keys_in(columns, record)


def keys_of_batch(keys_of: OrderingKeys, batch: Sequence[Record]) -> Set[Hashable] | None:
    """The ordering keys of a batch; None if one of its records may have that of any other."""
    keys: set[Hashable] = set()
    if keys_of is _no_keys:
        return keys
    for record in batch:
        found = keys_of(record)
        if found is None:
            return None
        keys.update(found)
    return keys


def _no_keys(_record: Record) -> Collection[Hashable]:
    return ()


def _ordering_columns(target: Target, features: Features) -> Mapping[str, str]:
    """The fields by which records are ordered, each with the identifier that its value is."""
    identifiers = dict.fromkeys(filter(None, [target.identifier_field, *features.identifiers]))
    return {**{name: name for name in identifiers}, **features.references}


def _keys_in(columns: Mapping[str, str], record: Record) -> Collection[Hashable]:
    """The values of these fields that a record has."""
    return {
        (identifier, str(value))
        for name, identifier in columns.items()
        if (value := value_at(record.values, name)) not in (None, "")
    }
