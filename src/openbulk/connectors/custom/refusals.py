"""What an answer means that is not a success: about a record, or about the whole call."""

from collections.abc import Mapping
from typing import Any

from openbulk.connectors.answers import Answer
from openbulk.domain.errors import Refused, ServiceError
from openbulk.domain.records import Action, Outcome, OutcomeKind

OF_A_RECORD = frozenset({400, 409, 413, 415, 422})
"""Statuses that say that the service refuses what it was sent."""
_GONE = frozenset({404, 410})
_MESSAGES = ("message", "error_description", "detail", "title", "description", "error", "errors")
MAX_MESSAGE = 300


def problem_outcome(action: Action, row: int, record_id: str | None, answer: Answer) -> Outcome:
    """The outcome of a record that the service did not write.

    Raises Refused if the answer is about the whole call.
    """
    if record_id is not None and answer.status in _GONE:
        if action is Action.DELETE:
            return Outcome(row, OutcomeKind.NOT_FOUND)
        return missing_record(row, record_id)
    if answer.status in OF_A_RECORD:
        message = message_in(answer) or f"the service refuses the record ({answer.status})"
        return Outcome.failure(row, message, provider_message=answer.text() or None)
    raise _refusal(answer)


def missing_record(row: int, record_id: str) -> Outcome:
    """The outcome of a record that the service does not have."""
    return Outcome.failure(row, f"the service has no record with the id {record_id!r}")


def require_success(answer: Answer) -> Answer:
    """The answer, if it is a success. Raises Refused."""
    if not answer.is_success:
        raise _refusal(answer)
    return answer


def _refusal(answer: Answer) -> ServiceError:
    location = answer.headers.get("Location", "")
    if 300 <= answer.status < 400 and location:
        # Its query may have what was sent in that of the call.
        where = location.partition("?")[0][:MAX_MESSAGE]
        return Refused(
            f"{answer.call} leads to {where}; openbulk follows no redirects, so base.url has to be "
            "the address at the end of them"
        )
    said = message_in(answer)
    return Refused(
        f"{answer.call} refuses the call ({answer.status})" + (f": {said}" if said else ""),
        provider_message=answer.text() or None,
    )


def message_in(answer: Answer) -> str:
    """The sentence in an answer that refuses something; "" if it has none."""
    try:
        return _message(answer.json(), 0)[:MAX_MESSAGE]
    except ServiceError:
        return ""


def _message(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return value.strip()
    if depth == 4:
        return ""
    if isinstance(value, list):
        return _message(value[0], depth + 1) if value else ""
    if isinstance(value, Mapping):
        found = (_message(value.get(name), depth + 1) for name in _MESSAGES)
        return next(filter(None, found), "")
    return ""
