"""Puts records of memory back as they were. Nothing else runs meanwhile: it waits for nothing."""

from collections.abc import Mapping
from typing import Any

from openbulk.connectors.memory.records import Records
from openbulk.domain.records import Before, Outcome
from openbulk.domain.undo import Deed, Reversal


def undo(reversal: Reversal, records: Records, *, overwrites: bool, is_trial: bool) -> Outcome:
    """Put a record back; a trial only says what would become of it."""
    known = records.get(reversal.id)
    if known is None:
        return _undo_of_missing(reversal, records, is_trial=is_trial)
    before = Before(_image_of(reversal, known), records.version(reversal.id))
    if reversal.deed is not Deed.CREATED and before.values == reversal.values:
        return reversal.as_reversed()
    if before.version != reversal.version and not overwrites:
        return reversal.as_kept()
    if is_trial:
        return reversal.as_reversed()
    if reversal.deed is Deed.CREATED:
        records.delete(reversal.id)
        return reversal.as_reversed(before=before)
    return _put(reversal, records, {**known, **reversal.values}, before)


def _undo_of_missing(reversal: Reversal, records: Records, *, is_trial: bool) -> Outcome:
    if reversal.deed is not Deed.DELETED:
        return reversal.as_gone()
    if is_trial:
        return reversal.as_reversed()
    return _put(reversal, records, reversal.values, None)


def _image_of(reversal: Reversal, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """What putting a record back overwrites."""
    if reversal.deed is Deed.UPDATED:
        return {name: known.get(name) for name in reversal.values}
    return known


def _put(
    reversal: Reversal, records: Records, values: Mapping[str, Any], before: Before | None
) -> Outcome:
    kept = {name: value for name, value in values.items() if value is not None}
    if not records.put(reversal.id, kept):
        return Outcome.failure(reversal.row, "the memory of this server is full")
    return reversal.as_reversed(before=before, version=records.version(reversal.id))
