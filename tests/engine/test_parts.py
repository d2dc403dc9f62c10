"""A file is cut into parts of bounded size, and read again from any row."""

import io
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from obstore.store import LocalStore

from openbulk.domain.job import (
    KEPT_REMARKS,
    REMARK_CHARACTERS,
    Job,
    Remarks,
    RowRemark,
    Status,
    Upload,
)
from openbulk.domain.records import Action, Problem, Row, Target
from openbulk.engine.slices.parts import Cut, RowsInThread, cut, each_row, rows_of
from openbulk.engine.slices.row_states import RowState, RowStates
from openbulk.formats import FORMATS
from openbulk.formats.base import read_batches
from openbulk.reading.packing import BYTES_PER_PART
from openbulk.security import Sealer
from openbulk.storage.files import FileStore, FileWriter, Part


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(LocalStore(tmp_path), Sealer([os.urandom(32)]))


async def never() -> bool:
    return False


async def parts_of(files: FileStore, content: bytes, name: str = "csv") -> tuple[Job, Cut]:
    writer = FileWriter(files, "f00d")
    await writer.write(content)
    await writer.close()
    upload = Upload(Target("things", Action.CREATE), "f00d", len(content), name)
    job = Job(1, 1, 1, upload, Status.RUNNING, datetime.now(UTC))
    rows = read_batches(FORMATS[name], io.BytesIO(content), {})
    done = await cut(files, upload.file, RowsInThread(rows), never)
    assert done is not None
    return job, done


async def rows_after(
    files: FileStore, job: Job, parts: Sequence[int], records: int, cursor: int = 0
) -> list[Row]:
    states = RowStates(records, cursor)
    rows = rows_of(files, job, [Part(row) for row in parts], states, RowState.UNSENT)
    return [row._replace(size=0) async for found in rows for row in each_row(found)]


async def test_every_row_is_read_again_from_wherever_a_slice_begins(files: FileStore) -> None:
    content = b"n\n" + b"".join(b"%d\n" % n if n != 1_500 else b"1500,x\n" for n in range(1, 2_501))
    job, done = await parts_of(files, content)
    assert done == Cut(2_500, [1, 1_001, 2_001])
    expected = list(FORMATS["csv"].read(io.BytesIO(content), {}))
    for after in (0, 1, 999, 1_000, 1_001, 2_499, 2_500):
        first_rows = [
            row for row in done.first_rows if row + 1_000 > after + 1 or row == done.first_rows[-1]
        ]
        assert await rows_after(files, job, first_rows, 2_500, after) == expected[after:]


async def test_only_the_parts_with_rows_in_a_state_are_read(
    files: FileStore, tmp_path: Path
) -> None:
    job, done = await parts_of(files, b"n\n" + b"1\n" * 3_500)
    states = RowStates(done.records)
    states.set_all([1_999, 3_400], RowState.WAITING)
    parts = [Part(row) for row in done.first_rows]
    for part in (parts[0], parts[2]):
        (tmp_path / part.path("f00d")).unlink()
    rows = rows_of(files, job, parts, states, RowState.WAITING)
    assert [row.number async for found in rows for row in each_row(found)] == [1_999, 3_400]


async def test_parts_of_large_records_stay_small(files: FileStore) -> None:
    _, done = await parts_of(
        files, b"n,text\n" + b"".join(b"%d,%s\n" % (n, b"x" * 100_000) for n in range(300))
    )
    assert done.records == 300
    assert len(done.first_rows) > 5
    for first in done.first_rows:
        assert len(await files.get(Part(first).path("f00d"))) <= BYTES_PER_PART


async def test_a_record_larger_than_a_part_has_one_of_its_own(files: FileStore) -> None:
    """Whoever reads a part holds all of it, so it does not hold the neighbours, too."""
    texts = [b"small", b"x" * (BYTES_PER_PART + 1), b"small", b"small"]
    job, done = await parts_of(files, b"\n".join(b'{"text": "%s"}' % one for one in texts), "jsonl")
    assert done.first_rows == [1, 2, 3]
    rows = await rows_after(files, job, done.first_rows, 4)
    assert [row.values for row in rows] == [{"text": text.decode()} for text in texts]


async def test_a_part_is_admitted_by_its_size_before_it_is_read(files: FileStore) -> None:
    job, done = await parts_of(files, b'{"text": "%s"}' % (b"x" * 2_000_000), "jsonl")
    asked: list[int] = []

    async def admit(size: int) -> None:
        asked.append(size)
        raise TimeoutError

    parts, states = [Part(row) for row in done.first_rows], RowStates(done.records)
    rows = rows_of(files, job, parts, states, RowState.UNSENT, admit)
    with pytest.raises(TimeoutError):
        await anext(rows)
    assert asked[0] > 2_000_000


async def test_a_value_that_no_service_could_be_sent_breaks_its_row_alone(files: FileStore) -> None:
    lines = [b'{"n": 1}', b'{"n": %s}' % (b"1" * 2_000), b'{"n": 3}']
    job, done = await parts_of(files, b"[" + b",".join(lines) + b"]", "json")
    rows = await rows_after(files, job, done.first_rows, done.records)
    assert [row.values for row in rows] == [{"n": 1}, None, {"n": 3}]
    assert rows[1].problem is not None
    assert "cannot be sent" in rows[1].problem.message


async def test_cutting_stops_when_the_slice_must_stop(files: FileStore) -> None:

    async def at_once() -> bool:
        return True

    rows = FORMATS["csv"].read(io.BytesIO(b"n\n" + b"1\n" * 5_000), {})
    assert await cut(files, "f00d", RowsInThread(rows), at_once) is None


async def remarks_of(files: FileStore, *rows: Row) -> Remarks:
    done = await cut(files, "f00d", RowsInThread(iter(rows)), never)
    assert done is not None
    return done.remarks


async def test_what_was_left_out_of_rows_is_collected(files: FileStore) -> None:
    """Of those that are sent: not of a row with a problem, be it found here or before."""
    rows = [
        Row(1, {"n": 1}, line=4),
        Row(2, {"n": 2}, line=9, remarks=["no alarm", "no guest"]),
        Row(3, None, Problem("no start"), line=20, remarks=["no alarm"]),
        Row(4, {"n": 1 << 70}, line=30, remarks=["no alarm"]),
        Row(5, {"n": 5}, remarks=["no alarm"]),
    ]
    expected = Remarks(2, (RowRemark(2, 9, "no alarm; no guest"), RowRemark(5, None, "no alarm")))
    assert await remarks_of(files, *rows) == expected
    assert await remarks_of(files, *rows) == expected


async def test_remarks_are_collected_in_bounded_memory(files: FileStore) -> None:
    """From all parts; the rows behind the first ones are only counted."""
    rows = [Row(n, {"n": n}, line=n, remarks=["x" * 200] * 1_000) for n in range(1, 2_501)]
    remarks = await remarks_of(files, *rows)
    assert remarks.rows == 2_500
    assert [remark.row for remark in remarks.first] == list(range(1, KEPT_REMARKS + 1))
    assert {len(remark.text) for remark in remarks.first} == {REMARK_CHARACTERS}


async def test_remarks_are_found_behind_the_first_part(files: FileStore) -> None:
    def rows() -> Iterator[Row]:
        for n in range(1, 1_502):
            yield Row(n, {"n": n}, line=n, remarks=["no alarm"] if n == 1_500 else [])

    assert await remarks_of(files, *rows()) == Remarks(1, (RowRemark(1_500, 1_500, "no alarm"),))


async def test_numbers_keep_their_digits_in_parts(files: FileStore) -> None:
    """In rows and in the values nested in them; only such rows take longer."""
    elements = [
        b'{"n": 1.5}',
        b'{"n": 98765432109876543.21, "doc": {"m": [1.50]}}',
        b'{"n": 123456789012345678901}',
    ]
    job, done = await parts_of(files, b"[" + b",".join(elements) + b"]", "json")
    rows = await rows_after(files, job, done.first_rows, done.records)
    assert [row.values for row in rows] == [
        {"n": 1.5},
        {"n": Decimal("98765432109876543.21"), "doc": {"m": [Decimal("1.50")]}},
        {"n": Decimal(123456789012345678901)},
    ]
