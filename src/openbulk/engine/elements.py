"""The elements of an organization: the services that are built in, and its custom connectors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from openbulk.connectors.base import Provider
from openbulk.connectors.custom import CustomProvider
from openbulk.connectors.custom.export import read_export
from openbulk.domain.errors import BadInput, NotFound
from openbulk.storage.custom_elements import CustomElement, CustomElements
from openbulk.threads import Threads

log = structlog.get_logger()

FIRST_CUSTOM_NUMBER = 1_001
"""Services that are built in have lower numbers."""
MAX_REMEMBERED = 500
"""Custom connectors that a process keeps ready."""
_READING = Threads("exports", 1)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The elements of one organization at one moment."""

    providers: Mapping[str, Provider]
    """By their keys."""
    numbers: Mapping[str, int]
    """By the keys, too. Paths take them in place of the keys."""

    def find(self, key_or_number: str) -> Provider | None:
        """The service with this key or number; None if there is none."""
        by_number = {str(number): key for key, number in self.numbers.items()}
        return self.providers.get(by_number.get(key_or_number, key_or_number.lower()))


class Elements:
    """Knows the services that instances can be made of."""

    def __init__(
        self,
        built_in: Mapping[str, Provider],
        offered: Mapping[str, Provider],
        stored: CustomElements,
    ) -> None:
        """`offered` are those of the built-in services that new instances can be made of."""
        self.built_in = built_in
        self._offered = offered
        self._stored = stored
        self._known: dict[int, tuple[int, CustomProvider]] = {}
        """Custom connectors by their ids, with their versions."""

    async def provider(self, organization_id: int, key: str) -> Provider:
        """The service of an instance. Raises NotFound if it was deleted."""
        if key in self.built_in:
            return self.built_in[key]
        found = await self._stored.version_of(organization_id, key)
        if found is not None:
            for provider in (await self._custom(dict([found]))).values():
                return provider
        raise NotFound(f"there is no element {key!r} any more")

    async def of(self, organization_id: int) -> Catalogue:
        """All services that instances of an organization may have."""
        return await self._catalogue(self.built_in, organization_id)

    async def on_offer_to(self, organization_id: int) -> Catalogue:
        """The services that an organization can make instances of."""
        return await self._catalogue(self._offered, organization_id)

    async def _catalogue(self, built_in: Mapping[str, Provider], organization_id: int) -> Catalogue:
        custom = await self._custom(await self._stored.versions_of(organization_id))
        numbers = {key: number for number, key in enumerate(self.built_in, 1) if key in built_in}
        numbers |= {provider.key: FIRST_CUSTOM_NUMBER + id_ for id_, provider in custom.items()}
        providers = {**{one.key: one for one in custom.values()}, **built_in}
        return Catalogue({key: providers[key] for key in numbers}, numbers)

    async def _custom(self, versions: Mapping[int, int]) -> Mapping[int, CustomProvider]:
        """Custom connectors by their ids, in their order."""
        missing = [
            id_ for id_, version in versions.items() if self._known.get(id_, (-1,))[0] != version
        ]
        read = await self._read(await self._stored.each(missing))
        known = {**self._known, **read}
        if len(known) > MAX_REMEMBERED:
            known = {id_: one for id_, one in known.items() if id_ in versions}
        self._known = known
        return {id_: known[id_][1] for id_ in versions if id_ in known}

    async def _read(
        self, elements: Iterable[CustomElement]
    ) -> dict[int, tuple[int, CustomProvider]]:
        read: dict[int, tuple[int, CustomProvider]] = {}
        for one in elements:
            try:
                description = await _READING.run(read_export, {**one.export, "key": one.key})
            except BadInput as error:
                # An earlier version may have taken what this one does not.
                log.warning("custom connector left out", element=one.id, reason=error.message)
                continue
            read[one.id] = (one.version, CustomProvider(description))
        return read
