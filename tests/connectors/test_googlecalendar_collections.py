"""The promises of a connector, for calendars, a person's list of them, and who may see them."""

from collections.abc import Mapping
from typing import Any, ClassVar

import aiohttp
import pytest

from openbulk.connectors.base import ConnectionContext
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.domain.records import Action, Record, Target
from openbulk.testing.connectors import Connect
from support import forget
from support.google_sandbox import ANN, GoogleTests, configuration


class TestCalendars(GoogleTests):
    object_name = "calendars"
    good = (
        {"summary": "Class 7a"},
        {"summary": "Class 7b", "timeZone": "Europe/Berlin"},
        {"summary": "Class 7c"},
    )
    bad: ClassVar = {"description": "without a name"}
    distinct_field = "summary"
    preexisting = frozenset({ANN})


class TestAccessControlList(GoogleTests):
    object_name = "access-control-list"
    good = tuple(
        {"scope": {"type": kind, "value": value}, "role": "reader", "id": f"{kind}:{value}"}
        for kind, value in (
            ("user", "bob@example.com"),
            ("group", "staff@example.com"),
            ("domain", "example.com"),
        )
    )
    bad: ClassVar = {"scope": {"type": "user", "value": "eve@example.com"}, "role": "spy"}
    distinct_field = "id"
    preexisting = frozenset({f"user:{ANN}"})

    def change(self) -> Mapping[str, Any]:
        """Another role."""
        return {"role": "writer"}


class TestCalendarList(GoogleTests):
    object_name = "calendar-list"
    good = tuple({"id": f"{name}@example.com"} for name in ("bob", "cara", "dan"))
    bad: ClassVar = {"id": "nobody@example.com"}
    distinct_field = "id"
    preexisting = frozenset({ANN})

    @pytest.fixture
    async def connect(self, http: aiohttp.ClientSession, url: str) -> Connect:
        """The others let Ann see their calendars."""
        rule = {"scope": {"type": "user", "value": ANN}, "role": "reader"}
        for other in self.good:
            settings = await configuration(http, url, user=other["id"])
            connector = GoogleCalendarProvider().connect(ConnectionContext(settings, http, forget))
            await connector.write(
                Target("access-control-list", Action.CREATE), [Record(1, rule, key="share")]
            )
        settings = await configuration(http, url, user=ANN)
        return lambda: GoogleCalendarProvider().connect(ConnectionContext(settings, http, forget))
