"""The services that openbulk connects to, each in a folder of its own."""

from collections.abc import Mapping
from pathlib import Path

from openbulk.connectors.base import Provider
from openbulk.connectors.eloqua import EloquaProvider
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.connectors.memory import MemoryProvider
from openbulk.connectors.sql import PostgresqlProvider, SqliteProvider
from openbulk.connectors.sql.databases import Resolve


def providers(resolve: Resolve, sqlite_folder: Path | None) -> Mapping[str, Provider]:
    """The providers by their keys.

    `resolve` and `sqlite_folder` say which databases this server may open.
    """
    # To add a service, add a line. CONTRIBUTING.md has the other steps.
    known: list[Provider] = [
        GoogleCalendarProvider(),
        EloquaProvider(),
        MemoryProvider(),
        PostgresqlProvider(resolve),
        SqliteProvider(sqlite_folder),
    ]
    return {provider.key: provider for provider in known}
