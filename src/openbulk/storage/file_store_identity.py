"""The identity of a ledger's file store: with another store, jobs would miss their files."""

import asyncio
import secrets

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import FileStoreUnavailable, WrongFiles
from openbulk.storage.database import IDENTIFYING, allow_idle, keep_others_out
from openbulk.storage.files import FileStore
from openbulk.storage.tables import file_store

STORE_SECONDS = 4.0
"""Maximum seconds to wait for the file store; after that it counts as unavailable."""


class FileStoreIdentity:
    """A random word in the ledger and in its file store. The first process writes it."""

    def __init__(self, engine: AsyncEngine, files: FileStore) -> None:
        self._engine = engine
        self._files = files

    async def compare(self, location: str) -> None:
        """Check that the file store is the ledger's; `location` is its name for messages.

        A first start writes the identity into both. Raises WrongFiles, FileStoreUnavailable,
        DiskFull.
        """
        await self._create_identity()
        async with self._engine.begin() as connection:
            await allow_idle(connection)
            # One process at a time: two that start at once with different file stores would both
            # write the identity into their own.
            await keep_others_out(connection, IDENTIFYING)
            identity, last_location = (
                await connection.execute(select(file_store.c.identity, file_store.c.location))
            ).one()
            is_first_start = last_location is None
            found = await self._identity_in_files(location, identity if is_first_start else None)
            if found is None:
                raise WrongFiles(_files_missing(location, last_location, identity))
            if found != identity:
                raise WrongFiles(_foreign_files(location))
            await connection.execute(update(file_store).values(location=location))

    async def _create_identity(self) -> None:
        """Write an identity into the ledger if it has none.

        The file store gets it later: a process that dies in between leaves no foreign identity.
        """
        try:
            async with self._engine.begin() as connection:
                if await connection.scalar(select(file_store.c.id)) is None:
                    await connection.execute(
                        insert(file_store).values(id=1, identity=secrets.token_hex(8))
                    )
        except IntegrityError:  # another process was faster
            pass

    async def _identity_in_files(self, location: str, identity: str | None) -> str | None:
        """The identity in the file store. If there is none, write `identity`, if given."""
        try:
            async with asyncio.timeout(STORE_SECONDS):
                found = await self._files.identity()
                if found is None and identity is not None:
                    await self._files.set_identity(identity)
                    return identity
                return found
        except TimeoutError as error:
            raise FileStoreUnavailable(f"the file store does not answer: {location}") from error
        except FileStoreUnavailable as error:
            raise FileStoreUnavailable(
                f"the file store cannot be used: {location}: {error.reason}"
            ) from error


def _files_missing(location: str, last_location: str, identity: str) -> str:
    problem = (
        f"set OPENBULK_FILES_URL as on the other machines: the ledger's files are not in "
        f"{location}, they were in {last_location} at the last start"
    )
    if location == last_location:
        problem = (
            f"the ledger's files are not in {location}, where they were at the last start: "
            "bring the bucket or folder back"
        )
    return (
        f"{problem}. Only if they are gone for good, write the word {identity} into a file 'mark' "
        "there: jobs that still need their files will end with an error"
    )


def _foreign_files(location: str) -> str:
    return (
        f"the files in {location} belong to another ledger. Set OPENBULK_FILES_URL to a place of "
        "this ledger's own, or OPENBULK_DATABASE_URL to the ledger that they belong to. If that "
        "one is gone for good, delete the file 'mark' there: openbulk then deletes its files, too"
    )
