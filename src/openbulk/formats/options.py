"""The keys of `metaData` that file formats read; each declares its own in `Format.options`."""

from openbulk.domain.dates import EXAMPLES
from openbulk.domain.options import Option

ENCODING = Option("encoding", "the encoding of a text, by its name on the web; default: recognized")
DELIMITER = Option("delimiter", "what separates a CSV's cells; default: recognized")
SHEET = Option("sheet", "the sheet of a workbook; default: the first")
DATE_ORDER = Option("dateOrder", "how dates like 05/30/2026 are read", choices=tuple(EXAMPLES))
