"""The formats of files: bytes to records, and back. `recognition` finds the format of a file."""

from collections.abc import Mapping

from openbulk.formats.base import Format
from openbulk.formats.csv import Csv
from openbulk.formats.googlecsv import GoogleCsv
from openbulk.formats.ics import Ics
from openbulk.formats.json import Json
from openbulk.formats.jsonl import Jsonl
from openbulk.formats.xlsx import GoogleXlsx, Xlsx

FORMATS: Mapping[str, Format] = {
    one.name: one for one in (Xlsx(), GoogleXlsx(), Ics(), Json(), Jsonl(), GoogleCsv(), Csv())
}
"""By name, in the order in which recognition tries them."""

MEDIA_TYPES: Mapping[str, str] = {
    "csv": "text/csv",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "googlexlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ics": "text/calendar",
    "googlecsv": "text/csv",
}
"""By the names of the formats."""
