"""The order of day, month and year in the dates of a job's file: one for the whole file.

The cells that show it are collected while the file is cut into parts, and kept beside the parts:
every slice of the job, and every restart, decides by the same cells.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.domain.date_order import HALF_DAY, DateSigns, decide_order
from openbulk.domain.dates import DateOrder
from openbulk.storage.files import FileStore


@dataclass(frozen=True, slots=True)
class DateReader:
    """Brings the dates of a job's records to ISO 8601."""

    fields: DateFields
    order: DateOrder

    @classmethod
    def of(
        cls,
        signs: Mapping[str, DateSigns],
        columns: Columns,
        fields: DateFields,
        options: Mapping[str, Any],
    ) -> "DateReader":
        """The reader for an object with these fields.

        `signs` are those of a file. Raises BadInput if they do not show the order of its dates.
        """
        paths = {column: columns.path_of(column) for column in signs}
        dates = [signs[column] for column, path in paths.items() if path and fields.has_date(path)]
        times = [one.seen[HALF_DAY] for one in signs.values() if HALF_DAY in one.seen]
        half_days = [DateSigns({HALF_DAY: sighting}) for sighting in times]
        return cls(fields, decide_order([*dates, *half_days], options))

    def read(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values of a record, by the names of fields, in ISO 8601. Raises FieldError."""
        return self.fields.with_iso_dates(values, self.order)


async def keep_signs(files: FileStore, file: str, columns: Mapping[str, DateSigns]) -> None:
    """Keep what the columns of a job's file show. Keeping it again changes nothing."""
    if columns:
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
