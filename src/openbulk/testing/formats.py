"""The promises of a file format.

class TestMyFormat(FormatTests):
    format = MyFormat()

    def encode(self, records): ...
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, ClassVar

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row
from openbulk.formats import FORMATS
from openbulk.formats.base import Format
from openbulk.formats.recognition import inspect, recognize

NUMBERS = (
    *(0, -7, 0.1, 0.1 + 0.2, 1e-7, 1.5e300, 2**53 + 1, 2**64 - 1, -(2**63)),
    *map(Decimal, ("1.50", "98765432109876543.21", "0.1000000000000000055", "1E+400", str(10**30))),
)
"""Floats, integers within 64 bits, and numbers whose digits neither has."""
RECORDS = tuple({"name": f"Näme {n}", "city": f"City, {n}"} for n in range(1, 8))


class FormatTests:
    """Inherit this and implement `encode`; every promise of a format is tested."""

    format: ClassVar[Format]
    has_numbers = True
    """Whether a record may have a field with any number. An event has none."""
    broken_index = 3
    """The record, from 0, that `broken_file` breaks."""

    def encode(self, records: Sequence[Mapping[str, Any]]) -> bytes:
        """A file with these records, made by other means than `format.write`."""
        raise NotImplementedError

    def broken_file(self) -> bytes | None:
        """A file of RECORDS in which one record cannot be read.

        None if the format cannot continue after such a record.
        """
        return None

    def writable_records(self, records: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The records, completed with what the format requires: an event has a start."""
        return records

    def read(self, content: bytes, **options: Any) -> list[Row]:
        """All rows of a file."""
        return list(self.format.read(io.BytesIO(content), options))

    def read_values(self, content: bytes) -> list[Mapping[str, Any] | None]:
        """The values of all rows of a file; None for a broken one."""
        return [row.values for row in self.read(content)]

    def write(self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()) -> bytes:
        """A file with these records, as the format itself writes it."""
        return b"".join(self.format.write(records, fields))

    # --- promises ---

    def test_written_records_are_recognized_and_read_as_they_were(self) -> None:
        """Each record is read back unchanged."""
        content = self.write(self.writable_records(RECORDS))
        assert inspect(io.BytesIO(content), None, {}).name == self.format.name
        assert self.read_values(content) == list(RECORDS)

    def test_a_number_keeps_its_digits(self) -> None:
        """Written and read, it is the same number, or a text of its digits."""
        if not self.has_numbers:
            return
        for number in NUMBERS:
            (values,) = self.read_values(self.write([{"name": "x", "number": number}]))
            assert values is not None
            assert Decimal(str(values["number"])) == Decimal(str(number))

    def test_writing_twice_gives_the_same_file(self) -> None:
        """A download that is fetched again is the same, unless its format dates it."""
        records = self.writable_records(RECORDS)
        assert self.read_values(self.write(records)) == list(RECORDS)
        assert self.format.is_binary or self.write(records) == self.write(records)

    def test_a_file_without_records_is_written_and_read(self) -> None:
        """It has no rows."""
        assert self.read(self.write([], ["name", "city"])) == []

    def test_a_large_file_is_written_in_pieces(self) -> None:
        """No piece is large."""
        pieces = [len(piece) for piece in self.format.write(self.writable_records(RECORDS * 1_000))]
        assert max(pieces) < 256 * 1024
        assert len(pieces) > 1

    def test_records_are_read_in_order_and_numbered_from_1(self) -> None:
        """No row has a problem."""
        rows = self.read(self.encode(RECORDS))
        assert [row.values for row in rows] == list(RECORDS)
        assert [row.number for row in rows] == list(range(1, len(RECORDS) + 1))
        assert all(row.problem is None for row in rows)

    def test_reading_twice_gives_the_same_rows(self) -> None:
        """A file that is cut into parts again after a crash gives the same parts."""
        content = self.encode(RECORDS)
        assert self.read(content) == self.read(content)

    def test_a_byte_order_mark_is_not_part_of_the_first_record(self) -> None:
        """Editors on Windows write one."""
        assert self.read(b"\xef\xbb\xbf" + self.encode(RECORDS)) == self.read(self.encode(RECORDS))

    def test_a_record_that_cannot_be_read_leaves_its_neighbours_as_they_are(self) -> None:
        """It is a row of its own, with its number and a problem."""
        content = self.broken_file()
        if content is None:
            return
        rows = self.read(content)
        assert [row.number for row in rows] == list(range(1, len(RECORDS) + 1))
        broken = rows.pop(self.broken_index)
        assert broken.values is None
        assert broken.problem is not None
        assert broken.problem.message
        neighbours = list(RECORDS)
        del neighbours[self.broken_index]
        assert [row.values for row in rows] == neighbours

    def test_it_recognizes_its_own_files(self) -> None:
        """Without a name, and by its name in any case. The file is back at its beginning."""
        file = io.BytesIO(self.encode(RECORDS))
        assert inspect(file, None, {}).name == self.format.name
        assert file.tell() == 0
        by_name = recognize(self.encode(RECORDS), self.format.name.upper())
        assert by_name.name == self.format.name
        assert FORMATS[self.format.name].name == self.format.name

    def test_the_first_rows_of_a_large_file_cost_no_more_than_a_few_chunks(self) -> None:
        """Reading streams."""
        file = io.BytesIO(self.encode(RECORDS * 100_000))
        # Detecting the encoding may read the whole file; reading rows must not.
        rows = self.format.read(file, {"encoding": "utf-8"})
        assert [row.number for row in islice(rows, 3)] == [1, 2, 3]
        assert file.tell() < 2 * 1024 * 1024

    def check_survives(self, content: bytes) -> None:
        """Any bytes are rows, broken rows or BadInput. Rows are numbered from 1 without a gap."""
        try:
            rows = self.read(content)
        except BadInput as error:
            assert error.message
            return
        assert [row.number for row in rows] == list(range(1, len(rows) + 1))
        assert all((row.values is None) == (row.problem is not None) for row in rows)
