"""Refuses an upload of which no record can work, before there is a job for it.

What one row can do without is left to that row: it fails alone, and its neighbours are sent.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from openbulk.connectors.base import Connector, Features
from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.connectors.fields import FieldError, did_you_mean
from openbulk.connectors.targets import (
    refusal_of_files,
    refusal_to_upload,
    resolve_target,
)
from openbulk.domain.date_signs import DateColumns
from openbulk.domain.errors import BadInput, NotFound, ServiceError
from openbulk.domain.records import Action, Target, value_at
from openbulk.engine.file_date_order import order_of
from openbulk.engine.mapping_check import map_inspection, require_known_numbers
from openbulk.formats.recognition import Inspection
from openbulk.threads import Threads

CHECK_SECONDS = 3.0
"""Maximum seconds to wait for the description of an object: the caller waits for its answer."""
CHECKED_ROWS = 200
"""Rows that are tried."""
MAX_NAMED = 5
"""Unknown columns that a message names."""
_THREADS = Threads("checks", 2)


async def require_permission(target: Target, connector: Connector) -> None:
    """Raise BadInput if the object of a target takes no files.

    Returns if the service does not say in time.
    """
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            objects = await connector.objects()
    except (ServiceError, TimeoutError):
        return
    refusal = refusal_of_files(resolve_target(target, objects).object, objects)
    if refusal is not None:
        raise BadInput(refusal)


@dataclass(frozen=True, slots=True)
class _Object:
    """The target of an upload, as the service describes it."""

    target: Target
    features: Features
    schema: Mapping[str, Any]


async def require_possible(target: Target, file: Inspection, connector: Connector) -> None:
    """Raise BadInput if no record of a file can work, with what would be right.

    Returns if the service does not say in time what it takes: the job waits for it.
    """
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            described = await _describe_object(target, connector)
    except (ServiceError, NotFound, TimeoutError):
        return
    # A file may have thousands of columns.
    await _THREADS.run(_require_workable, described, file)


def _require_workable(described: _Object, file: Inspection) -> None:
    """Raise BadInput if no record of a file can work."""
    try:
        columns = Columns(
            described.target,
            described.features,
            described.schema,
            names_are_paths=file.format.names_are_paths or described.target.mapping is not None,
        )
    except FieldError as error:
        raise BadInput(error.message) from error
    mapping = described.target.mapping
    mapped = file if mapping is None else map_inspection(file, mapping, columns, described.schema)
    if mapping is not None:
        options = described.target.options
        require_known_numbers(file, mapping, columns, described.schema, options)
    problem = _Check(described, columns, mapped).problem()
    if problem:
        raise BadInput(f"{problem}{file.source}")
    if file.is_whole:
        _require_date_order(file, columns, described)


def _require_date_order(file: Inspection, columns: Columns, described: _Object) -> None:
    """Raise BadInput if the rows of a whole file do not show the order of their dates."""
    shown = DateColumns()
    for row in file.rows:
        shown.add(row)
    fields, target = DateFields(described.schema), described.target
    order_of(shown.signs(), columns, fields, target.options, target.mapping)


async def _describe_object(target: Target, connector: Connector) -> _Object:
    """Raises BadInput for an object or an action that the service does not have."""
    objects = await connector.objects()
    target = resolve_target(target, objects)
    refusal = refusal_to_upload(target, objects)
    if refusal is not None:
        raise BadInput(refusal)
    schema = await connector.metadata(target.object)
    return _Object(target, objects[target.object], schema)


class _Check:
    """The first rows of a file against an object. Each check says what is wrong, or None."""

    def __init__(self, described: _Object, columns: Columns, file: Inspection) -> None:
        self._target = described.target
        self._features = described.features
        self._columns = columns
        self._is_table = file.format.names_are_paths
        self._is_known = self._is_table or file.is_whole
        """Whether the first rows show which names the file has."""
        self._rows = [row.values for row in file.rows if row.values is not None]
        self._names = list(dict.fromkeys(chain.from_iterable(self._rows)))
        # There are more rows, which may have what the first ones leave empty.
        self._header = () if file.is_whole else file.header
        self._records: list[Mapping[str, Any]] = []
        """The rows that can be sent, by the names of fields."""

    def problem(self) -> str | None:
        """Why no row can be sent. Not if all are broken: each has its own problem."""
        if not self._rows:
            return None
        checks = (
            self._describe_header,
            self._describe_objects_as_text,
            self._describe_unknown_identifier,
            self._describe_unsendable_rows,
            self._describe_absent_identifier,
            self._describe_absent_identity,
            self._describe_absent_field,
        )
        return next(filter(None, (check() for check in checks)), None)

    def _describe_header(self) -> str | None:
        """Two columns of a table mean one field. A JSON record has names of its own."""
        return self._columns.problem_of(self._names) if self._is_table else None

    def _describe_objects_as_text(self) -> str | None:
        """Columns of a table mean a whole object, such as `start`, and have plain texts in it."""
        if not self._is_table:
            return None
        problems = []
        for name in self._names:
            inner = self._columns.inner_columns_of(name)
            cells = [values[name] for values in self._rows if values.get(name)]
            if inner and cells and not any(str(cell).lstrip().startswith("{") for cell in cells):
                problems.append(f"the column {name!r} has to be named {' or '.join(inner)}")
        return "; ".join(problems)

    def _describe_unsendable_rows(self) -> str | None:
        """None of the rows can be sent."""
        problem = ""
        for values in self._rows:
            try:
                self._records.append(self._columns.fields_of(values))
            except FieldError as error:
                problem = problem or error.message
        if self._records:
            return None
        unknown = self._columns.describe_unknown(self._names)
        more = f"; and {len(unknown) - MAX_NAMED} more" * (len(unknown) > MAX_NAMED)
        return "; ".join(unknown[:MAX_NAMED]) + more or problem

    def _describe_unknown_identifier(self) -> str | None:
        """The identifier is neither a field nor a column. Sent so, records would exist twice."""
        return None if self._columns.identifier_is_field else self._describe_no_identifier()

    def _describe_absent_identifier(self) -> str | None:
        """No row has the identifier, so each would be refused."""
        return None if self._target.action is Action.CREATE else self._describe_no_identifier()

    def _describe_no_identifier(self) -> str | None:
        field, name = self._columns.identifier, self._target.identifier_field
        if field is None or not self._is_known or self._has(field):
            return None
        hint = did_you_mean(
            str(name), self._names, f"the file's columns are: {', '.join(self._names)}"
        )
        return f"metaData.identifierFieldName is {name!r}, and no row has a value there; {hint}"

    def _describe_absent_identity(self) -> str | None:
        """No row has what identifies a record where the caller names no identifier."""
        fields = self._features.identity.get(self._target.action)
        if fields is None or self._target.identifier_field or not self._is_known:
            return None
        columns = ", ".join(self._names)
        if not fields:
            return (
                f"{self._target.object!r} has no primary key; metaData.identifierFieldName has to "
                f"name the column that identifies a record; the file's columns are: {columns}"
            )
        missing = next((one for one in fields if not self._has(one)), None)
        if missing is None:
            return None
        return (
            f"{self._name(missing)} is missing: it identifies a record, and no row that can be "
            f"read has it (they have {columns}); metaData.identifierFieldName can name another "
            "column"
        )

    def _describe_absent_field(self) -> str | None:
        """A table has no column for a field that each new record needs."""
        is_new = self._target.action is Action.CREATE and not self._target.identifier_field
        if not is_new or not self._is_table:
            return None
        for fields in self._features.needs:
            if not any(map(self._has, fields)):
                columns = ", ".join(self._names)
                return (
                    f"{self._name(fields[0])} is missing: no row that can be read has it (they "
                    f"have {columns})"
                )
        return None

    def _name(self, field: str) -> str:
        """A field as the caller knows it."""
        names = self._target.transformation
        return field if names is None else names.name_of(field)

    def _has(self, field: str) -> bool:
        """Whether a row has a value in a field, or rows further down may have one."""
        names = [
            name for name in (*self._names, *self._header) if self._columns.is_within(name, field)
        ]
        rows = chain(self._records, self._rows)
        return bool(names) or any(value_at(values, field) not in (None, "") for values in rows)
