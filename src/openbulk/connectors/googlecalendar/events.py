"""An event as Google's API shows it."""

from collections.abc import Mapping
from typing import Any

Event = Mapping[str, Any]
CANCELLED = "cancelled"


def is_cancelled(event: Event) -> bool:
    """Whether an event was deleted, or an occurrence cancelled."""
    return event.get("status") == CANCELLED


def is_deleted(event: Event) -> bool:
    """Whether nothing is left of an event. A cancelled occurrence is not deleted: it changes its
    series."""
    return is_cancelled(event) and not event.get("recurringEventId")


def is_part(event: Event) -> bool:
    """Whether an event can be the later part of a series: it happens, and is no date of one."""
    return not is_cancelled(event) and not event.get("recurringEventId")


def has_marker(event: Event, marker: Mapping[str, str]) -> bool:
    """Whether an event has this private property; False for an empty marker."""
    private = event.get("extendedProperties", {}).get("private", {})
    return bool(marker) and marker.items() <= private.items()


def private_property(event: Event, name: str | None) -> str | None:
    """A value in `extendedProperties.private`, which only this application sees."""
    value: str | None = event.get("extendedProperties", {}).get("private", {}).get(name)
    return value
