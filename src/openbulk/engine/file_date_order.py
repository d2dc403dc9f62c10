"""The order of day, month and year in the dates of a job's file: one for the whole file.

The cells that show it are collected while the file is cut into parts, and kept beside the parts:
every slice of the job, and every restart, decides by the same cells.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.domain.date_order import HALF_DAY, NOTHING_SHOWN, DateSigns, decide_order
from openbulk.domain.dates import DateOrder
from openbulk.domain.file_mapping import FileMapping
from openbulk.storage.files import FileStore


def order_of(
    signs: Mapping[str, DateSigns],
    columns: Columns,
    fields: DateFields,
    options: Mapping[str, Any],
    mapping: FileMapping | None = None,
) -> DateOrder:
    """The order of the dates in a job's records.

    `signs` are those of its file, `fields` the object's fields of dates. Dates whose mapping has a
    format show nothing: they are read by it. Raises BadInput if the file does not show the order.
    """
    if not signs and options.get("dateOrder") in (None, ""):
        return NOTHING_SHOWN
    dates = [
        signs[column]
        for column in signs
        if _has_date(mapping.fields_of(column) if mapping else [column], columns, fields)
    ]
    times = [one.seen[HALF_DAY] for one in signs.values() if HALF_DAY in one.seen]
    half_days = [DateSigns({HALF_DAY: sighting}) for sighting in times]
    return decide_order([*dates, *half_days], options)


def _has_date(names: Sequence[str], columns: Columns, fields: DateFields) -> bool:
    paths = filter(None, map(columns.path_of, names))
    return any(fields.has_date(path) or fields.pair_at(path) for path in paths)


async def keep_signs(files: FileStore, file: str, columns: Mapping[str, DateSigns]) -> None:
    """Keep what the columns of a job's file show. Keeping it again changes nothing."""
    packed = orjson.dumps({path: signs.to_json() for path, signs in columns.items()})
    await files.put(_path(file), packed)


async def signs_of(files: FileStore, file: str) -> Mapping[str, DateSigns]:
    """What `keep_signs` has kept; nothing if the file shows nothing."""
    try:
        packed = await files.get(_path(file))
    except FileNotFoundError:
        return {}
    return {path: DateSigns.from_json(signs) for path, signs in orjson.loads(packed).items()}


def _path(file: str) -> str:
    return f"{file}/dates"
