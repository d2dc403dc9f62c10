"""The promises of a file format.

class TestMyFormat(FormatTests):
    format = MyFormat()

    def encode(self, records): ...
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row
from openbulk.formats import FORMATS
from openbulk.formats.base import Format
from openbulk.formats.recognition import inspect, recognize

RECORDS = tuple({"name": f"Näme {n}", "city": f"City, {n}"} for n in range(1, 8))


class FormatTests:
    """Inherit this, say what is asked for below, and every promise is tested."""

    format: ClassVar[Format]
    broken_place = 3
    """The record, from 0, that `broken` breaks."""

    def encode(self, records: Sequence[Mapping[str, Any]]) -> bytes:
        """A file with these records."""
        raise NotImplementedError

    def broken(self) -> bytes | None:
        """A file of RECORDS in which one cannot be read; None where a format cannot go on behind such a one."""
        return None

    def read(self, content: bytes, **options: Any) -> list[Row]:
        """All rows of a file."""
        return list(self.format.read(io.BytesIO(content), options))

    def writable(self, records: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The records as this format can write them: an event has a start."""
        return records

    def written(self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()) -> bytes:
        """A file with these records, as the format itself writes it."""
        return b"".join(self.format.write(records, fields))

    # --- promises ---

    def test_what_is_written_reads_back(self) -> None:
        """Recognized, and record for record the same."""
        content = self.written(self.writable(RECORDS))
        assert inspect(io.BytesIO(content), None, {}).name == self.format.name
        assert [row.values for row in self.read(content)] == list(RECORDS)

    def test_writing_twice_gives_the_same(self) -> None:
        """A download that is asked for again is the same file, unless it says when it was made."""
        records = self.writable(RECORDS)
        assert [row.values for row in self.read(self.written(records))] == list(RECORDS)
        assert self.format.is_binary or self.written(records) == self.written(records)

    def test_a_file_without_records_is_written_too(self) -> None:
        """And read again, it has none."""
        assert self.read(self.written([], ["name", "city"])) == []

    def test_a_large_file_is_written_in_pieces(self) -> None:
        """Nobody holds it as a whole."""
        pieces = [len(piece) for piece in self.format.write(self.writable(RECORDS * 1_000))]
        assert max(pieces) < 256 * 1024
        assert len(pieces) > 1

    def test_records_come_back_as_they_were(self) -> None:
        """In order, numbered from 1."""
        rows = self.read(self.encode(RECORDS))
        assert [row.values for row in rows] == list(RECORDS)
        assert [row.number for row in rows] == list(range(1, len(RECORDS) + 1))
        assert all(row.problem is None for row in rows)

    def test_reading_twice_gives_the_same(self) -> None:
        """A file that is cut into parts again after a crash gives the same parts."""
        content = self.encode(RECORDS)
        assert self.read(content) == self.read(content)

    def test_a_byte_order_mark_is_not_part_of_the_first_record(self) -> None:
        """As editors on Windows write it."""
        assert self.read(b"\xef\xbb\xbf" + self.encode(RECORDS)) == self.read(self.encode(RECORDS))

    def test_a_record_that_cannot_be_read_does_not_sink_its_neighbours(self) -> None:
        """It is a row of its own, with its number and a problem; the others are as they were."""
        content = self.broken()
        if content is None:
            return
        rows = self.read(content)
        assert [row.number for row in rows] == list(range(1, len(RECORDS) + 1))
        for row, values in zip(rows, RECORDS, strict=True):
            if row.number == self.broken_place + 1:
                assert row.values is None
                assert row.problem is not None
                assert row.problem.message
            else:
                assert row.values == values

    def test_it_recognizes_its_own_files(self) -> None:
        """Also by looking, and goes back to the file's beginning."""
        file = io.BytesIO(self.encode(RECORDS))
        assert inspect(file, None, {}).name == self.format.name
        assert file.tell() == 0
        assert recognize(self.encode(RECORDS), self.format.name.upper()).name == self.format.name
        assert FORMATS[self.format.name].name == self.format.name

    def test_a_file_is_read_no_further_than_its_rows_are_asked_for(self) -> None:
        """Reading streams: the first row of a large file costs a few hundred kilobytes."""
        file = io.BytesIO(self.encode(RECORDS * 100_000))
        # Telling the encoding may read it all once; the rows themselves must not.
        rows = self.format.read(file, {"encoding": "utf-8"})
        assert [row.number for row in islice(rows, 3)] == [1, 2, 3]
        assert file.tell() < 2 * 1024 * 1024

    def check_survives(self, content: bytes) -> None:
        """Any bytes are rows, broken rows or BadInput; and rows are numbered from 1 without a gap."""
        try:
            rows = self.read(content)
        except BadInput as error:
            assert error.message
            return
        assert [row.number for row in rows] == list(range(1, len(rows) + 1))
        assert all((row.values is None) == (row.problem is not None) for row in rows)
