"""The fields of a record, from the cells of a row or the keys of a JSON record.

Uploads, single calls and transfers make them in the same way.
"""

from collections.abc import Callable, Mapping
from typing import Any

from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.connectors.empty_texts import EmptyTexts
from openbulk.domain.date_order import DateSigns
from openbulk.engine.file_date_order import DateReader
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
        # Only the steps that change anything: a row passes through each.
        self._steps: list[Callable[[Values], Values]] = [columns.fields_of]
        if is_table:
            self._steps.insert(0, EmptyTexts(columns, schema).leave_out)
        if dates:
            read = DateReader.of(signs, columns, dates, options).read
            self._steps.append(renaming_errors(read, columns.transformation))

        self.left_out = columns.left_out
        """Columns that were left out of records so far: the service fills them itself."""

    def of(self, values: Values) -> Values:
        """The fields of a record. Raises FieldError."""
        for step in self._steps:
            values = step(values)
        return values
