"""Whether a record is still as its plan saw it (docs/decisions/0056).

A connector that writes a record with `Record.expected` finds out what it would do now, and with
which state of the service's record. If that is not what the plan saw, the record has drifted.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from openbulk.connectors.base import Connector, PlansWrites
from openbulk.domain.plan import Planned, PlannedKind
from openbulk.domain.records import Expectation, Outcome, OutcomeKind, Problem, Record, Target
from openbulk.exact_json import encode_json

NOTHING_TO_DO = frozenset({OutcomeKind.UNCHANGED, OutcomeKind.NOT_FOUND})
"""The service is as the row says already, whoever has made it so."""
_WITHOUT_RECORD = frozenset({OutcomeKind.CREATED, OutcomeKind.NOT_FOUND, OutcomeKind.FAILED})
"""What becomes of a row for which the service has no record."""
EXISTS = "the plan would create this record, and the service has it by now; it was left as it is"
IS_GONE = "the plan saw this record, and the service does not have it any more; nothing was written"
HAS_CHANGED = "the record has changed since the plan saw it; it was left as it is"


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
    if kind in NOTHING_TO_DO or kind is expected.kind is OutcomeKind.CREATED:
        return None
    if expected.kind in _WITHOUT_RECORD:
        return EXISTS
    if kind in _WITHOUT_RECORD:
        return IS_GONE
    is_same_version = None in (expected.version, version) or expected.version == version
    is_same = (kind, id) == (expected.kind, expected.id) and is_same_version
    return None if is_same else HAS_CHANGED


async def write_checked(
    connector: Connector, target: Target, batch: Sequence[Record]
) -> Sequence[Outcome]:
    """Write records that are still as their plans saw them, with a connector that plans.

    Each is planned again. Between that and the write somebody may still change it.
    """
    assert isinstance(connector, PlansWrites)
    seen = [record for record in batch if record.expected is not None]
    # Apart from the plan itself, whose records the connector may remember.
    look = replace(target, run=f"{target.run}/{uuid.uuid4().hex}")
    found = {one.row: one for one in await connector.plan(look, seen)} if seen else {}
    outcomes: list[Outcome] = []
    for record in seen:
        reason = _drift_of_planned(record.expected, found[record.row])
        if reason is not None:
            outcomes.append(outcome_of_drift(record.row, reason, found[record.row].id))
    rows = {outcome.row for outcome in outcomes}
    rest = [record for record in batch if record.row not in rows]
    return [*outcomes, *(await connector.write(target, rest) if rest else ())]


def _drift_of_planned(expected: Expectation | None, found: Planned) -> str | None:
    if expected is None or found.kind is PlannedKind.NOT_COMPARED:
        return None
    return drift_of(expected, outcome_kind_of(found), found.id, found.version)


def outcome_kind_of(planned: Planned) -> OutcomeKind:
    """What becomes of a record with this plan, which was compared."""
    return OutcomeKind.FAILED if planned.is_refused else OutcomeKind(planned.kind.value)


def outcome_of_drift(row: int, reason: str, id: str | None = None) -> Outcome:
    """The outcome of a record that has drifted."""
    return Outcome(row, OutcomeKind.DRIFTED, id, Problem(reason))
