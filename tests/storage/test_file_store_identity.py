"""A process with another file store than its ledger's does not start."""

import asyncio
import os
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import FileStoreUnavailable, WrongFiles
from openbulk.security import Sealer
from openbulk.storage.database import migrate, open_ledger_engine
from openbulk.storage.file_store_identity import FileStoreIdentity
from openbulk.storage.files import FileStore

SEALER = Sealer([os.urandom(32)])


def mark_of(engine: AsyncEngine, store: ObjectStore) -> FileStoreIdentity:
    return FileStoreIdentity(engine, FileStore(store, SEALER))


async def test_the_first_start_marks_the_files_and_later_ones_find_the_mark(
    engine: AsyncEngine,
) -> None:
    store = MemoryStore()
    for _ in range(2):
        await mark_of(engine, store).compare("here")
    assert await FileStore(store, SEALER).identity()


async def test_files_that_are_elsewhere_are_named_and_nothing_is_marked(
    engine: AsyncEngine,
) -> None:
    await mark_of(engine, MemoryStore()).compare("s3://bucket")
    wrong = MemoryStore()
    with pytest.raises(
        WrongFiles, match="not in /data/files on b, they were in s3://bucket at the last start"
    ):
        await mark_of(engine, wrong).compare("/data/files on b")
    assert await FileStore(wrong, SEALER).identity() is None


async def test_files_that_are_gone_are_done_without_where_a_person_says_so(
    engine: AsyncEngine,
) -> None:
    """By writing down the word that the error names."""
    await mark_of(engine, MemoryStore()).compare("here")
    empty = MemoryStore()
    with pytest.raises(WrongFiles, match="not in here, where they were at the last start") as error:
        await mark_of(engine, empty).compare("here")
    word = str(error.value).partition("write the word ")[2].split()[0]
    obstore.put(empty, "mark", f"{word}\n".encode())
    await mark_of(engine, empty).compare("here")


async def test_the_files_of_another_ledger_are_refused_until_its_mark_is_deleted(
    engine: AsyncEngine,
) -> None:
    """A process that started with them would take all of them for orphans, and delete them."""
    store = MemoryStore()
    obstore.put(store, "mark", b"another")
    for _ in range(2):
        with pytest.raises(WrongFiles, match="belong to another ledger"):
            await mark_of(engine, store).compare("here")
    obstore.delete(store, "mark")
    await mark_of(engine, store).compare("here")


async def test_files_from_before_there_was_a_mark_are_marked(engine: AsyncEngine) -> None:
    files = FileStore(MemoryStore(), SEALER)
    await files.put("f00d/parts/000000000001", b"part")
    await FileStoreIdentity(engine, files).compare("here")
    assert await files.identity()
    assert await files.names() == {"f00d"}


async def test_of_two_that_start_at_once_in_different_places_one_is_refused(url: str) -> None:
    engines = [open_ledger_engine(url) for _ in range(4)]
    stores = [MemoryStore() for _ in engines]
    try:
        await migrate(engines[0])
        marks = [mark_of(engine, store) for engine, store in zip(engines, stores, strict=True)]
        ends = await asyncio.gather(
            *(mark.compare("here") for mark in marks), return_exceptions=True
        )
        assert [type(end) for end in ends if end is not None] == [WrongFiles] * 3, ends
        assert [await FileStore(store, SEALER).identity() is None for store in stores].count(
            False
        ) == 1
    finally:
        for engine in engines:
            await engine.dispose()


async def test_of_those_that_start_at_once_in_one_place_all_come_up(url: str) -> None:
    engines = [open_ledger_engine(url) for _ in range(4)]
    store = MemoryStore()
    try:
        await migrate(engines[0])
        await asyncio.gather(*(mark_of(engine, store).compare("here") for engine in engines))
    finally:
        for engine in engines:
            await engine.dispose()


class DiesBeforeItSays(FileStore):
    """Marks, and is not there any more when that could be written down."""

    async def set_identity(self, word: str) -> None:
        await super().set_identity(word)
        raise OSError("killed")


async def test_a_process_that_dies_while_it_marks_bars_nobody(engine: AsyncEngine) -> None:
    store = MemoryStore()
    with pytest.raises(OSError, match="killed"):
        await FileStoreIdentity(engine, DiesBeforeItSays(store, SEALER)).compare("here")
    await mark_of(engine, store).compare("here")


async def test_a_place_that_does_not_answer_is_named_with_the_reason(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "ENDPOINT_URL": "http://127.0.0.1:9",
        "ALLOW_HTTP": "true",
        "REGION": "r",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    away = from_url(
        "s3://bucket",
        access_key_id="a",
        secret_access_key="unmistakable",
        retry_config={"max_retries": 0},
    )
    with pytest.raises(
        FileStoreUnavailable, match=r"used: s3://bucket: Generic S3 error: .* error sending request"
    ) as error:
        await mark_of(engine, away).compare("s3://bucket")
    assert "unmistakable" not in str(error.value)


async def test_a_folder_is_known_again_where_it_was_moved(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    await mark_of(engine, LocalStore(tmp_path / "old")).compare("old")
    (tmp_path / "old").rename(tmp_path / "new")
    await mark_of(engine, LocalStore(tmp_path / "new")).compare("new")
    with pytest.raises(WrongFiles, match="they were in new"):
        await mark_of(engine, MemoryStore()).compare("old")
