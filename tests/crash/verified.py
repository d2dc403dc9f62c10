"""What verifications have to say, against what somebody else has done."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from crash.files import place_of
from crash.outsider import FOREIGN_PLACE
from crash.scenario import Upload
from crash.seen import Attempt, LedgerJob, Seen, ShownVerification

_NOT_WRITTEN = {None, "failed", "unknown"}
_KIND_OF_PLAN = {
    "unchanged": "confirmed",
    "not_found": "missing",
    "updated": "different",
    "ambiguous": "extra",
    "not_compared": "notChecked",
}


def broken_verification(
    seen: Seen, attempt: Attempt, upload: Upload, job: LedgerJob
) -> Iterator[str]:
    """What is wrong with the verification of a job, in words."""
    verification = next((one for one in seen.jobs if one.verify_of == job.id), None)
    if verification is None or verification.id != attempt.verification_id:
        if job.kinds or verification is not None:
            yield (
                f"is verified by {attempt.verification_id}, and the ledger has "
                f"{verification and verification.id}"
            )
        return
    if verification.status != "VERIFIED":
        yield f"its verification ended as {verification.status}: {verification.error}"
    if verification.kinds:
        yield f"its verification has outcomes of {len(verification.kinds)} rows"
    rows = range(1, (job.records or 0) + 1)
    if dict(verification.planned) != dict.fromkeys(rows, 1):
        yield f"its verification has {len(verification.planned)} of {len(rows)} rows, or one twice"
    shown = seen.verifications.get(verification.id)
    if shown is not None:
        yield from _broken_rows(attempt, upload, job, verification, shown)


def _broken_rows(
    attempt: Attempt,
    upload: Upload,
    job: LedgerJob,
    verification: LedgerJob,
    shown: ShownVerification,
) -> Iterator[str]:
    numbers = [row["rowNum"] for row in shown.rows]
    if numbers != list(range(1, (job.records or 0) + 1)):
        yield f"its verification lists {len(numbers)} rows of {job.records}, or in another order"
    tally = Counter(row["kind"] for row in shown.rows)
    counts = {kind: count for kind, count in shown.counts.items() if count}
    recorded = {_KIND_OF_PLAN[kind]: n for kind, n in verification.planned_kinds.items()}
    if not counts == dict(tally) == recorded:
        yield f"its verification counts {counts}, lists {dict(tally)} and has kept {recorded}"
    for row in shown.rows:
        number, kind = row["rowNum"], row["kind"]
        may_be = _kinds_of(number, attempt, upload, job.kinds.get(number))
        if kind not in may_be:
            yield f"row {number} is verified as {kind} instead of {may_be}: {row}"
        elif kind == "different" and row["differences"] != _difference_of(upload):
            yield f"row {number} is different in {row['differences']}"


def _kinds_of(row: int, attempt: Attempt, upload: Upload, outcome: str | None) -> set[str]:
    foreign = attempt.foreign
    if outcome in _NOT_WRITTEN:
        return {"notChecked"}
    if row in foreign.deleted:
        return {"missing"}
    if row in foreign.doubled:
        return {"extra"}
    if row in foreign.moved:
        return {"different"}
    return {"confirmed", "different"} if row in foreign.moved_meanwhile else {"confirmed"}


def _difference_of(upload: Upload) -> Mapping[str, Any]:
    return {"location": {"expected": place_of(upload), "found": FOREIGN_PLACE}}
