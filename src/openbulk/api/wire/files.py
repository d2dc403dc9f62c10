"""Files that were sent to be looked at: what is in them, and what they leave open."""

from typing import Annotated, Any, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, EXAMPLE_TIME, EpochMs, doc, epoch_ms, without_none
from openbulk.domain.file_profile import ColumnProfile, ValueType
from openbulk.domain.file_questions import Question
from openbulk.domain.records import Row
from openbulk.domain.uploaded_file import UploadedFile
from openbulk.engine.file_profiles import Profile

# --- shapes ---


@with_config(EXACT)
class Sheet(TypedDict):
    """A sheet of a workbook."""

    name: Annotated[str, doc("Name of the sheet.", "Termine")]
    visibility: Annotated[str, doc("visible, hidden or veryHidden.", "visible")]


@with_config(EXACT)
class ColumnType(TypedDict):
    """What values of a column look like."""

    type: Annotated[
        ValueType,
        doc("date, time, datetime, number, email, phone, url, yesNo, list, or text.", "date"),
    ]
    share: Annotated[float, doc("Share of the column's values that look so.", 1.0)]
    detail: NotRequired[
        Annotated[
            str,
            doc("Of dates, their order: DMY, MDY or YMD. Of numbers, the decimal sign.", "DMY"),
        ]
    ]


@with_config(EXACT)
class FileColumn(TypedDict):
    """A column of a file, or a field of its records."""

    name: Annotated[str, doc("Name of the column, as a job would call it.", "Datum")]
    filled: Annotated[float, doc("Share of the readable rows that have a value.", 1.0)]
    distinct: Annotated[
        int, doc("Number of different values: exact up to 1,024, about 4 % off beyond.", 2)
    ]
    samples: Annotated[
        list[str], doc("Up to three values, cut to 100 characters.", ["07.09.2026", "08.09.2026"])
    ]
    types: Annotated[
        list[ColumnType],
        doc(
            "What the values look like, the most frequent first.",
            [{"type": "date", "share": 1.0, "detail": "DMY"}],
        ),
    ]


@with_config(EXACT)
class FileQuestion(TypedDict):
    """What a file leaves open."""

    key: Annotated[str, doc("Key of `metaData` that answers the question.", "dateOrder")]
    message: Annotated[
        str,
        doc(
            "What is open, and what would be right.",
            'row 1: Datum "05/06/2026" is 2026-06-05 (day first) or 2026-05-06 (month first)',
        ),
    ]
    choices: Annotated[
        list[dict[str, str]],
        doc(
            "Possible answers, each with how the example is read with it. Empty if any is "
            "possible.",
            [{"value": "DMY", "shown": "2026-06-05 (day first)"}],
        ),
    ]
    example: NotRequired[
        Annotated[
            dict[str, Any],
            doc(
                "A place in the file: its text and, as far as it has them, row and column.",
                {"row": 1, "column": "Datum", "text": "05/06/2026"},
            ),
        ]
    ]
    required: Annotated[
        bool, doc("Whether a job that depends on it is refused without an answer.", True)
    ]


class FileItem(TypedDict):
    """A file, without what is in it."""

    id: Annotated[str, doc("Id of the file, for `metaData.fileId`.", "1")]
    name: Annotated[str, doc("Name of the file.", "termine.csv")]
    size: Annotated[int, doc("Size of the file, in bytes.", 48)]
    digest: Annotated[
        str,
        doc(
            "SHA-256 of the file, in hexadecimal.",
            "6c0b6e1a2b5b3a9d5a3a0f5a2d3c1b4e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c",
        ),
    ]
    format: Annotated[str, doc("Format of the file; empty if it is not known yet.", "csv")]
    metaData: Annotated[dict[str, Any], doc("How you said it is read.", {})]
    createdDate: Annotated[EpochMs, doc("When it arrived.", EXAMPLE_TIME)]
    complete: Annotated[bool, doc("Whether the whole file was read, as far as it can be.", True)]
    rows: NotRequired[Annotated[int, doc("Rows that were read so far.", 2)]]
    error: NotRequired[Annotated[str, doc("Why the file cannot be read to its end.")]]


@with_config(EXACT)
class FileDetails(FileItem):
    """A file, and what is in it as far as it was read."""

    encoding: NotRequired[Annotated[str, doc("Encoding of a text.", "utf-8")]]
    delimiter: NotRequired[Annotated[str, doc("What separates the cells of a CSV.", ";")]]
    headerRow: NotRequired[Annotated[int, doc("Row of a table with the names of its columns.", 1)]]
    sheet: NotRequired[Annotated[str, doc("Sheet of a workbook that is read.")]]
    sheets: Annotated[list[Sheet], doc("Sheets of a workbook, 100 at most.", [])]
    notes: Annotated[list[str], doc("What is left out of the file.", [])]
    brokenRows: Annotated[int, doc("Rows among them that cannot be read.", 0)]
    columns: Annotated[list[FileColumn], doc("Columns of the file, 1,000 at most.")]
    moreColumns: Annotated[
        bool, doc("Whether the file has more columns than are described.", False)
    ]
    questions: Annotated[
        list[FileQuestion],
        doc("What the file leaves open. Those that its rest may answer are not asked yet.", []),
    ]


@with_config(EXACT)
class FileRow(TypedDict):
    """A row of a file, as a job would read it."""

    row: Annotated[int, doc("Number of the row, counted from 1.", 1)]
    line: NotRequired[
        Annotated[int, doc("Line of the file on which it starts. The header is line 1.", 2)]
    ]
    values: NotRequired[
        Annotated[dict[str, Any], doc("Its values, by column.", {"Datum": "07.09.2026"})]
    ]
    problem: NotRequired[Annotated[str, doc("Why it cannot be read, and what would be right.")]]
    field: NotRequired[Annotated[str, doc("Column with the wrong value.")]]


# --- files as shapes ---


def present_file_item(file: UploadedFile) -> dict[str, Any]:
    """A file in a list."""
    return without_none(
        {
            "id": str(file.id),
            "name": file.name,
            "size": file.size,
            "digest": file.digest,
            "format": file.file_format,
            "metaData": dict(file.options),
            "createdDate": epoch_ms(file.created_at),
            "complete": file.is_read,
            "rows": file.records,
            "error": file.problem,
        }
    )


def present_file(file: UploadedFile, profile: Profile) -> dict[str, Any]:
    """A file, with its profile."""
    values = profile.values
    sheets = [{"name": name, "visibility": state} for name, state in values["sheets"]]
    return without_none(
        {
            **present_file_item(file),
            "format": values["format"],
            "rows": values["rows"],
            "encoding": values["encoding"],
            "delimiter": values["delimiter"],
            "headerRow": values["header_row"],
            "sheet": values["sheet"],
            "sheets": sheets,
            "notes": values["notes"],
            "brokenRows": values["broken"],
            "columns": [_present_column(column) for column in profile.columns],
            "moreColumns": values["has_more_columns"],
            "questions": [_present_question(question) for question in profile.questions],
        }
    )


def _present_column(column: ColumnProfile) -> dict[str, Any]:
    types = [{"type": one.type, "share": one.share, "detail": one.detail} for one in column.types]
    return {
        "name": column.name,
        "filled": column.filled,
        "distinct": column.distinct,
        "samples": list(column.samples),
        "types": [without_none(one) for one in types],
    }


def _present_question(question: Question) -> dict[str, Any]:
    example = question.example
    shown = example and {"row": example.row, "column": example.column, "text": example.text}
    return without_none(
        {
            "key": question.key,
            "message": question.message,
            "choices": [{"value": one.value, "shown": one.shown} for one in question.choices],
            "example": shown and without_none(shown),
            "required": question.is_required,
        }
    )


def present_row(row: Row) -> dict[str, Any]:
    """A row of a file."""
    problem = row.problem
    return without_none(
        {
            "row": row.number,
            "line": row.line,
            "values": row.values,
            "problem": problem and problem.message,
            "field": problem and problem.field,
        }
    )
