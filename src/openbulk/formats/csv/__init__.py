"""CSV as people have it (RFC 4180, and what spreadsheets make of it).

`metaData.delimiter`, `encoding` and `headerRow` override detection. The first line names the
columns, which `connectors/columns.py` resolves to fields. Blank lines, titles and Excel's line
`sep=;` may be above it. An empty cell is an absent field, `""` in quotes is an empty text, and
the text in `metaData.nullValue` is None, which clears a field. A line without any value is skipped:
spreadsheets write such lines below the last record. Excel also writes blank cells beyond the
header, which are ignored. A row with too few cells is broken: it may be cut off or shifted. All
values are text. `write` uses commas, line feeds, and JSON for lists.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import orjson

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row, RowBatch
from openbulk.formats.csv.dialect import detect_dialect
from openbulk.formats.csv.lines import LineReader
from openbulk.formats.csv.rows import RowReader, read_header
from openbulk.formats.csv.writing import encode_rows
from openbulk.formats.encoding_detection import detect_encoding
from openbulk.formats.header import SAMPLE_ROWS, parse_header
from openbulk.formats.header_candidates import NO_HEADER, names_without_header
from openbulk.formats.options import DELIMITER, ENCODING, HEADER_ROW, NULL_VALUE
from openbulk.formats.table import Table
from openbulk.formats.text import text_lines


class Csv:
    """Reads and writes CSV."""

    name = "csv"
    looks_like = "a CSV has field names in its first line and a record in each line below"
    options = (ENCODING, DELIMITER, NULL_VALUE, HEADER_ROW)
    is_binary = False
    names_are_paths = True

    def recognizes(self, head: bytes) -> bool:
        """Any text may be CSV, so recognition tries this format last."""
        return True

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The rows of a file. Raises BadInput if its header or metaData cannot be used."""
        return self.open(file, detect_encoding(file, options), options).rows()

    def read_batches(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row | RowBatch]:
        """The rows of a file in batches, as `ReadsBatches` has them."""
        return self.open(file, detect_encoding(file, options), options).batches()

    def open(self, file: BinaryIO, encoding: str, options: Mapping[str, Any]) -> RowReader:
        """The reader of a file's rows, for a file in that encoding. Raises BadInput, as `read`."""
        lines = LineReader(text_lines(file, encoding), encoding)
        dialect = detect_dialect(lines, options)
        header: Sequence[str]
        if dialect.header_line == NO_HEADER:
            header = names_without_header(dialect.sample_rows(lines.peek(SAMPLE_ROWS)))
            header_line = NO_HEADER
            if not header:
                raise BadInput(f"the file is empty; {self.looks_like}")
        else:
            cells = read_header(lines, dialect)
            header_line = lines.number + 1 - len(lines.record_lines)
            header = parse_header(cells, self.looks_like)
        null_value = _null_value(options.get("nullValue"))
        return RowReader(lines, dialect, header, null_value, header_line)

    def write(
        self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()
    ) -> Iterator[bytes]:
        """A header and a line for each record; a field without a value is an empty cell."""
        table = Table(records, fields)
        return encode_rows(table.columns, map(table.cells, records))


def _null_value(value: Any) -> str:
    """The text of a cell that clears a field: of 0 and false, too; "" for none."""
    if value is None or isinstance(value, str):
        return value or ""
    return orjson.dumps(value).decode()
