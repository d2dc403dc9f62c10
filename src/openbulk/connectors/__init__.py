"""Records to services: the services that instances can be made of."""

from collections.abc import Mapping
from pathlib import Path

from openbulk.connectors.base import Provider
from openbulk.connectors.eloqua import EloquaProvider
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.connectors.memory import MemoryProvider
from openbulk.connectors.sql import PostgresqlProvider, SqliteProvider
from openbulk.connectors.sql.databases import Resolve


def providers(resolve: Resolve, sqlite_folder: Path | None) -> Mapping[str, Provider]:
    """By key. To add a service, add a line."""
    known: list[Provider] = [
        GoogleCalendarProvider(),
        EloquaProvider(),
        MemoryProvider(),
        PostgresqlProvider(resolve),
        SqliteProvider(sqlite_folder),
    ]
    return {provider.key: provider for provider in known}
