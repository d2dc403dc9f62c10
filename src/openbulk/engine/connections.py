"""The connectors of the instances that are in use, each made once and kept until its instance changes."""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from openbulk.connectors.base import ConnectionContext, Connector, Provider
from openbulk.domain.errors import NotFound, SignInAgain
from openbulk.domain.instance import Instance
from openbulk.engine.quota.governor import Governor, InstancePace
from openbulk.storage.accounts import Accounts


@dataclass(slots=True)
class Connection:
    """An instance's connector, and the pace that its calls keep."""

    connector: Connector
    pace: InstancePace
    version: int
    """That of the instance as it was connected."""


class Connections:
    """Connects instances to their services."""

    def __init__(
        self,
        accounts: Accounts,
        patient_accounts: Accounts,
        providers: Mapping[str, Provider],
        http: aiohttp.ClientSession,
        governor: Governor,
    ) -> None:
        self._accounts = accounts
        self._patient_accounts = patient_accounts
        self._providers = providers
        self._http = http
        self._governor = governor
        self._open: dict[int, Connection] = {}

    async def to(self, instance_id: int) -> Connection:
        """The connection of an instance, as it is now: whoever has changed it, on whatever machine.

        Raises NotFound where it was deleted, SignInAgain where it is disabled.
        """
        if (connection := self._open.get(instance_id)) is not None:
            if connection.version == await self._accounts.version_of(instance_id):
                return connection
            await self.forget(instance_id)
        instance = await self._accounts.instance(instance_id)
        if instance is None:
            raise NotFound(f"instance {instance_id} does not exist any more")
        if instance.disabled:
            raise SignInAgain(f"instance {instance_id} is disabled; enable it to go on")
        return self._open.setdefault(instance_id, self._connect(instance))

    def _connect(self, instance: Instance) -> Connection:

        async def remember(changes: Mapping[str, str]) -> None:
            # What the service has given once must not be lost: it is written down whatever the database does.
            version = await self._patient_accounts.update_configuration(instance.id, changes)
            if version == connection.version + 1:
                connection.version = (
                    version  # nobody else has changed it: this connection stays the right one
                )

        provider = self._providers[instance.element]
        pace = self._governor.pace()
        context = ConnectionContext(instance.configuration, self._http, remember, pace)
        connection = Connection(provider.connect(context), pace, instance.version)
        return connection

    async def forget(self, instance_id: int) -> None:
        """The instance has changed: connect anew when it is needed."""
        if (connection := self._open.pop(instance_id, None)) is not None:
            await connection.connector.close()

    async def close(self) -> None:
        """Let go of all connections; nothing is under way any more."""
        for instance_id in list(self._open):
            await self.forget(instance_id)
        self._governor.close()
