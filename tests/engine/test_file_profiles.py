"""Rows of files, by page."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from openbulk.domain.errors import Conflict
from openbulk.domain.uploaded_file import UploadedFile
from openbulk.engine.file_profiles import FileProfiles
from openbulk.engine.queue.clock import Clock

NOW = datetime(2026, 11, 30, tzinfo=UTC)


class HalfRead:
    """A file store with the first 1,000 rows of a file."""

    async def get_json(self, path: str) -> Any:
        return {"parts": [1], "rows": 1_000}


async def test_rows_that_were_not_read_yet_are_asked_for_again() -> None:
    nobody = cast(Any, None)
    profiles = FileProfiles(nobody, cast(Any, HalfRead()), nobody, nobody, Clock())
    file = UploadedFile(
        id=7,
        organization_id=1,
        instance_id=None,
        file="f",
        name="",
        size=1,
        digest="",
        options={},
        file_format="csv",
        takes_events=False,
        created_at=NOW,
        used_at=NOW,
    )
    with pytest.raises(Conflict, match="file 7 is read up to row 1,000 so far"):
        await profiles.page_of(file, 1_001, 10)
