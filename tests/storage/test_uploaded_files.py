"""Files that are read in another way, on each kind of database."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.errors import Conflict
from openbulk.domain.uploaded_file import NewFile
from openbulk.storage.uploaded_files import UploadedFiles
from support.people import add_organization

NOW = datetime(2026, 12, 1, tzinfo=UTC)
NEW = NewFile(file="f", name="a.csv", size=1, digest="d", options={}, file_format="csv")


@pytest.fixture
async def files(engine: AsyncEngine) -> UploadedFiles:
    await add_organization(engine)
    made = UploadedFiles(engine)
    await made.add(
        NEW, organization_id=1, instance_id=None, takes_events=False, now=NOW, idempotency_key=None
    )
    return made


async def test_the_second_of_two_changes_is_told_of_the_first(files: UploadedFiles) -> None:
    before = await files.file(1)
    assert before is not None
    changed = await files.read_again(before, replace(NEW, options={"delimiter": ";"}), "r1")
    assert (changed.options, changed.reading, changed.read_as) == ({"delimiter": ";"}, "r1", "f/r1")
    with pytest.raises(Conflict, match="file 1 was changed or deleted by another request"):
        await files.read_again(before, replace(NEW, options={"delimiter": ","}), "r2")
    assert await files.file(1) == changed


async def test_who_reads_a_file_as_it_was_changes_nothing(files: UploadedFiles) -> None:
    """Whoever reads it in the new way claims it at once."""
    old = await files.claim(NOW)
    assert old is not None
    changed = await files.read_again(old, NEW, "r1")
    new = await files.claim(NOW)
    assert new == changed
    assert not await files.renew_claim(old, NOW)
    await files.finish(old, file_format="csv", records=5, problem=None)
    await files.give_claim_back(old)
    assert (await files.claim(NOW), await files.attempts(1)) == (None, 1)
    assert await files.renew_claim(new, NOW)
    await files.finish(new, file_format="csv", records=7, problem=None)
    assert (await files.file(1)) == replace(changed, records=7)
