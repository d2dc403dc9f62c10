"""Google's answers as its discovery document describes them; any other is refused."""

from collections.abc import Iterator, Mapping
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime
from functools import cache
from typing import Any

from openbulk.connectors.answers import Answer, misfit
from openbulk.connectors.fields import short_repr
from openbulk.connectors.googlecalendar.events import is_cancelled
from openbulk.connectors.googlecalendar.schema import schema_of

_REQUIRED = {
    "Event": ["id"],
    "Calendar": ["id"],
    "CalendarListEntry": ["id", "accessRole"],
    "AclRule": ["id"],
}
"""What openbulk cannot do without. Google's document says only what a caller has to send."""
_LISTS = {
    "Events": "Event",
    "CalendarList": "CalendarListEntry",
    "Acl": "AclRule",
}


def read_resource(answer: Answer, name: str) -> dict[str, Any]:
    """The resource in an answer, by its name in Google's document. Raises ServiceError."""
    value = answer.object()
    found = misfit(value, _schema(name)) or next(_misfits_of_events(value, name), None)
    if found is not None:
        raise answer.mismatch(*found)
    return value


def _misfits_of_events(value: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """What the document does not say of an event, or of the events of a list."""
    if name == "Event":
        yield from _misfits_of_event(value, "")
    elif name == "Events":
        for number, event in enumerate(value.get("items", ())):
            yield from _misfits_of_event(event, f"items[{number}].")


def _misfits_of_event(event: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    """Google guarantees only what identifies a cancelled event (discovery document, `status`)."""
    if not event.get("iCalUID") and not is_cancelled(event):
        yield f"nothing as {place}iCalUID", "a text there"
    for field in ("start", "end"):
        if event.get(field) or not is_cancelled(event):
            yield from _misfits_of_time(event.get(field, {}), place + field)
    if event.get("recurringEventId") or event.get("originalStartTime"):
        time = event.get("originalStartTime", {})
        yield from _misfits_of_time(time, f"{place}originalStartTime")


def _misfits_of_time(time: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    if time.get("date"):
        field, parse = "date", date.fromisoformat
    elif time.get("dateTime"):
        field, parse = "dateTime", _parse_moment
    else:
        yield f"nothing as {place}.date or {place}.dateTime", "a day or a time there"
        return
    try:
        parse(time[field])
    except (ValueError, OverflowError):
        yield f"{short_repr(time[field])} as {place}.{field}", "a day or a time there"


def _parse_moment(text: str) -> datetime:
    """A time that is also one in UTC. Raises ValueError, OverflowError."""
    moment = datetime.fromisoformat(text)
    is_at_edge = moment.year in {MINYEAR, MAXYEAR} and moment.tzinfo is not None
    return moment.astimezone(UTC) if is_at_edge else moment


def read_list(answer: Answer, name: str, size: int) -> dict[str, Any]:
    """A page of a list, of the requested size. Raises ServiceError."""
    page = read_resource(answer, name)
    if "items" not in page:
        raise answer.mismatch("nothing as items", "a list there")
    count = len(page["items"])
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
