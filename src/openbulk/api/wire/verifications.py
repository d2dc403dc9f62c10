"""Verifications on the wire: counts, and rows with their differences."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, doc, without_none
from openbulk.domain.job import Job
from openbulk.domain.plan import Change, PlannedKind
from openbulk.engine.slices.plans.plan_rows import PlanRow
from openbulk.storage.plans import PlanSummary

COMPARED_WORDS: Mapping[PlannedKind, str] = {
    PlannedKind.UNCHANGED: "confirmed",
    PlannedKind.NOT_FOUND: "missing",
    PlannedKind.UPDATED: "different",
    PlannedKind.AMBIGUOUS: "extra",
    PlannedKind.NOT_COMPARED: "notChecked",
}
"""How a record compares, by what sending it again would do."""


@with_config(EXACT)
class VerificationCounts(TypedDict):
    """How the rows of a job compare with the service. Each row counts once."""

    confirmed: Annotated[int, doc("Rows whose record is as they wrote it, or as deleted.", 2)]
    missing: Annotated[int, doc("Rows whose record the service does not have any more.", 0)]
    different: Annotated[
        int, doc("Rows whose record has other values, or is there although it was deleted.", 0)
    ]
    extra: Annotated[int, doc("Rows of whose record the service has several.", 0)]
    notChecked: Annotated[int, doc("Rows that are not compared; each says why.", 0)]


@with_config(EXACT)
class VerificationShape(TypedDict):
    """What a verification has found. `/bulk/{job_id}/verification/rows` shows it row by row."""

    id: Annotated[str, doc("Id of the job that verifies.", "4")]
    verifyOf: Annotated[str, doc("Id of the job that is verified.", "1")]
    status: Annotated[str, doc("VERIFYING, then VERIFIED; or the end of another one.", "VERIFIED")]
    completeness: Annotated[
        Literal["complete", "by key", "none"],
        doc("How much can be compared of the object, as for a plan.", "complete"),
    ]
    rows: Annotated[int, doc("Rows of the verified job.", 2)]
    rowsCompared: Annotated[int, doc("Rows that it has come to: all of them once VERIFIED.", 2)]
    counts: VerificationCounts


@with_config(EXACT)
class FieldDifference(TypedDict):
    """A field that differs; null for a field that is not set."""

    expected: Annotated[Any, doc("Its value in the row.", "Choir")]
    found: Annotated[Any, doc("Its value at the service.", "Choir practice")]


@with_config(EXACT)
class ComparedRow(TypedDict):
    """How one row compares with the service."""

    rowNum: Annotated[int, doc("Number of the row, counted from 1.", 1)]
    lineNum: NotRequired[
        Annotated[int, doc("Line of the file on which the row starts. The header is line 1.", 2)]
    ]
    kind: Annotated[
        Literal["confirmed", "missing", "different", "extra", "notChecked"],
        doc("How the record compares.", "different"),
    ]
    id: NotRequired[Annotated[str, doc("Id of the record at the service.")]]
    differences: NotRequired[
        Annotated[
            dict[str, FieldDifference], doc("For a different record, each field that differs.")
        ]
    ]
    matches: NotRequired[Annotated[int, doc("How many records the service has in place of one.")]]
    reason: NotRequired[Annotated[str, doc("Why the row is not checked, or what is different.")]]
    changedAt: NotRequired[
        Annotated[str, doc("When the record was changed last, if the service says so.")]
    ]


def present_verification(job: Job, summary: PlanSummary) -> dict[str, Any]:
    """What a verification has found, without its rows."""
    verification = job.verification
    assert verification is not None
    return {
        "id": str(job.id),
        "verifyOf": str(verification.of),
        "status": job.status.value,
        "completeness": summary.completeness.value,
        "rows": verification.rows,
        "rowsCompared": sum(summary.kinds.values()),
        "counts": {word: summary.kinds.get(kind, 0) for kind, word in COMPARED_WORDS.items()},
    }


def present_compared_row(row: PlanRow) -> dict[str, Any]:
    """How one row compares."""
    planned, problem = row.planned, row.planned.problem
    differences = {name: _present_difference(one) for name, one in planned.changes.items()}
    shape = {
        "rowNum": planned.row,
        "lineNum": row.line,
        "kind": COMPARED_WORDS[planned.kind],
        "id": planned.id,
        "differences": differences or None,
        "matches": planned.matches or None,
        "reason": planned.remark or (problem and problem.message),
        "changedAt": planned.changed_at,
    }
    return without_none(shape)


def _present_difference(change: Change) -> dict[str, Any]:
    return {"expected": change.after, "found": change.before}
