"""Finds out what became of records whose answer was lost.

It is used if sending them again could make two of them (`Features.idempotent_writes`).
"""

from collections.abc import Sequence

from openbulk.connectors.base import Connector
from openbulk.domain.errors import AnswerLost, CallWithdrawn, ServiceError
from openbulk.domain.records import Action, Outcome, OutcomeKind, Problem, Record, Target
from openbulk.domain.transformation import Transformation
from openbulk.engine.renamed_messages import renamed_outcome

KIND_BY_ACTION = {
    Action.CREATE: OutcomeKind.CREATED,
    Action.UPDATE: OutcomeKind.UPDATED,
    Action.UPSERT: OutcomeKind.UPSERTED,
    Action.DELETE: OutcomeKind.DELETED,
}
"""The outcome of a record that the service has after a lost answer."""


async def look_up(
    connector: Connector, target: Target, batch: Sequence[Record], reason: str
) -> Sequence[Outcome]:
    """Find out at the service what became of a batch. `reason` says why its answer is missing.

    Raises AnswerLost if the service cannot answer now: the intents stay open, and the next slice
    looks them up.
    """
    try:
        ids = await connector.find(target, batch)
    except CallWithdrawn:
        raise
    except ServiceError as error:
        raise AnswerLost(error.message, provider_message=error.provider_message) from error
    found = KIND_BY_ACTION[target.action]
    problem = unknown_problem(reason)
    return [
        Outcome(record.row, found, ids[record.key])
        if record.key in ids
        else Outcome(record.row, OutcomeKind.UNKNOWN, problem=problem)
        for record in batch
    ]


def unknown_problem(reason: str) -> Problem:
    """The problem of a record whose outcome is unknown."""
    return Problem(
        f"it is unknown whether the service stored this record ({reason}); check there before "
        "you send it again"
    )


def complete_outcomes(
    batch: Sequence[Record],
    outcomes: Sequence[Outcome],
    transformation: Transformation | None = None,
) -> list[Outcome]:
    """Exactly one outcome for each record; unknown if the connector returned none.

    Problems name the caller's own fields.
    """
    if transformation is not None:
        outcomes = [renamed_outcome(outcome, transformation) for outcome in outcomes]
    if [outcome.row for outcome in outcomes] == [record.row for record in batch]:
        return list(outcomes)
    by_row = {outcome.row: outcome for outcome in outcomes}
    return [by_row.get(record.row) or _unsaid_outcome(record.row) for record in batch]


def _unsaid_outcome(row: int) -> Outcome:
    problem = unknown_problem("the connector gave no outcome")
    return Outcome(row, OutcomeKind.UNKNOWN, problem=problem)
