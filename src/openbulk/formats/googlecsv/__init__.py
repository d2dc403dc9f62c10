"""The CSV of Google Calendar's own import, and Outlook's export, which begins alike.

The columns are documented at https://support.google.com/calendar/answer/37118; they come in any
order and case. Rows are read into the fields of the Calendar API. Of other columns, only
those with an event's id, calendar or time zone are read (`columns.API_COLUMNS`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from openbulk.domain.records import Row
from openbulk.formats.csv import Csv
from openbulk.formats.csv.writing import encode_rows
from openbulk.formats.encoding_detection import detect_encoding
from openbulk.formats.googlecsv.columns import (
    API_COLUMNS,
    GOOGLE_COLUMNS,
    find_unread_columns,
    names_googles_columns,
    require_usable_header,
)
from openbulk.formats.googlecsv.date_order_detection import detect_date_order
from openbulk.formats.googlecsv.reading import read_event
from openbulk.formats.googlecsv.writing import ShownEvents, event_cells
from openbulk.formats.options import DATE_ORDER, DELIMITER, ENCODING, HEADER_ROW, NULL_VALUE
from openbulk.formats.write_checks import EVENT_LOOKS_LIKE, require_writable


class GoogleCsv:
    """Reads and writes Google Calendar's CSV."""

    name = "googlecsv"
    looks_like = (
        "Google Calendar's CSV has the columns Subject and Start Date, and dates like 05/30/2026"
    )
    options = (ENCODING, DELIMITER, NULL_VALUE, HEADER_ROW, DATE_ORDER)
    is_binary = False
    names_are_paths = False

    def recognizes(self, head: bytes) -> bool:
        """Its header names an event's subject and start."""
        return names_googles_columns(head)

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The events; a row with a wrong date is broken.

        Reads the file twice: its dates show their order. Raises BadInput if its header or
        metaData cannot be used.
        """
        encoding = detect_encoding(file, options)
        table = Csv().open(file, encoding, options)
        require_usable_header(table.header)
        order = detect_date_order(table.rows(), options, table.header)
        file.seek(0)
        unread = find_unread_columns(table.header)
        rows = Csv().open(file, encoding, options).rows()
        return (read_event(row, order, unread) for row in rows)

    def write(
        self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()
    ) -> Iterator[bytes]:
        """Google's columns, and `id` and zones beside them, in local time.

        Google's columns have no place for guests, or for the rule of a series. Cancelled events are
        left out. Raises BadInput before the first piece if a record is not an event.
        """
        events = ShownEvents(records)
        require_writable(events, event_cells, EVENT_LOOKS_LIKE)
        rows = ([cell or None for cell in event_cells(event)] for event in events)
        return encode_rows([*GOOGLE_COLUMNS, *API_COLUMNS], rows)
