"""The fields of a record, from the cells of a row or the keys of a JSON record.

Uploads, single calls and transfers make them in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.connectors.empty_texts import EmptyTexts
from openbulk.domain.date_order import DateSigns
from openbulk.domain.records import RowBatch, values_of_cells
from openbulk.engine.file_date_order import order_of
from openbulk.engine.renamed_messages import renaming_errors

Values = Mapping[str, Any]


class RecordFields:
    """Makes the fields of the records of one job: by the object's names, with dates in ISO 8601."""

    def __init__(
        self,
        columns: Columns,
        schema: Mapping[str, Any],
        dates: DateFields,
        signs: Mapping[str, DateSigns],
        options: Mapping[str, Any],
        *,
        is_table: bool = False,
    ) -> None:
        """`schema` is the object's, `dates` are its fields of dates, `signs` are those of the file.

        A table has empty texts where other formats have no value. Raises BadInput if the file does
        not show the order of its dates.
        """
        self._columns = columns
        self._dates = dates
        self._empty_texts = EmptyTexts(columns, schema) if is_table else None
        self._read_dates: Callable[[Values], Values] | None = None
        """None if the object has no dates: a row passes through each step."""
        if dates:
            order = order_of(signs, columns, dates, options)
            read: Callable[[Values], Values] = partial(dates.with_iso_dates, order=order)
            names = columns.transformation
            self._read_dates = read if names is None else renaming_errors(read, names)

        self.left_out = columns.left_out
        """Columns that were left out of records so far: the service fills them itself."""

    def of(self, values: Values) -> Values:
        """The fields of a record. Raises FieldError."""
        if self._empty_texts is not None and "" in values.values():
            values = self._empty_texts.leave_out(values)
        values = self._columns.fields_of(values)
        return values if self._read_dates is None else self._read_dates(values)

    def of_batch(self, batch: RowBatch) -> Sequence[Values]:
        """The fields of the rows of a table. Raises FieldError if there are none of one row."""
        names = self._columns.flat_names(tuple(batch.columns))
        if names is None:
            return [self.of(values) for values in values_of_cells(batch.columns, batch.cells)]
        fields = values_of_cells(names, batch.cells)
        if self._read_dates is None or self._dates.are_iso(names, batch.cells):
            return fields
        return [self._read_dates(values) for values in fields]
