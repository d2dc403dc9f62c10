"""The promises of a file store, whatever it keeps things in.

class TestFilesOnDisk(FileStoreTests):
    @pytest.fixture
    def store(self, tmp_path): return LocalStore(tmp_path)
"""

import os
from datetime import UTC, datetime, timedelta

import obstore
import pytest
from obstore.store import ObjectStore

from openbulk.domain.errors import FileTruncated, SealBroken
from openbulk.security import Sealer
from openbulk.storage.block_file import BLOCK_BYTES
from openbulk.storage.files import FileStore, FileWriter, Part


class FileStoreTests:
    """Inherit this and override the fixture `store`."""

    @pytest.fixture
    def store(self) -> ObjectStore:
        """An empty object store."""
        pytest.skip("override the fixture `store`")

    @pytest.fixture
    def files(self, store: ObjectStore) -> FileStore:
        """A file store upon it."""
        return FileStore(store, Sealer([os.urandom(32)]))

    async def written(
        self, files: FileStore, content: bytes, name: str = "f00d", chunk: int = 70_001
    ) -> bytes:
        """Write a file in chunks, as it arrives over a network."""
        writer = FileWriter(files, name)
        for begin in range(0, len(content), chunk):
            await writer.write(content[begin : begin + chunk])
        await writer.close()
        assert writer.size == len(content)
        return content

    async def content_of(self, files: FileStore, size: int) -> bytes:
        """The blocks of a file of `size` bytes, one after another."""
        blocks = range(-(-size // BLOCK_BYTES))
        return b"".join([await files.block("f00d", index, size) for index in blocks])

    @pytest.mark.parametrize(
        "size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 7]
    )
    async def test_a_file_is_read_as_it_was_written(self, files: FileStore, size: int) -> None:
        """Also where it ends at a block's border."""
        content = await self.written(files, os.urandom(size))
        assert await self.content_of(files, size) == content

    async def test_nothing_is_left_of_a_discarded_file(self, files: FileStore) -> None:
        """An upload that is cut off leaves nothing."""
        writer = FileWriter(files, "f00d")
        await writer.write(os.urandom(BLOCK_BYTES + 1))
        assert await files.names() == {"f00d"}, "what a crash leaves can be found"
        await writer.discard()
        assert await files.names() == frozenset()

    async def test_a_file_is_deleted_with_all_below_its_name_and_no_other(
        self, files: FileStore
    ) -> None:
        """Deleting what is not there does nothing."""
        await self.written(files, b"one", "one")
        await self.written(files, b"two", "one2")
        await files.put("one/parts/000000000001", b"part")
        await files.delete("one")
        await files.delete("one")
        assert await files.names() == {"one2"}

    async def test_a_part_is_kept_replaced_and_missed(self, files: FileStore) -> None:
        """Cutting a file again after a crash writes its parts again."""
        path = Part(1001).path("f00d")
        for content in (b"first", b"second"):
            await files.put(path, content)
            assert await files.get(path) == content == files.get_now(path)
        for missing in ("f00d/parts/000000000001", "none/parts/000000001001"):
            with pytest.raises(FileNotFoundError):
                await files.get(missing)

    async def test_nothing_can_be_read_without_the_key(
        self, files: FileStore, store: ObjectStore
    ) -> None:
        """What the store holds is sealed."""
        await self.written(files, b"unmistakable " * 100)
        path = "f00d/blocks/00000000"
        assert b"unmistakable" not in bytes(obstore.get(store, path).bytes())
        with pytest.raises(SealBroken):
            FileStore(store, Sealer([os.urandom(32)])).get_now(path)

    async def test_a_block_that_was_changed_moved_or_lost_is_noticed(
        self, files: FileStore, store: ObjectStore
    ) -> None:
        """Never read as if nothing had happened."""
        content = await self.written(files, os.urandom(3 * BLOCK_BYTES))
        first, second = "f00d/blocks/00000000", "f00d/blocks/00000001"
        blocks = {path: bytes(obstore.get(store, path).bytes()) for path in (first, second)}
        for damaged in (blocks[second], blocks[first][:-1] + bytes([blocks[first][-1] ^ 1]), b""):
            obstore.put(store, first, damaged)
            with pytest.raises(SealBroken):
                await files.block("f00d", 0, len(content))
        obstore.put(store, first, blocks[first])
        obstore.delete(store, second)
        with pytest.raises(FileTruncated):
            await self.content_of(files, len(content))

    async def test_a_file_that_is_shorter_than_it_should_be_is_noticed(
        self, files: FileStore
    ) -> None:
        """The ledger knows its size."""
        await self.written(files, b"short")
        with pytest.raises(FileTruncated):
            await self.content_of(files, 100)

    async def test_a_file_that_is_written_now_is_not_older(self, files: FileStore) -> None:
        """One that no job owns may be an upload that another server is receiving."""
        await self.written(files, b"young")
        now = datetime.now(UTC)
        assert not await files.is_older("f00d", now - timedelta(hours=1))
        assert await files.is_older("f00d", now + timedelta(hours=1))

    async def test_a_check_of_the_store_keeps_no_file(self, files: FileStore) -> None:
        """It answers whether the server is ready."""
        await files.check()
        assert await files.names() == frozenset()

    async def test_the_identity_is_among_the_files_and_is_none_of_them(
        self, files: FileStore
    ) -> None:
        """So it is not deleted as an orphan."""
        assert await files.identity() is None
        for word in ("first", "second"):
            await files.set_identity(word)
            assert await files.identity() == word
        await self.written(files, b"one", "one")
        assert await files.names() == {"one"}
        await files.delete("one")
        assert await files.identity() == "second"
