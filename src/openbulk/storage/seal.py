"""Which master key is the right one: who starts with another would seal what nobody else can open."""

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.security import SealBroken, Sealer
from openbulk.storage.tables import seal

_PLACE = "the ledger's seal"
_PLAIN = b"openbulk"


class Seal:
    """A word that the first process has sealed, and that every other one has to be able to open."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def is_set(self) -> bool:
        """Whether some process has sealed it."""
        return await self._sealed() is not None

    async def is_opened_by(self, sealer: Sealer) -> bool:
        """Whether a process that seals with these keys may work here. The first one may; a newer key than the last
        one's seals it anew."""
        sealed = await self._sealed() or await self._set(sealer)
        try:
            sealer.open(sealed, _PLACE)
        except SealBroken:
            return False
        if not sealer.is_current(sealed):
            async with self._engine.begin() as connection:
                await connection.execute(update(seal).values(sealed=sealer.seal(_PLAIN, _PLACE)))
        return True

    async def _sealed(self) -> bytes | None:
        async with self._engine.begin() as connection:
            found: bytes | None = await connection.scalar(select(seal.c.sealed))
        return found

    async def _set(self, sealer: Sealer) -> bytes:
        sealed = sealer.seal(_PLAIN, _PLACE)
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(seal).values(id=1, sealed=sealed))
        except IntegrityError:  # another process was faster
            return await self._sealed() or sealed
        return sealed
