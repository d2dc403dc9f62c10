"""Google's answers as its discovery document describes them; any other is refused."""

from functools import cache
from typing import Any

from openbulk.connectors.answers import Answer, misfit
from openbulk.connectors.googlecalendar.schema import schema_of

_REQUIRED = {"Event": ["id"], "Calendar": ["id"], "CalendarListEntry": ["id"], "AclRule": ["id"]}
"""What openbulk cannot do without. Google's document says only what a caller has to send."""
_LISTS = {
    "Events": "Event",
    "CalendarList": "CalendarListEntry",
    "Acl": "AclRule",
}


def read_resource(answer: Answer, name: str) -> dict[str, Any]:
    """The resource in an answer, by its name in Google's document. Raises ServiceError."""
    value = answer.object()
    found = misfit(value, _schema(name))
    if found is not None:
        raise answer.mismatch(*found)
    return value


def read_list(answer: Answer, name: str, size: int) -> dict[str, Any]:
    """A page of a list, of the size that was asked for. Raises ServiceError."""
    page = read_resource(answer, name)
    count = len(page.get("items", ()))
    if count > size:
        raise answer.mismatch(f"{count:,} items", f"at most {size:,}")
    return page


@cache
def _schema(name: str) -> dict[str, Any]:
    schema = schema_of(name, "")
    if name in _LISTS:
        items = {**schema["properties"]["items"], "items": _schema(_LISTS[name])}
        return {**schema, "properties": {**schema["properties"], "items": items}}
    return {**schema, "required": _REQUIRED.get(name, [])}
