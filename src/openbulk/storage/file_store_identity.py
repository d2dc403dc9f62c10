"""Which files are the ledger's: who starts beside others would end jobs because their files are missing."""

import asyncio
import secrets

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import FileStoreUnavailable, WrongFiles
from openbulk.storage.database import MARKING, idle_at_will, keep_others_out
from openbulk.storage.files import FileStore
from openbulk.storage.tables import file_store

STORE_SECONDS = 4.0
"""A place for files that does not answer for so long is away."""


class FileStoreIdentity:
    """A word that the ledger knows and that stands among its files, where the first process has put it."""

    def __init__(self, engine: AsyncEngine, files: FileStore) -> None:
        self._engine = engine
        self._files = files

    async def compare(self, place: str) -> None:
        """Whether the ledger's files are the ones in this place, which is named for a person. Where neither ledger nor
        files have a word, as at a first start, they get one. Raises WrongFiles, FileStoreUnavailable, DiskFull.

        Of several processes one does it and the others wait: two that start at once in different places would both put
        the word where they are.
        """
        await self._make_word()
        async with self._engine.begin() as connection:
            await idle_at_will(connection)
            await keep_others_out(connection, MARKING)
            word, last_place = (
                await connection.execute(select(file_store.c.identity, file_store.c.location))
            ).one()
            found = await self._at_files(place, word if last_place is None else None)
            if found is None:
                raise WrongFiles(_lost(place, last_place, word))
            if found != word:
                raise WrongFiles(_foreign(place))
            await connection.execute(update(file_store).values(location=place))

    async def _make_word(self) -> None:
        """The ledger has its word before the files do: a process that dies between the two leaves nothing foreign."""
        try:
            async with self._engine.begin() as connection:
                if await connection.scalar(select(file_store.c.id)) is None:
                    await connection.execute(
                        insert(file_store).values(id=1, identity=secrets.token_hex(8))
                    )
        except IntegrityError:  # another process was faster
            pass

    async def _at_files(self, place: str, word: str | None) -> str | None:
        """The word that stands among the files; the one that is given, where there was none."""
        try:
            async with asyncio.timeout(STORE_SECONDS):
                found = await self._files.identity()
                if found is None and word is not None:
                    await self._files.set_identity(word)
                    return word
                return found
        except TimeoutError as error:
            raise FileStoreUnavailable(f"the place for files does not answer: {place}") from error
        except FileStoreUnavailable as error:
            raise FileStoreUnavailable(
                f"the place for files cannot be used: {place}: {error.reason}"
            ) from error


def _lost(place: str, last_place: str, word: str) -> str:
    if place == last_place:
        said = f"the ledger's files are not in {place}, where they were at the last start: bring the bucket or folder back"
    else:
        said = (
            f"set OPENBULK_FILES_URL as on the other machines: the ledger's files are not in {place}, they were in "
            f"{last_place} at the last start"
        )
    return (
        f"{said}. Only where they are gone for good, write the word {word} into a file 'mark' there: jobs that still "
        "need theirs will end with an error"
    )


def _foreign(place: str) -> str:
    return (
        f"the files in {place} belong to another ledger. Set OPENBULK_FILES_URL to a place of this ledger's own, or "
        "OPENBULK_DATABASE_URL to the ledger that they belong to. If that one is gone for good, delete the file 'mark' "
        "there: what it has left will be deleted, too"
    )
