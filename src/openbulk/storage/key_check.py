"""Checks a process's master key against the seal of the ledger."""

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import KeyMissing, WrongKey
from openbulk.security import Sealer
from openbulk.storage.accounts import reseal
from openbulk.storage.audit import reseal_chains
from openbulk.storage.credentials import reseal_totp_keys
from openbulk.storage.custom_elements import reseal_exports
from openbulk.storage.database import SEALING, keep_others_out
from openbulk.storage.identity_providers import reseal_client_secrets
from openbulk.storage.tables import seal

_PLACE = "the ledger's seal"
_PLAIN = b"openbulk"


class MasterKeyCheck:
    """A word that the first process seals, and every other process has to open."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def is_set(self) -> bool:
        """Whether a process has sealed the word."""
        async with self._engine.begin() as connection:
            return await connection.scalar(select(seal.c.sealed)) is not None

    async def renew(self, sealer: Sealer) -> int:
        """Reseal the word and all credentials with the first key; return the count of instances.

        It reseals all or nothing, in one process at a time. Raises WrongKey, and SealBroken if
        credentials cannot be opened.
        """
        async with self._engine.begin() as connection:
            await keep_others_out(connection, SEALING)
            sealed: bytes | None = await connection.scalar(select(seal.c.sealed))
            if sealed is None:
                await connection.execute(
                    insert(seal).values(id=1, sealed=sealer.seal(_PLAIN, _PLACE))
                )
            else:
                _require_right_key(sealer, sealed)
            # Even if the word is sealed with the first key: a process that still has another key
            # first may have sealed credentials since.
            changed = await reseal(connection, sealer)
            await reseal_exports(connection, sealer)
            await reseal_chains(connection, sealer)
            await reseal_totp_keys(connection, sealer)
            await reseal_client_secrets(connection, sealer)
            if sealed is not None and not sealer.is_current(sealed):
                await connection.execute(update(seal).values(sealed=sealer.seal(_PLAIN, _PLACE)))
        return changed


def _require_right_key(sealer: Sealer, sealed: bytes) -> None:
    try:
        sealer.open(sealed, _PLACE)
    except KeyMissing as error:
        raise WrongKey("the ledger is sealed with another master key") from error
