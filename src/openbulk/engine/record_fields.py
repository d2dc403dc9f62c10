"""The fields of a record, from the cells of a row or the keys of a JSON record.

Uploads, single calls and transfers make them in the same way.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.connectors.empty_texts import EmptyTexts
from openbulk.domain.date_order import DateSigns
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
        self._empty_texts = EmptyTexts(columns, schema) if is_table else None
        # Only the steps that change anything: a row passes through each.
        self._steps: list[Callable[[Values], Values]] = [columns.fields_of]
        if dates:
            order = order_of(signs, columns, dates, options)
            read: Callable[[Values], Values] = partial(dates.with_iso_dates, order=order)
            names = columns.transformation
            self._steps.append(read if names is None else renaming_errors(read, names))

        self.left_out = columns.left_out
        """Columns that were left out of records so far: the service fills them itself."""

    def of(self, values: Values) -> Values:
        """The fields of a record. Raises FieldError."""
        if self._empty_texts is not None and "" in values.values():
            values = self._empty_texts.leave_out(values)
        for step in self._steps:
            values = step(values)
        return values
