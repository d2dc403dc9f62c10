"""The services that openbulk connects to, each in a folder of its own."""

from collections.abc import Mapping
from pathlib import Path

from openbulk.connectors.base import KeepsRecords, Provider
from openbulk.connectors.eloqua import EloquaProvider
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.connectors.memory import MemoryProvider
from openbulk.connectors.sql import (
    MariadbProvider,
    MysqlProvider,
    PostgresqlProvider,
    SqliteProvider,
)
from openbulk.connectors.sql.databases import Resolve


def providers(
    resolve: Resolve, sqlite_folder: Path | None, *, has_memory: bool
) -> Mapping[str, Provider]:
    """The providers by their keys.

    `resolve` and `sqlite_folder` say which databases this server may open. Without `has_memory`,
    instances in the server's own memory wait: `providers_on_offer` leaves their provider out.
    """
    # To add a service, add a line. CONTRIBUTING.md has the other steps.
    known: list[Provider] = [
        GoogleCalendarProvider(),
        EloquaProvider(),
        MemoryProvider(is_on=has_memory),
        PostgresqlProvider(resolve),
        MysqlProvider(resolve),
        MariadbProvider(resolve),
        SqliteProvider(sqlite_folder),
    ]
    return {provider.key: provider for provider in known}


def providers_on_offer(known: Mapping[str, Provider]) -> Mapping[str, Provider]:
    """The providers that instances can be created for."""
    return {
        key: provider
        for key, provider in known.items()
        if not (isinstance(provider, KeepsRecords) and not provider.is_on)
    }
