"""Rows of uploads on the wire: what became of them, and what was mended in them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, doc, without_none
from openbulk.domain.errors import BadInput
from openbulk.domain.job import Job
from openbulk.domain.mending import Mend
from openbulk.domain.records import OutcomeKind
from openbulk.domain.row_kinds import RETRIED, RowKind
from openbulk.engine.mending import MendedRow, MendedRows, original, with_null_text

OUTCOMES: Mapping[str, RowKind] = {
    **{"notFound" if kind is OutcomeKind.NOT_FOUND else kind.value: kind for kind in OutcomeKind},
    "notReached": None,
}
"""What became of a row, by its word: the keys of `outcomes` in `GET /bulk/{id}`."""
_WORDS = {kind: word for word, kind in OUTCOMES.items()}
DRIFTED_WORD = _WORDS[OutcomeKind.DRIFTED]
RETRIED_WORDS = tuple(_WORDS[kind] for kind in RETRIED)
_EXAMPLE = {"summary": "Late", "start.date": "2026-02-30"}
Outcome = Literal[
    "created",
    "updated",
    "upserted",
    "unchanged",
    "deleted",
    "notFound",
    "failed",
    "drifted",
    "unknown",
    "notReached",
]


@with_config(EXACT)
class UploadedRow(TypedDict):
    """A row of an upload, and what became of it."""

    rowNum: Annotated[int, doc("Number of the record, counted from 1.", 2)]
    lineNum: NotRequired[
        Annotated[int, doc("Line of the file on which it starts. The header is line 1.", 3)]
    ]
    outcome: Annotated[Outcome, doc("What became of it.", "failed")]
    recordId: NotRequired[Annotated[str, doc("Id of the record at the service.")]]
    error: NotRequired[
        Annotated[
            str,
            doc(
                "What is wrong, and what would be right.",
                "2026-02-30 is not a date; dates look like 2026-02-28",
            ),
        ]
    ]
    field: NotRequired[Annotated[str, doc("Field with the wrong value.", "start.date")]]
    response: NotRequired[Annotated[str, doc("Error message of the service.")]]
    values: Annotated[
        dict[str, Any], doc("Its values as the file has them; null for an empty cell.", _EXAMPLE)
    ]
    mended: NotRequired[
        Annotated[
            dict[str, Any],
            doc("Mended values, which a retry sends in their place."),
        ]
    ]


@with_config(EXACT)
class MendedExample(TypedDict):
    """A cell that was mended."""

    rowNum: Annotated[int, doc("Number of the record.", 2)]
    before: Annotated[Any, doc("Its value before; null for an empty cell.", "2026-02-30")]
    after: Annotated[Any, doc("Its value now.", "2026-02-28")]


@with_config(EXACT)
class RowsMended(TypedDict):
    """What mending rows has changed."""

    changed: Annotated[int, doc("Rows in which the column has another value now.", 1)]
    unreadable: NotRequired[
        Annotated[
            int,
            doc("Rows that could not be read as records. Mend each of them by itself."),
        ]
    ]
    dryRun: Annotated[bool, doc("Whether nothing was kept.", False)]
    examples: Annotated[list[MendedExample], doc("The first three of them.")]


def outcome_word(kind: RowKind) -> str:
    """The word for what became of a row."""
    return _WORDS[kind]


def parse_outcomes(text: str) -> tuple[RowKind, ...]:
    """What became of the wanted rows, of words with commas between them. Raises BadInput."""
    return tuple(map(_parse_outcome, text.split(",")))


def _parse_outcome(word: str) -> RowKind:
    if word.strip() not in OUTCOMES:
        raise BadInput(f"kind is {word.strip()[:40]!r}; it can be {', '.join(OUTCOMES)}")
    return OUTCOMES[word.strip()]


def present_row(job: Job, mended: MendedRow) -> dict[str, Any]:
    """A row of an upload."""
    result = mended.result
    error, row = result.error, result.row
    shape = {
        "rowNum": row.number,
        "lineNum": row.line,
        "outcome": outcome_word(result.kind),
        "recordId": result.id,
        "error": error and error.problem,
        "field": error and error.field,
        "response": error and error.provider_message,
        "mended": None if mended.mend is None else _present_mend(job, mended.mend),
    }
    return {**without_none(shape), "values": original(job, row)}


def _present_mend(job: Job, mend: Mend) -> dict[str, Any]:
    return {**with_null_text(job, mend.values), **dict.fromkeys(mend.empty)}


def present_mended_rows(mended: MendedRows, *, is_trial: bool) -> dict[str, Any]:
    """What mending rows has changed."""
    shape: dict[str, Any] = {"changed": mended.changed, "dryRun": is_trial}
    if mended.unreadable:
        shape["unreadable"] = mended.unreadable
    shape["examples"] = [
        {"rowNum": one.row, "before": one.before, "after": one.after} for one in mended.examples
    ]
    return shape
