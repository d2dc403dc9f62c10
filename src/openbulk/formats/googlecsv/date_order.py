"""The order of day, month and year in a file's dates."""

from collections.abc import Iterable, Mapping
from typing import Any

from openbulk.domain.dates import EXAMPLES, parse_date
from openbulk.domain.errors import BadInput
from openbulk.domain.records import Row
from openbulk.formats.googlecsv.columns import END_DATE, START_DATE, cells_of

# Google's import expects the month first (https://support.google.com/calendar/answer/37118), so
# that order wins if a file's dates fit several.
_ORDERS = ("MDY", "DMY", "YMD")


def detect_date_order(rows: Iterable[Row], options: Mapping[str, Any]) -> str:
    """The order in `metaData.dateOrder`, else the one that most dates of the rows fit.

    Reads all rows if metaData has no order. Raises BadInput.
    """
    if wanted := options.get("dateOrder"):
        return _parse_order(str(wanted))
    misfits = dict.fromkeys(_ORDERS, 0)
    for row in rows:
        cells = cells_of(row.values or {})
        for text in filter(None, map(cells.get, (START_DATE, END_DATE))):
            for order in _ORDERS:
                misfits[order] += not _fits(text, order)
    return min(_ORDERS, key=misfits.__getitem__)


def _parse_order(wanted: str) -> str:
    order = wanted.upper()
    if order not in EXAMPLES:
        raise BadInput(
            f"metaData.dateOrder {wanted!r} is not known; it can be {', '.join(EXAMPLES)}"
        )
    return order


def _fits(text: str, order: str) -> bool:
    try:
        parse_date(text, order)
    except ValueError:
        return False
    return True
