"""The connectors of the instances that are in use, each made once and kept until its instance changes."""

from collections.abc import Mapping

import aiohttp

from openbulk.connectors.base import Connector, Provider
from openbulk.domain.errors import NotFound, SignInAgain
from openbulk.domain.instance import Instance
from openbulk.storage.accounts import Accounts


class Connections:
    """Connects instances to their services."""

    def __init__(self, accounts: Accounts, providers: Mapping[str, Provider], http: aiohttp.ClientSession) -> None:
        self._accounts = accounts
        self._providers = providers
        self._http = http
        self._open: dict[int, Connector] = {}

    async def to(self, instance_id: int) -> Connector:
        """The connector of an instance. Raises NotFound where it was deleted, SignInAgain where it is disabled."""
        if (connector := self._open.get(instance_id)) is not None:
            return connector
        instance = await self._accounts.instance(instance_id)
        if instance is None:
            raise NotFound(f"instance {instance_id} does not exist any more")
        if instance.disabled:
            raise SignInAgain(f"instance {instance_id} is disabled; enable it to go on")
        connector = self.connect(instance)
        self._open[instance_id] = connector
        return connector

    def connect(self, instance: Instance) -> Connector:
        """A connector of its own for an instance, for a first look at its credentials."""

        async def remember(changes: Mapping[str, str]) -> None:
            await self._accounts.update_configuration(instance.id, changes)

        provider = self._providers[instance.element]
        return provider.connect(instance.configuration, self._http, remember)

    def forget(self, instance_id: int) -> None:
        """The instance has changed: connect anew when it is needed."""
        self._open.pop(instance_id, None)
