"""The fields of a record, from the cells of a row or the keys of a JSON record.

Uploads, single calls and transfers make them in the same way.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.connectors.empty_texts import EmptyTexts
from openbulk.connectors.number_fields import NumberFields
from openbulk.domain.date_order import DateSigns
from openbulk.domain.field_paths import path_text
from openbulk.domain.file_mapping import FileMapping, is_read
from openbulk.domain.records import RowBatch, values_of_cells
from openbulk.engine.file_date_order import order_of
from openbulk.engine.mapped_rows import MappedRows
from openbulk.engine.renamed_messages import Step, naming_columns, renaming_errors
from openbulk.engine.whole_days import WholeDays, mapped_rows

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
        mapping: FileMapping | None = None,
    ) -> None:
        """`schema` is the object's, `dates` are its fields of dates, `signs` are those of the file.

        A table has empty texts where other formats have no value. The fields of `mapping` are those
        of `mapping_to_fields`. Raises BadInput if the file does not show the order of its dates.
        """
        self._columns = columns
        self._dates = dates
        self._empty_texts = EmptyTexts(columns, schema) if is_table else None
        self._name_fields: Step = columns.fields_of
        self._read_dates: Step | None = None
        """None if the object has no dates: a row passes through each step."""
        if dates:
            order = order_of(signs, columns, dates, options, mapping)
            read: Step = partial(dates.with_iso_dates, order=order)
            names = columns.transformation
            self._read_dates = read if names is None else renaming_errors(read, names)
        self._read_numbers = _number_step(columns, schema, options, mapping)
        self._mapping = mapping
        self._mapped: MappedRows | None = None
        self._whole_days: WholeDays | None = None
        if mapping is not None:
            self._mapped = mapped_rows(mapping, columns, dates, is_table=is_table)
            self._whole_days = WholeDays(mapping, columns, dates, is_table=is_table)
            self._name_fields = naming_columns(self._name_fields, mapping)
            self._read_dates = self._read_dates and naming_columns(self._read_dates, mapping)
            self._read_numbers = self._read_numbers and naming_columns(self._read_numbers, mapping)

    @property
    def columns_left_out(self) -> Collection[str]:
        """Columns that were left out of records so far.

        The service fills them itself, or the mapping does not take them.
        """
        if self._mapping is None or self._mapped is None:
            return self._columns.left_out
        behind = self._mapping.columns_behind
        of_service = chain.from_iterable(behind(one) or [one] for one in self._columns.left_out)
        return [*of_service, *self._mapped.not_taken]

    def of(self, values: Values) -> Values:
        """The fields of a record. Raises FieldError."""
        if self._whole_days:
            return self._whole_days.of(values, self._read(values))
        return self._read(values)

    def _read(self, values: Values) -> Values:
        if self._mapped is not None:
            values = self._mapped.of(values)
        if self._empty_texts is not None and "" in values.values():
            values = self._empty_texts.leave_out(values)
        values = self._name_fields(values)
        if self._read_numbers is not None:
            values = self._read_numbers(values)
        return values if self._read_dates is None else self._read_dates(values)

    def of_batch(self, batch: RowBatch) -> Sequence[Values]:
        """The fields of the rows of a table. Raises FieldError if there are none of one row."""
        is_changed = self._mapped or self._read_numbers
        names = None if is_changed else self._columns.flat_names(tuple(batch.columns))
        if names is None:
            return [self.of(values) for values in values_of_cells(batch.columns, batch.cells)]
        fields = values_of_cells(names, batch.cells)
        if self._read_dates is None or self._dates.are_iso(names, batch.cells):
            return fields
        return [self._read_dates(values) for values in fields]


def _number_step(
    columns: Columns,
    schema: Mapping[str, Any],
    options: Mapping[str, Any],
    mapping: FileMapping | None,
) -> Step | None:
    """What reads numbers with the decimal sign in `metaData.decimal`; None without one.

    A field whose mapping says how its number is written is read already.
    """
    sign = options.get("decimal")
    numbers = NumberFields(schema) if sign else None
    if not numbers:
        return None
    sources = {} if mapping is None else mapping.sources
    read = {columns.path_of(field) for field, one in sources.items() if is_read(one)}
    but = frozenset(path for path in read if path is not None)
    step: Step = partial(numbers.with_plain_numbers, sign=str(sign), but=but)
    names = columns.transformation
    return step if names is None else renaming_errors(step, names)


def mapping_to_fields(mapping: FileMapping | None, columns: Columns) -> FileMapping | None:
    """A mapping with the exact names of its fields; a name that is none stays as it is."""
    if mapping is None:
        return None

    def exact(name: str) -> str:
        path = columns.own_path_of(name)
        return name if path is None else path_text(path)

    return mapping.with_fields(exact)
