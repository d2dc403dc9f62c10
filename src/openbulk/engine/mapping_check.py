"""Checks a mapping against the beginning of its file, and against the object that it is for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from openbulk.connectors.columns import Columns
from openbulk.connectors.date_fields import DateFields
from openbulk.connectors.field_names import Schema
from openbulk.connectors.fields import FieldError, did_you_mean
from openbulk.connectors.number_fields import NumberFields
from openbulk.domain.errors import BadInput
from openbulk.domain.field_paths import Path, path_text
from openbulk.domain.file_mapping import FileMapping, is_read
from openbulk.domain.file_questions import Choice, Example, OpenQuestion, Question
from openbulk.domain.records import Problem, Row, flatten
from openbulk.domain.spelling import fold_name
from openbulk.domain.value_types import Look, look_of
from openbulk.domain.written_numbers import OPEN_NUMBER, POINT, SIGNS, WORDS, readings_of
from openbulk.engine.mapped_rows import MappedRows, cell_reader
from openbulk.engine.whole_days import mapped_rows, require_days
from openbulk.formats.recognition import Inspection

PLACE = "metaData.mapping"
MAX_SHOWN = 20
"""Columns that a message lists."""


# --- the columns of the file ---


def columns_of_file(file: Inspection) -> Sequence[str]:
    """The columns that a file has, as far as its beginning shows; those of JSON are paths."""
    names = dict.fromkeys(file.header)
    for row in file.rows:
        values = row.values or {}
        names |= dict.fromkeys(values if file.format.names_are_paths else _paths(values))
    return list(names)


def _paths(values: Mapping[str, Any]) -> Iterator[str]:
    yield from flatten(values)
    yield from values


def mapping_for_file(mapping: FileMapping, file: Inspection) -> FileMapping:
    """The mapping with its columns in the spelling of the file.

    Raises BadInput for a column that the file does not have. Rows of JSON further down may have
    names of their own.
    """
    known = columns_of_file(file)
    if not known:  # none of its rows can be read
        return mapping
    may_have_others = not file.format.names_are_paths and not file.is_whole
    names = {
        one: one if _is_there(one, known, file) else _spelt(one, known, may_have_others)
        for one in mapping.columns
    }
    return mapping.with_columns(names)


def _is_there(name: str, known: Sequence[str], file: Inspection) -> bool:
    """Whether a column is one of the file; the items of lists are no columns, and can be read."""
    if name in known or file.format.names_are_paths:
        return name in known
    read = cell_reader(name, is_table=False)
    return any(read(row.values or {}) is not None for row in file.rows)


def _spelt(name: str, known: Sequence[str], may_have_others: bool) -> str:
    """The name of a column as the file spells it. Raises BadInput."""
    folded = fold_name(name)
    alike = [one for one in known if fold_name(one) == folded]
    if len(alike) == 1:
        return alike[0]
    if alike:
        could = " or ".join(map(repr, alike))
        raise BadInput(f"{PLACE}: {name!r} can mean the column {could}; write its name exactly")
    if may_have_others:
        return name
    more = f" and {len(known) - MAX_SHOWN} more" * (len(known) > MAX_SHOWN)
    listed = f"its columns are: {', '.join(known[:MAX_SHOWN])}{more}"
    hint = did_you_mean(name, known, listed)
    raise BadInput(f"{PLACE} names the column {name[:80]!r}, which the file does not have; {hint}")


# --- the fields of the object ---


def require_known_numbers(
    file: Inspection,
    mapping: FileMapping,
    columns: Columns,
    schema: Schema,
    options: Mapping[str, Any],
) -> None:
    """Raise OpenQuestion if a field of numbers is made of texts like 1.234, which are two numbers.

    Not if another row shows that the column has a decimal point, as programs write it. `schema` is
    the object's.
    """
    if options.get("decimal") not in (None, ""):
        return
    numbers = NumberFields(schema)
    for field, source in mapping.sources.items():
        path = columns.path_of(field) if numbers else None
        is_number = path is not None and numbers.has_number(path)
        if not is_number or is_read(source) or len(source.columns) != 1:
            continue
        read = cell_reader(source.columns[0], is_table=file.format.names_are_paths)
        cells = [(row.number, read(row.values)) for row in file.rows if row.values is not None]
        example = _open_number(cells)
        if example is not None:
            raise _number_question(field, source.columns[0], *example)


def _open_number(cells: Sequence[tuple[int, Any]]) -> tuple[int, str] | None:
    """The first row with a number like 1.234; None if another text has a decimal point."""
    texts = [(row, cell.strip()) for row, cell in cells if isinstance(cell, str)]
    if any(look_of(text) == _WITH_POINT for _, text in texts):
        return None
    return next(((row, text) for row, text in texts if OPEN_NUMBER.fullmatch(text)), None)


_WITH_POINT = Look("number", POINT)


def _number_question(field: str, column: str, row: int, text: str) -> OpenQuestion:
    readings = readings_of(text)
    listed = " or ".join(f"{readings[sign]} (decimal {WORDS[sign]})" for sign in SIGNS)
    return OpenQuestion(
        Question(
            f"mapping.{field}.decimal",
            f'row {row}: {column} "{text}" is {listed}, and no row shows which; set '
            f"{PLACE}.{field[:80]}.decimal, or metaData.decimal for all numbers of the file, to "
            f"{' or '.join(map(repr, SIGNS))}",
            tuple(Choice(sign, readings[sign]) for sign in SIGNS),
            Example(row, column, text),
        )
    )


def require_fields(
    mapping: FileMapping, columns: Columns, schema: Schema, place: str = PLACE
) -> None:
    """Raise BadInput for a field that the object does not have, and for one that is there twice.

    `schema` is the object's.
    """
    dates = DateFields(schema)
    fields = list(mapping.sources)
    unknown = columns.describe_unknown(fields)
    if unknown:
        raise BadInput(f"{place}: {'; '.join(unknown[:MAX_SHOWN])}")
    paths: dict[Path, str] = {}
    for field in fields:
        path = columns.own_path_of(field)
        assert path is not None
        first = paths.setdefault(path, field)
        if first != field:
            raise BadInput(
                f"{place} has {first!r} and {field!r}, which are one field; keep one of them"
            )
    for path, field in paths.items():
        around = next((path[:end] for end in range(1, len(path)) if path[:end] in paths), None)
        if around is not None and not _is_beside_time(path, around, columns, dates):
            raise BadInput(
                f"{place} has {field!r}, which is inside {paths[around]!r}; keep one of the two"
            )
    require_days(mapping, columns, dates, place)
    problem = columns.problem_of(fields)
    if problem:
        raise BadInput(f"{place}: {problem}")


def _is_beside_time(path: Path, around: Path, columns: Columns, dates: DateFields) -> bool:
    """Whether a field is inside a day or time, and neither of the two: its zone."""
    sent = columns.path_of(path_text(around))
    pair = None if sent is None else dates.pair_at(sent)
    return pair is not None and len(path) == len(around) + 1 and path[-1] not in pair


def map_inspection(
    file: Inspection, mapping: FileMapping, columns: Columns, schema: Schema
) -> Inspection:
    """The beginning of a file with the names of fields. Raises BadInput if no row can be mapped.

    `schema` is that of the object.
    """
    require_fields(mapping, columns, schema)
    mapped = mapped_rows(mapping, columns, DateFields(schema), is_table=file.format.names_are_paths)
    rows = [_mapped_row(row, mapped) for row in file.rows]
    readable = [new for new, row in zip(rows, file.rows, strict=True) if row.values is not None]
    problems = [row.problem for row in readable if row.problem is not None]
    if problems and len(problems) == len(readable):
        raise BadInput(problems[0].message)
    return replace(file, rows=rows, header=list(mapping.sources))


def _mapped_row(row: Row, mapped: MappedRows) -> Row:
    if row.values is None:
        return row
    try:
        return row._replace(values=mapped.of(row.values))
    except FieldError as error:
        return row._replace(values=None, problem=Problem(error.message, error.field))
