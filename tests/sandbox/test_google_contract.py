"""The sandbox checks calls against Google's description of its API, and lists violations."""

from importlib.resources import files
from typing import Any

import orjson
import pytest

from openbulk.sandbox.google.contract import strip_prose
from sandbox.test_google import EVENTS, Caller, ann, event

__all__ = ["ann"]


async def list_violations(caller: Caller) -> list[tuple[str, str, int]]:
    _, found = await caller.call("GET", "/sandbox/violations")
    return [(one["method"], one["problem"], one["times"]) for one in found]


def test_the_description_is_that_of_the_discovery_document() -> None:
    """`python -m openbulk.sandbox.google.contract` makes it."""
    document = orjson.loads(
        files("openbulk.connectors.googlecalendar").joinpath("discovery.json").read_bytes()
    )
    contract = orjson.loads(files("openbulk.sandbox.google").joinpath("contract.json").read_bytes())
    assert contract == strip_prose(document)


async def test_a_call_as_google_describes_it_is_no_violation(ann: Caller) -> None:
    """Nested fields, lists, enumerations, a null that clears a field."""
    await ann.insert(
        id="maths2026",
        status="tentative",
        recurrence=["RRULE:FREQ=DAILY;COUNT=3"],
        attendees=[{"email": "bob@example.com", "optional": True}],
        extendedProperties={"private": {"any": "name"}},
        reminders={"useDefault": False, "overrides": [{"method": "popup", "minutes": 5}]},
    )
    await ann.call(
        "PATCH", f"{EVENTS}/maths2026", params={"sendUpdates": "none"}, json={"location": None}
    )
    query = {"maxResults": "2500", "showDeleted": "true", "timeMin": "2026-01-01T00:00:00Z"}
    await ann.call("GET", EVENTS, params=query)
    await ann.call(
        "POST", f"{EVENTS}/import", json=event(iCalUID="x@y", organizer={"email": "x@y.z"})
    )
    await ann.call("DELETE", f"{EVENTS}/maths2026")
    assert await list_violations(ann) == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"colour": "red"}, "there is no field colour"),
        ({"htmlLink": "https://x"}, "htmlLink is read-only"),
        ({"organizer": {"email": "x@y.z"}}, "organizer is read-only"),
        ({"attendees": [{"mail": "x@y.z"}]}, "there is no field attendees[].mail"),
        ({"attendees": "x@y.z"}, "attendees is not a list"),
        ({"recurrence": [7]}, "recurrence[] is not a text"),
        ({"summary": 7}, "summary is not a text"),
        ({"sequence": "7"}, "sequence is not a whole number"),
        ({"guestsCanModify": "no"}, "guestsCanModify is not of the type boolean"),
        ({"visibility": "secret"}, "visibility is none of default, public, private, confidential"),
        ({"start": {"date": "30.05.2026"}}, "start.date is not a date"),
        ({"start": {"dateTime": "2026-05-30 10:00"}}, "start.dateTime is not a time (RFC 3339)"),
        (
            {"extendedProperties": {"private": {"n": 7}}},
            "extendedProperties.private.n is not a text",
        ),
    ],
)
async def test_a_field_that_breaks_the_description_is_listed(
    ann: Caller, fields: dict[str, Any], problem: str
) -> None:
    """By method and problem, counted."""
    for _ in range(2):
        await ann.insert(**fields)
    assert await list_violations(ann) == [("calendar.events.insert", problem, 2)]


async def test_parameters_and_paths_are_checked_too(ann: Caller) -> None:
    """A body is checked too: an unexpected one, and one that is not JSON."""
    await ann.call(
        "GET",
        EVENTS,
        params={"maxResult": "5", "singleEvents": "yes", "maxResults": "x", "timeMin": "now"},
    )
    await ann.call("GET", "/calendar/v3/calendars/primary/event")
    await ann.call("DELETE", f"{EVENTS}/maths2026", json={})
    await ann.call("POST", EVENTS, data=b"{")
    await ann.call("POST", "/calendar/v3/calendars", json={})
    assert sorted(await list_violations(ann)) == sorted(
        [
            ("calendar.events.list", "it has no parameter 'maxResult'", 1),
            ("calendar.events.list", "parameter singleEvents is neither true nor false", 1),
            ("calendar.events.list", "parameter maxResults is not a number", 1),
            ("calendar.events.list", "parameter timeMin is not a time (RFC 3339)", 1),
            ("GET calendars/primary/event", "there is no such method", 1),
            ("calendar.events.delete", "it takes no body", 1),
            ("calendar.events.insert", "its body is not JSON", 1),
            ("calendar.calendars.insert", "summary is required", 1),
        ]
    )
