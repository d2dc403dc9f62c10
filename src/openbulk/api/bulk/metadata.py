"""`metaData`: the caller's options for the records of a job."""

from collections.abc import Mapping
from typing import Any

import orjson

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Action, Target

_EXAMPLE = '{"action": "create"}'


def parse_metadata(value: Any) -> dict[str, Any]:
    """The caller's `metaData`: a JSON object, or the text of one if it comes from a form.

    Raises BadInput.
    """
    if not isinstance(value, str | None):
        options = value
    else:
        try:
            options = orjson.loads(value or "{}")
        except orjson.JSONDecodeError as error:
            raise BadInput(
                f"metaData is not JSON (error at character {error.pos + 1}); "
                f"write it like {_EXAMPLE}, with double quotes"
            ) from error
    if not isinstance(options, dict):
        raise BadInput(f"metaData is not a JSON object; it looks like {_EXAMPLE}")
    return options


def parse_target(
    object: str,
    options: Mapping[str, Any],
    query: Mapping[str, str],
    default_action: Action = Action.CREATE,
) -> Target:
    """The object and the action that `metaData` and the query parameters name. Raises BadInput."""
    action = _parse_action(options.get("action"), default_action)
    return Target(object, action, _identifier_field(options, query), options)


def _parse_action(value: Any, default: Action) -> Action:
    if value in (None, ""):  # in the contract, empty values count as absent
        return default
    try:
        return Action(str(value).lower())
    except ValueError as error:
        actions = ", ".join(Action)
        raise BadInput(f"metaData.action {value!r} is not known; it can be {actions}") from error


def _identifier_field(options: Mapping[str, Any], query: Mapping[str, str]) -> str | None:
    # Some clients of the contract send the name as a query parameter.
    name = options.get("identifierFieldName") or query.get("identifierFieldName") or None
    if name is not None and not isinstance(name, str):
        raise BadInput("metaData.identifierFieldName is not a string; it is the name of a column")
    return name
