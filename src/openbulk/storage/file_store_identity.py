"""The identity of a ledger's file store: with another one, jobs would miss their files."""

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
"""A file store that does not answer for so long is away."""


class FileStoreIdentity:
    """A word that is in the ledger and among its files. The first process writes it."""

    def __init__(self, engine: AsyncEngine, files: FileStore) -> None:
        self._engine = engine
        self._files = files

    async def compare(self, place: str) -> None:
        """Check that the file store is the ledger's; `place` is its location, for a person to read.

        A first start writes the word into both. Raises WrongFiles, FileStoreUnavailable, DiskFull.
        """
        await self._make_word()
        async with self._engine.begin() as connection:
            await idle_at_will(connection)
            # One process after another: two that start at once with different file stores would
            # both write the word into their own.
            await keep_others_out(connection, MARKING)
            word, last_place = (
                await connection.execute(select(file_store.c.identity, file_store.c.location))
            ).one()
            found = await self._word_at_files(place, word if last_place is None else None)
            if found is None:
                raise WrongFiles(_files_missing(place, last_place, word))
            if found != word:
                raise WrongFiles(_foreign(place))
            await connection.execute(update(file_store).values(location=place))

    async def _make_word(self) -> None:
        """Write a word into the ledger where it has none.

        It comes before the word in the files: one that dies in between leaves no foreign word.
        """
        try:
            async with self._engine.begin() as connection:
                if await connection.scalar(select(file_store.c.id)) is None:
                    await connection.execute(
                        insert(file_store).values(id=1, identity=secrets.token_hex(8))
                    )
        except IntegrityError:  # another process was faster
            pass

    async def _word_at_files(self, place: str, word: str | None) -> str | None:
        """The word among the files. Where there is none, write the word that is given."""
        try:
            async with asyncio.timeout(STORE_SECONDS):
                found = await self._files.identity()
                if found is None and word is not None:
                    await self._files.set_identity(word)
                    return word
                return found
        except TimeoutError as error:
            raise FileStoreUnavailable(f"the file store does not answer: {place}") from error
        except FileStoreUnavailable as error:
            raise FileStoreUnavailable(
                f"the file store cannot be used: {place}: {error.reason}"
            ) from error


def _files_missing(place: str, last_place: str, word: str) -> str:
    problem = (
        f"set OPENBULK_FILES_URL as on the other machines: the ledger's files are not in {place}, "
        f"they were in {last_place} at the last start"
    )
    if place == last_place:
        problem = (
            f"the ledger's files are not in {place}, where they were at the last start: "
            "bring the bucket or folder back"
        )
    return (
        f"{problem}. Only where they are gone for good, write the word {word} into a file 'mark' "
        "there: jobs that still need their files will end with an error"
    )


def _foreign(place: str) -> str:
    return (
        f"the files in {place} belong to another ledger. Set OPENBULK_FILES_URL to a place of this "
        "ledger's own, or OPENBULK_DATABASE_URL to the ledger that they belong to. If that one is "
        "gone for good, delete the file 'mark' there: openbulk then deletes its files, too"
    )
