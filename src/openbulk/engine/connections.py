"""Keeps the connectors of the instances in use until the instance changes."""

import asyncio
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import aiohttp

from openbulk.byte_budget import PlaceOwner
from openbulk.connectors.base import ConfigurationEntry, ConnectionContext, Connector
from openbulk.domain.errors import InstanceDisabled, NotFound
from openbulk.domain.instance import Instance
from openbulk.engine.elements import Elements
from openbulk.engine.quota.governor import Governor, InstancePace
from openbulk.storage.accounts import Accounts
from openbulk.storage.retry import retry_while_unavailable


@dataclass(slots=True)
class Connection:
    """An instance's connector, and the pace of its calls."""

    connector: Connector
    pace: InstancePace
    version: int
    """The version of the instance that the connector was created from."""
    service: Hashable
    """The service that it calls: the same for all instances of an organization at one host."""


class Connections:
    """Connects instances to their services."""

    def __init__(
        self,
        accounts: Accounts,
        elements: Elements,
        http: aiohttp.ClientSession,
        governor: Governor,
        draining: asyncio.Event,
    ) -> None:
        self._accounts = accounts
        self._elements = elements
        self._http = http
        self._governor = governor
        self._draining = draining
        self._open: dict[int, Connection] = {}

    async def to(self, instance_id: int) -> Connection:
        """The connection of an instance's current version, even if another process has changed it.

        Raises NotFound if the instance was deleted, InstanceDisabled if it is disabled.
        """
        version = None
        if instance_id in self._open:
            version = await self._accounts.version_of(instance_id)
        return await self.to_version(instance_id, version)

    async def to_version(self, instance_id: int, version: int | None) -> Connection:
        """The connection of an instance that had this version a moment ago. Raises as `to`.

        `version` is None for one that was deleted.
        """
        if (connection := self._open.get(instance_id)) is not None:
            if version is not None and connection.version >= version:
                return connection
            await self.forget(instance_id)
        connection = await self._connect(instance_id)
        # Another task may have connected meanwhile: all tasks use the first connection.
        return self._open.setdefault(instance_id, connection)

    async def _connect(self, instance_id: int, *, even_disabled: bool = False) -> Connection:
        instance = await self._accounts.instance(instance_id)
        if instance is None:
            raise NotFound(f"instance {instance_id} does not exist any more")
        if instance.disabled and not even_disabled:
            raise InstanceDisabled(f"instance {instance_id} is disabled; enable it to continue")

        async def remember(changes: Mapping[str, str]) -> None:
            # A service shows a renewed refresh token once: wait rather than lose it.
            change = partial(self._accounts.update_configuration, instance_id, changes)
            version = await retry_while_unavailable(change, self._draining)
            if version == connection.version + 1:
                # Nobody else has changed the instance meanwhile: this connection is still current.
                connection.version = version

        pace = InstancePace(self._governor)
        context = ConnectionContext(
            instance.configuration, self._http, remember, pace, instance.organization_id
        )
        provider = await self._elements.provider(instance.organization_id, instance.element)
        connector = provider.connect(context)
        service = _service_of(provider.entries, instance)
        connection = Connection(connector, pace, instance.version, service)
        return connection

    @asynccontextmanager
    async def another(
        self, instance_id: int, *, even_disabled: bool = False
    ) -> AsyncIterator[Connector]:
        """Another connector of an instance, which has not read anything yet. Raises as `to`."""
        connection = await self._connect(instance_id, even_disabled=even_disabled)
        try:
            yield connection.connector
        finally:
            await connection.connector.close()

    async def forget(self, instance_id: int) -> None:
        """Close the connection of an instance that has changed: the next slice connects again."""
        if (connection := self._open.pop(instance_id, None)) is not None:
            await connection.connector.close()

    async def close(self) -> None:
        """Close all connections, once no call is in flight."""
        for instance_id in list(self._open):
            await self.forget(instance_id)
        self._governor.close()


def _service_of(entries: Sequence[ConfigurationEntry], instance: Instance) -> Hashable:
    hosts = [
        instance.configuration.get(entry.name, "") for entry in entries if entry.receives_secrets
    ]
    places = [urlsplit(host).netloc or host for host in hosts]
    return PlaceOwner(instance.organization_id, (instance.element, *places))
