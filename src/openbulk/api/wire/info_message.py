"""`infoMessage`: what a person should know of a job, in sentences."""

from collections.abc import Iterator

from openbulk.domain.job import Job, Remarks, RowRemark, Status

SHOWN_REMARKS = 3
"""Rows whose remarks `infoMessage` shows; the others are counted."""


def info_message(job: Job) -> str | None:
    """Information about a job for a person, such as why it waits; None without any."""
    return "; ".join(_information(job)) or None


def _information(job: Job) -> Iterator[str]:
    if job.waiting_for is not None:
        yield job.waiting_for
        if job.waiting_until:
            yield f"openbulk tries again at {job.waiting_until.isoformat(timespec='seconds')}"
    if job.unused_options:
        has = "has" if len(job.unused_options) == 1 else "have"
        yield f"{', '.join(job.unused_options)} {has} no effect on this job"
    yield from _remark_sentences(job.remarks, renames=_renames(job))
    yield from _information_on_outcomes(job)
    if job.status is Status.CANCELLED and job.records is not None and job.cursor == job.records:
        yield "the job was cancelled after its last record"


def _information_on_outcomes(job: Job) -> Iterator[str]:
    if job.mailed_outside:
        have = "record has" if job.mailed_outside == 1 else "records have"
        yield f"{job.mailed_outside} {have} attendees outside the organization, who got mail"
    if job.counts.not_found:
        yield _not_found_sentence(job.counts.not_found)
    if job.counts.unknown:
        records, them = _records(job.counts.unknown), "it" if job.counts.unknown == 1 else "them"
        yield f"{records} may or may not have been written; /errors lists {them}"
    if job.is_finished and not job.is_download and job.not_reached:
        were = "was" if job.not_reached == 1 else "were"
        yield f"{job.not_reached} of {_records(job.records or 0)} {were} not reached"


def _not_found_sentence(count: int) -> str:
    they = "it" if count == 1 else "they"
    return (
        f"{_records(count)} to delete could not be found at the service: {they} may have been "
        "deleted before, or the identifier is wrong"
    )


def _renames(job: Job) -> bool:
    """Whether the job's columns have names of the caller's own."""
    return not job.is_download and job.upload.target.transformation is not None


def _remark_sentences(remarks: Remarks, *, renames: bool) -> Iterator[str]:
    """What a person should know of rows that were sent."""
    if remarks.rows:
        yield _sentence_of_rows(remarks)
    if remarks.columns:
        names = ", ".join(map(repr, remarks.columns))
        is_one = len(remarks.columns) == 1
        columns, them = ("column", "it") if is_one else ("columns", "them")
        was = "was" if is_one else "were"
        why = f"the service sets {them} itself"
        if renames:
            why += f", or the transformation does not send {them}"
        yield f"the {columns} {names} {was} left out: {why}"


def _sentence_of_rows(remarks: Remarks) -> str:
    """A sentence about what single rows were sent without, or have changed beside themselves."""
    shown = [_row_remark(remark) for remark in remarks.first[:SHOWN_REMARKS]]
    more = remarks.rows - len(shown)
    if more:
        shown.append(f"and {more} more {_rows(more)}")
    have = "has a remark" if remarks.rows == 1 else "have remarks"
    return f"{remarks.rows} {_rows(remarks.rows)} {have}: {'; '.join(shown)}"


def _row_remark(remark: RowRemark) -> str:
    line = "" if remark.line is None else f" (line {remark.line})"
    return f"row {remark.row}{line}: {remark.text}"


def _records(number: int) -> str:
    return f"{number} record" if number == 1 else f"{number} records"


def _rows(number: int) -> str:
    return "row" if number == 1 else "rows"
