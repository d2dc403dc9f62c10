"""Files in a folder, in S3, and in memory."""

import os
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore, ObjectStore

from openbulk.storage.block_file import BLOCK_BYTES
from openbulk.storage.files import FileStore, Part, open_store
from support.file_store_suite import FileStoreTests
from support.s3 import S3


class TestFilesOnDisk(FileStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return LocalStore(tmp_path)

    async def test_no_record_can_be_read_on_the_disk(
        self, files: FileStore, tmp_path: Path
    ) -> None:
        await self.written(files, b"unmistakable " * 100_000)
        await files.put(Part(1).path("f00d"), b"unmistakable")
        found = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(found) == 3
        assert not any(b"unmistakable" in path.read_bytes() for path in found)

    async def test_what_a_killed_write_left_beside_the_blocks_goes_with_the_file(
        self, files: FileStore, tmp_path: Path
    ) -> None:
        await self.written(files, os.urandom(BLOCK_BYTES))
        (tmp_path / "f00d" / "blocks" / "00000001#1").write_bytes(b"half")
        await files.delete("f00d")
        assert list(tmp_path.iterdir()) == []


class TestFilesInS3(FileStoreTests):
    @pytest.fixture
    def store(self, s3: S3, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        return open_store(s3.new_bucket())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host/files", "has to begin with s3://, gs://, az:// or file:///"),
        ("file://relative", "has to begin with"),
        ("az://container/files", "Account must be specified"),
    ],
)
def test_a_url_that_is_no_object_store_is_refused(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        open_store(url)


class TestFilesInAnObjectStore(FileStoreTests):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()
