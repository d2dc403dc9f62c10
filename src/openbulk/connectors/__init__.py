"""Records to services: the services that instances can be made of."""

from collections.abc import Mapping

from openbulk.connectors.base import Provider
from openbulk.connectors.eloqua import EloquaProvider
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.connectors.memory import MemoryProvider

PROVIDERS: Mapping[str, Provider] = {
    provider.key: provider for provider in (GoogleCalendarProvider(), EloquaProvider(), MemoryProvider())
}
"""By key. To add a service, add a line."""
