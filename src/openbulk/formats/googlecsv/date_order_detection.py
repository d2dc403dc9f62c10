"""The order of day, month and year in a file's dates."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openbulk.domain.date_order import DateSigns, decide_order, stated_order
from openbulk.domain.dates import MONTH_FIRST, DateOrder
from openbulk.domain.records import Row
from openbulk.formats.googlecsv.columns import (
    API_COLUMNS,
    END_DATE,
    END_TIME,
    GOOGLE_COLUMNS,
    START_DATE,
    START_TIME,
    cells_of,
)

_OWN_HEADER = [*GOOGLE_COLUMNS, *API_COLUMNS]
_DATE_AND_TIME_COLUMNS = (START_DATE, END_DATE, START_TIME, END_TIME)


def detect_date_order(
    rows: Iterable[Row], options: Mapping[str, Any], header: Sequence[str] = ()
) -> DateOrder:
    """The order in `metaData.dateOrder`, else the one that the rows show.

    A file with the header that openbulk writes has the month first, as openbulk writes it. Reads
    all rows unless one of these decides. Raises DateOrderUnknown if they do not show it, and
    BadInput for an order that is not known.
    """
    stated = stated_order(options)
    if stated is not None:
        return stated
    if list(header) == _OWN_HEADER:
        return DateOrder(MONTH_FIRST)
    signs = DateSigns()
    for row in rows:
        cells = cells_of(row.values or {})
        for column in _DATE_AND_TIME_COLUMNS:
            if cells.get(column):
                signs.add(column.title(), cells[column], row.number)
    return decide_order([signs], options)
