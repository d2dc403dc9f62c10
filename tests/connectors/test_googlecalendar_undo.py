"""What rows of events overwrite is kept before the call, and put back field by field."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from openbulk.connectors.base import ConnectionContext, Connector, UndoesWrites
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.domain.records import Action, Before, Outcome, OutcomeKind, Record
from openbulk.testing.connectors import KeptImages, reversal_of
from support import forget
from support.google_sandbox import configuration, event, read_all, target

VOLATILE = {"etag", "updated", "sequence"}


class ImagesOfDeadSlice(KeptImages):
    """Those that a slice before had kept when it was killed."""

    def __init__(self, before: KeptImages) -> None:
        super().__init__()
        self._before = before

    def image_of(self, row: int) -> Before | None:
        return self._before.images.get(row)


async def write(
    connector: Connector, action: Action, values: Mapping[str, Any], images: KeptImages, run: str
) -> Outcome:
    options = values.get("options", {})
    row = {name: one for name, one in values.items() if name != "options"}
    to = replace(target(action, run=run, options=options), records=1, before_images=images)
    return (await connector.write(to, [Record(1, row, key=f"run{run}:1")]))[0]


async def undo(connector: Connector, outcome: Outcome) -> Outcome:
    assert isinstance(connector, UndoesWrites)
    to = replace(target(run="undo"), records=1)
    batch = [reversal_of(outcome)]
    return (await connector.undo(to, batch, overwrites=False, is_trial=False))[0]


async def events(connector: Connector) -> list[Mapping[str, Any]]:
    return [
        {name: one[name] for name in one.keys() - VOLATILE} for one in await read_all(connector)
    ]


@pytest.mark.parametrize("action", [Action.UPDATE, Action.DELETE])
async def test_a_row_whose_answer_was_lost_can_be_undone(
    connector: Connector, http: aiohttp.ClientSession, url: str, action: Action
) -> None:
    """The process died between the call and the outcome: the next one has the image."""
    context = ConnectionContext(await configuration(http, url), http, forget)
    await write(connector, Action.CREATE, event("Choir", id="lost1"), KeptImages(), "1")
    before = await events(connector)
    images = KeptImages()
    lost = await write(connector, action, {"id": "lost1", "summary": "Band"}, images, "2")
    after = GoogleCalendarProvider().connect(context)
    again = await write(
        after, action, {"id": "lost1", "summary": "Band"}, ImagesOfDeadSlice(images), "2"
    )
    assert (again.kind, again.before) == (lost.kind, lost.before)
    assert (await undo(after, again)).kind is OutcomeKind.REVERSED
    assert await events(connector) == before


@pytest.mark.parametrize(
    "change",
    [
        {
            "start": {"dateTime": "2026-03-01T09:00:00Z"},
            "end": {"dateTime": "2026-03-01T10:00:00Z"},
        },
        {"reminders": {"useDefault": False, "overrides": [{"method": "popup", "minutes": 5}]}},
        {"extendedProperties": {"private": {"room": "7", "new": "1"}, "shared": {"a": "b"}}},
        {"attendees": [{"email": "bob@example.com"}], "location": "Hall", "colorId": "3"},
    ],
    ids=["times", "reminders", "properties", "guests"],
)
async def test_fields_get_their_old_values_and_new_ones_are_taken_out(
    connector: Connector, change: Mapping[str, Any]
) -> None:
    first = event("Choir", id="fields1", extendedProperties={"private": {"room": "4"}})
    await write(connector, Action.CREATE, first, KeptImages(), "1")
    before = await events(connector)
    outcome = await write(connector, Action.UPDATE, {"id": "fields1", **change}, KeptImages(), "2")
    assert outcome.kind is OutcomeKind.UPDATED
    assert await events(connector) != before
    assert (await undo(connector, outcome)).kind is OutcomeKind.REVERSED
    assert await events(connector) == before


async def test_a_row_about_which_guests_were_mailed_is_not_reversible(
    connector: Connector,
) -> None:
    guests = event("Choir", attendees=[{"email": "bob@example.com"}])
    silent = await write(connector, Action.CREATE, guests, KeptImages(), "1")
    mailed = await write(
        connector, Action.CREATE, {**guests, "options": {"sendUpdates": "all"}}, KeptImages(), "2"
    )
    assert (silent.irreversible, "has mailed the guests" in mailed.irreversible) == ("", True)
