"""`infoMessage`: what a person should know of a job, in sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from openbulk.domain.job import Job, Remarks, RowRemark, Status
from openbulk.domain.records import Target

SHOWN_REMARKS = 3
"""Rows whose remarks `infoMessage` shows; the others are counted."""
SHOWN_COLUMNS = 100
"""Columns that a sentence names: a file may have thousands that its mapping does not take."""


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a sentence about one thing, or about several."""

    record: str
    row: str
    column: str
    remark: str
    has: str
    was: str
    it: str
    they: str


_ONE = _Words("record", "row", "column", "a remark", "has", "was", "it", "it")
_SEVERAL = _Words("records", "rows", "columns", "remarks", "have", "were", "them", "they")


def _words_for(number: int) -> _Words:
    return _ONE if number == 1 else _SEVERAL


def info_message(job: Job) -> str | None:
    """Information about a job for a person, such as why it waits; None without any."""
    return "; ".join(_information(job)) or None


def _information(job: Job) -> Iterator[str]:
    if job.is_paused and not job.is_finished:
        yield f"the job is paused; PUT /bulk/{job.id}/resume continues it"
    if job.waiting_for is not None:
        yield job.waiting_for
        if job.waiting_until:
            yield f"openbulk tries again at {job.waiting_until.isoformat(timespec='seconds')}"
    if job.unused_options:
        words = _words_for(len(job.unused_options))
        yield f"{', '.join(job.unused_options)} {words.has} no effect on this job"
    yield from _remark_sentences(job.remarks, _upload_target(job))
    yield from _information_on_outcomes(job)
    if job.status is Status.CANCELLED and job.records is not None and job.cursor == job.records:
        yield "the job was cancelled after its last record"


def _information_on_outcomes(job: Job) -> Iterator[str]:
    if job.mailed_outside:
        words = _words_for(job.mailed_outside)
        yield (
            f"{_records(job.mailed_outside)} {words.has} attendees outside the organization, who "
            "got mail"
        )
    if job.counts.not_found:
        words = _words_for(job.counts.not_found)
        yield (
            f"{_records(job.counts.not_found)} to delete could not be found at the service: "
            f"{words.they} may have been deleted before, or the identifier is wrong"
        )
    if job.counts.unknown:
        words = _words_for(job.counts.unknown)
        records = _records(job.counts.unknown)
        yield f"{records} may or may not have been written; /errors lists {words.it}"
    if job.counts.drifted:
        words = _words_for(job.counts.drifted)
        yield (
            f"{_records(job.counts.drifted)} {words.has} changed since the plan, and {words.was} "
            f"left alone; /errors lists {words.it}"
        )
    yield from _information_on_end(job)


def _information_on_end(job: Job) -> Iterator[str]:
    if job.is_plan and job.status is Status.PLANNED:
        yield f"nothing was written; /bulk/{job.id}/plan shows what the job would do"
    elif job.status is Status.VERIFIED:
        yield f"nothing was written; /bulk/{job.id}/verification shows how the rows compare"
    elif job.status is Status.PLANNED:
        yield f"{job.not_reached} rows of the plan are left; apply it again to go on"
    elif job.is_finished and not job.is_download and job.not_reached:
        words = _words_for(job.not_reached)
        yield f"{job.not_reached} of {_records(job.own_records or 0)} {words.was} not reached"


def _upload_target(job: Job) -> Target | None:
    return None if job.is_download else job.upload.target


def _remark_sentences(remarks: Remarks, target: Target | None) -> Iterator[str]:
    """What a person should know of rows that were sent."""
    if remarks.rows:
        yield _sentence_of_rows(remarks)
    mapping = None if target is None else target.mapping
    taken = set() if mapping is None else {*mapping.columns, *mapping.sources}
    by_service = [name for name in remarks.columns if mapping is None or name in taken]
    if by_service:
        it = _words_for(len(by_service)).it
        why = f"the service sets {it} itself"
        if target is not None and target.transformation is not None:
            why += f", or the transformation does not send {it}"
        yield _sentence_of_columns(by_service, why)
    by_mapping = [name for name in remarks.columns if name not in by_service]
    if by_mapping:
        it = _words_for(len(by_mapping)).it
        yield _sentence_of_columns(by_mapping, f"the mapping does not take {it}")


def _sentence_of_columns(columns: Sequence[str], why: str) -> str:
    words, shown = _words_for(len(columns)), columns[:SHOWN_COLUMNS]
    more = f" and {len(columns) - len(shown)} more" * (len(columns) > len(shown))
    return f"the {words.column} {', '.join(map(repr, shown))}{more} {words.was} left out: {why}"


def _sentence_of_rows(remarks: Remarks) -> str:
    """A sentence about what single rows were sent without, or have changed beside themselves."""
    shown = [_row_remark(remark) for remark in remarks.first[:SHOWN_REMARKS]]
    more = remarks.rows - len(shown)
    if more:
        shown.append(f"and {more} more {_words_for(more).row}")
    words = _words_for(remarks.rows)
    return f"{remarks.rows} {words.row} {words.has} {words.remark}: {'; '.join(shown)}"


def _row_remark(remark: RowRemark) -> str:
    line = "" if remark.line is None else f" (line {remark.line})"
    return f"row {remark.row}{line}: {remark.text}"


def _records(number: int) -> str:
    return f"{number} {_words_for(number).record}"
