"""The file store: uploads and the parts that they are cut into, each block sealed on its own.

An upload is a folder of numbered blocks, each an object of its own. So it is written while it
arrives, with one block in memory; it works the same on a disk and in an object store; nobody ever
sees a block that is half-written; and a listing finds the remains of an upload that was cut off.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import obstore
import orjson
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from openbulk.domain.errors import DiskFull, FileStoreUnavailable, FileTruncated
from openbulk.security import Sealer
from openbulk.storage.block_file import BLOCK_BYTES
from openbulk.threads import Threads

if TYPE_CHECKING:
    from obstore.store import RetryConfig

THREADS = 8
"""Calls of the operating system that wait for the disk at the same time."""
FILE_STORE_UNAVAILABLE = (
    "openbulk's file store cannot be used at the moment; nothing is lost: try again in a moment"
)
_IDENTITY = "mark"
"""The identity's name in the store. It is not a folder, so `names` leaves it out."""
_RETRIES: "RetryConfig" = {
    "max_retries": 6,
    "backoff": {
        "init_backoff": timedelta(seconds=0.1),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    },
    "retry_timeout": timedelta(seconds=10),
}
"""A store that is unavailable for longer is an error: callers and lanes do not wait for it."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


def open_store(url: str) -> ObjectStore:
    """The object store at a URL: s3://, gs://, az:// or file:///. Raises ValueError for any other.

    Credentials come from the environment, by the names that each service's own tools use.
    """
    scheme, _, place = url.partition("://")
    if scheme == "file" and place.startswith("/"):
        return LocalStore(place, mkdir=True)
    if scheme not in {"s3", "gs", "az"} or not place:
        raise ValueError("its address has to begin with s3://, gs://, az:// or file:///")
    try:
        return from_url(url, retry_config=_RETRIES)
    except BaseError as error:
        raise ValueError(str(error).partition("\n")[0]) from error


class FileStore:
    """Keeps files by name. Openbulk makes up the names, never the caller.

    Its methods raise FileStoreUnavailable if the store does not answer, or refuses access.
    """

    def __init__(self, store: ObjectStore, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer
        self._threads = Threads("files", THREADS)
        self._root = Path(store.prefix) if isinstance(store, LocalStore) and store.prefix else None

    async def block(self, name: str, index: int, size: int) -> bytes:
        """A block of a file of `size` bytes. Raises FileTruncated, SealBroken, KeyMissing."""
        try:
            block = await self.get(_block_path(name, index))
        except FileNotFoundError as error:
            raise FileTruncated(f"block {index} of file {name} is missing") from error
        if len(block) < min(BLOCK_BYTES, size - index * BLOCK_BYTES):
            raise FileTruncated(f"block {index} of file {name} is shorter than it was written")
        return block

    async def put(self, path: str, plain: bytes) -> None:
        """Write one sealed object. On a disk, it is durable on return. Raises DiskFull."""
        await self._write(path, self._sealer.seal(plain, path))

    async def _write(self, path: str, data: bytes) -> None:
        try:
            with _translate_errors():
                await obstore.put_async(self._store, path, data)
                if self._root is not None:
                    await self._threads.run(_reach_disk, self._root, path)
        except FileNotFoundError as error:  # the bucket, or the folder of all files
            raise FileStoreUnavailable(FILE_STORE_UNAVAILABLE) from error

    async def get(
        self, path: str, *, admit: Callable[[int], Awaitable[None]] | None = None
    ) -> bytes:
        """The plain bytes of one object. Raises FileNotFoundError, SealBroken, KeyMissing.

        `admit` is awaited with their number before they are read.
        """
        with _translate_errors():
            answer = await obstore.get_async(self._store, path)
        if admit is not None:
            await admit(answer.meta["size"])
        with _translate_errors():
            sealed = await answer.bytes_async()
        return self._sealer.open(sealed, path)

    def get_now(self, path: str) -> bytes:
        """The plain bytes of one object, for use in a thread: it blocks."""
        with _translate_errors():
            sealed = obstore.get(self._store, path).bytes()
        return self._sealer.open(sealed, path)

    async def put_json(self, path: str, value: Any) -> None:
        """Write a value as one sealed object. Raises DiskFull."""
        await self.put(path, orjson.dumps(value))

    async def get_json(self, path: str) -> Any:
        """The value of one object. Raises FileNotFoundError, SealBroken, KeyMissing."""
        return orjson.loads(await self.get(path))

    async def delete(self, name: str) -> None:
        """Delete a file and everything below its name. No-op if there is none."""
        with _translate_errors():
            if self._root is not None:
                await self._threads.run(_delete_folder, self._root / name)
                return
            async for page in obstore.list(self._store, f"{name}/", chunk_size=500):
                await obstore.delete_async(self._store, [item["path"] for item in page])

    async def give_up(self, name: str) -> None:
        """Delete a file that no job needs, now or at a later start."""
        with contextlib.suppress(FileStoreUnavailable):
            await self.delete(name)

    async def check(self) -> None:
        """Raise FileStoreUnavailable or DiskFull if nothing can be written."""
        with _translate_errors():
            await obstore.put_async(self._store, "ready", b"")

    async def identity(self) -> str | None:
        """The file store identity; None if there is none.

        It is not sealed: it is not a secret, and a person may have written it.
        """
        try:
            with _translate_errors():
                answer = await obstore.get_async(self._store, _IDENTITY)
                return bytes(await answer.bytes_async()).decode(errors="replace").strip()
        except FileNotFoundError:
            return None

    async def set_identity(self, identity: str) -> None:
        """Write the file store identity. On a disk, it is durable on return. Raises DiskFull."""
        await self._write(_IDENTITY, identity.encode())

    async def is_older(self, name: str, than: datetime) -> bool:
        """Whether nothing was written to a file since `than`, by the store's clock."""
        with _translate_errors():
            async for page in obstore.list(self._store, f"{name}/", chunk_size=500):
                if any(item["last_modified"] > than for item in page):
                    return False
        return True

    async def names(self) -> frozenset[str]:
        """The names of all files, including files that were never closed."""
        with _translate_errors():
            found = await obstore.list_with_delimiter_async(self._store)
        return frozenset(found["common_prefixes"])


class FileWriter:
    """Writes a file block by block while it arrives. The file is complete once this is closed."""

    def __init__(self, files: FileStore, name: str) -> None:
        self._files = files
        self._name = name
        self._buffer = bytearray()
        self._blocks = 0
        self._hash = hashlib.sha256()
        self.size = 0
        """Bytes written so far."""
        self.digest = ""
        """SHA-256 of the file, once it is complete."""

    async def write(self, data: bytes) -> None:
        """Take the next bytes of the file."""
        self.size += len(data)
        self._hash.update(data)
        self._buffer += data
        while len(self._buffer) >= BLOCK_BYTES:
            await self._put_block(bytes(self._buffer[:BLOCK_BYTES]))
            del self._buffer[:BLOCK_BYTES]

    async def close(self) -> None:
        """Write the rest. From now on the file is complete."""
        if self._buffer:
            await self._put_block(bytes(self._buffer))
            self._buffer.clear()
        self.digest = self._hash.hexdigest()

    async def discard(self) -> None:
        """Delete what was written of the file."""
        await self._files.give_up(self._name)

    async def _put_block(self, plain: bytes) -> None:
        await self._files.put(_block_path(self._name, self._blocks), plain)
        self._blocks += 1


def _block_path(name: str, index: int) -> str:
    return f"{name}/blocks/{index:08d}"


@dataclass(frozen=True, slots=True)
class Part:
    """Records of a file that are kept together."""

    first_row: int
    """The row that it begins with."""
    fence: int = 0
    """The fence of the slice that wrote it; 0 if every slice would write the same.

    A superseded slice may have other records. It writes next to the valid part, never over it.
    """

    def path(self, name: str) -> str:
        """Its path, below the name of its file."""
        path = f"{name}/parts/{self.first_row:012d}"
        return f"{path}-{self.fence}" if self.fence else path


def _reach_disk(root: Path, path: str) -> None:
    """Make sure that a file, its name and those of its folders survive a power cut."""
    for name in (PurePath(path), *PurePath(path).parents):
        descriptor = os.open(root / name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate the errors of a store or a folder to FileStoreUnavailable and DiskFull.

    A missing object stays a FileNotFoundError.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        if _is_full(error):
            raise DiskFull("files") from error
        raise FileStoreUnavailable(FILE_STORE_UNAVAILABLE) from error


def _is_full(error: Exception) -> bool:
    """Whether a disk or a quota on it is full."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    # obstore's errors have the number in their text only.
    return any(f"(os error {number})" in str(error) for number in _FULL)


def _delete_folder(folder: Path) -> None:
    """Delete a folder, including what a store that was killed while writing has left there."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
