"""The keys of `metaData` that file formats read; each declares its own in `Format.options`."""

from openbulk.domain.dates import EXAMPLES
from openbulk.domain.options import Option

ENCODING = Option("encoding", "the encoding of a text, by its name on the web; default: recognized")
DELIMITER = Option("delimiter", "what separates a CSV's cells; default: recognized")
NULL_VALUE = Option("nullValue", "the text of a CSV's cell that clears a field; default: none")
SHEET = Option("sheet", "the sheet of a workbook; default: the first visible one")
DATE_ORDER = Option(
    "dateOrder",
    "how dates like 05/06/2026 are read; default: as other dates of the file show",
    choices=tuple(EXAMPLES),
)
