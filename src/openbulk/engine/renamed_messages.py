"""Messages about fields in the caller's names, where a transformation renames them.

Connectors know the service's names alone, and their messages begin with the field at fault.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from openbulk.connectors.fields import FieldError
from openbulk.domain.query import Query
from openbulk.domain.records import Outcome, Problem
from openbulk.domain.transformation import Transformation

_NAME = re.compile(r"[\w-]+(?:\[\d+\])*(?:\.[\w-]+(?:\[\d+\])*)*")
_LOOKS_LIKE_A_NAME = re.compile(r"[._\[]|[a-z][A-Z]")
"""`start.dateTime`, `timeZone`: not a word of a sentence, as `end` may be."""
Step = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def renamed_outcome(outcome: Outcome, transformation: Transformation) -> Outcome:
    """An outcome whose problem names the caller's own field."""
    if outcome.remark:
        outcome = outcome._replace(remark=renamed_message(outcome.remark, None, transformation))
    problem = outcome.problem
    if problem is None:
        return outcome
    field = problem.field and transformation.name_of(problem.field)
    message = renamed_message(problem.message, problem.field, transformation)
    return outcome._replace(problem=Problem(message, field, problem.provider_message))


def renamed_message(message: str, field: str | None, transformation: Transformation) -> str:
    """A message about a field of the service, with the caller's names in it."""

    def name(found: re.Match[str]) -> str:
        before = message[: found.start()]
        begins = not before or before.endswith("; ")
        if begins or _LOOKS_LIKE_A_NAME.search(found[0]):
            return transformation.name_of(found[0])
        return found[0]

    renamed = _NAME.sub(name, message)
    own = field and transformation.name_of(field)
    if not own or own == field or own in renamed:
        return renamed
    return f"{own}: {renamed}"


def message_shown(message: str, query: Query) -> str:
    """A service's message about a query, in the names of its caller."""
    if query.view is None:
        return message
    return renamed_message(message, None, query.view.transformation)


def renaming_errors(step: Step, transformation: Transformation) -> Step:
    """A step of making a record's fields, whose errors name the caller's own fields."""

    def named_step(values: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return step(values)
        except FieldError as error:
            message = renamed_message(error.message, error.field, transformation)
            field = error.field and transformation.name_of(error.field)
            raise FieldError(field, message) from error

    return named_step
