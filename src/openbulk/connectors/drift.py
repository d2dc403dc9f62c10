"""Whether a record is still as its plan saw it (docs/decisions/0056).

A connector that writes a record with `Record.expected` finds out what it would do now, and with
which state of the service's record. If that is not what the plan saw, the record has drifted.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from openbulk.domain.records import Expectation, Outcome, OutcomeKind, Problem
from openbulk.exact_json import encode_json

_NOTHING_TO_DO = frozenset({OutcomeKind.UNCHANGED, OutcomeKind.NOT_FOUND})
"""The service is as the row says already, whoever has made it so."""
_EXISTS = "the plan would create this record, and the service has it by now"
_IS_GONE = "the plan saw this record, and the service does not have it any more"
_HAS_CHANGED = "the record has changed since the plan saw it"
_END = "; it was left as it is"


def version_of(values: Mapping[str, Any]) -> str:
    """A version of a record whose service has none: a digest of some of its fields."""
    ordered = dict(sorted(values.items()))
    return hashlib.sha256(encode_json(ordered)).hexdigest()[:32]


def drift_of(
    expected: Expectation, kind: OutcomeKind, id: str | None = None, version: str | None = None
) -> str | None:
    """What has changed since the plan, in a sentence; None if nothing that matters.

    `kind` is what a write would do now, with a record that has this id and version. A plan without
    a version is compared without it.
    """
    if kind in _NOTHING_TO_DO:
        return None
    if kind is OutcomeKind.FAILED:
        return (_IS_GONE if expected.id else _HAS_CHANGED) + _END
    if kind is expected.kind is OutcomeKind.CREATED:
        return None
    if expected.kind is OutcomeKind.CREATED or expected.kind is OutcomeKind.NOT_FOUND:
        return _EXISTS + _END
    if kind is OutcomeKind.CREATED:
        return _IS_GONE + _END
    is_same_version = None in (expected.version, version) or expected.version == version
    is_same = (kind, id) == (expected.kind, expected.id) and is_same_version
    return None if is_same else _HAS_CHANGED + _END


def outcome_of_drift(row: int, reason: str, id: str | None = None) -> Outcome:
    """The outcome of a record that has drifted."""
    return Outcome(row, OutcomeKind.DRIFTED, id, Problem(reason))
