"""Which master key is the right one: who starts with another would seal what nobody else can open."""

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import KeyMissing, WrongKey
from openbulk.security import Sealer
from openbulk.storage.accounts import reseal
from openbulk.storage.database import SEALING, keep_others_out
from openbulk.storage.tables import seal

_PLACE = "the ledger's seal"
_PLAIN = b"openbulk"


class Seal:
    """A word that the first process has sealed, and that every other one has to be able to open."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def is_set(self) -> bool:
        """Whether some process has sealed it."""
        async with self._engine.begin() as connection:
            return await connection.scalar(select(seal.c.sealed)) is not None

    async def renew(self, sealer: Sealer) -> int:
        """Have everything in the ledger sealed with the first of these keys: the word, and the credentials that another
        one has sealed; of how many instances those were. The first process seals the word.

        Credentials are looked at even where the word is under the first key: a process that still has another key first
        may have sealed some since. It is all done or nothing, by one process at a time. Raises WrongKey, and SealBroken
        where credentials cannot be opened.
        """
        async with self._engine.begin() as connection:
            await keep_others_out(connection, SEALING)
            sealed: bytes | None = await connection.scalar(select(seal.c.sealed))
            if sealed is None:
                await connection.execute(
                    insert(seal).values(id=1, sealed=sealer.seal(_PLAIN, _PLACE))
                )
            else:
                _compare(sealer, sealed)
            changed = await reseal(connection, sealer)
            if sealed is not None and not sealer.is_current(sealed):
                await connection.execute(update(seal).values(sealed=sealer.seal(_PLAIN, _PLACE)))
        return changed


def _compare(sealer: Sealer, sealed: bytes) -> None:
    try:
        sealer.open(sealed, _PLACE)
    except KeyMissing as error:
        raise WrongKey("the ledger is sealed with another master key") from error
