"""openbulk's promises, checked against what a run has shown. Each check returns what is broken."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from crash.files import kept_place, place_of, text_of
from crash.notified import broken_notification
from crash.outsider import FOREIGN_PLACE, double_of
from crash.scenario import PEOPLE, Download, Upload
from crash.seen import Attempt, LedgerJob, Seen
from crash.verified import broken_verification

KINDS = {
    "create": {"created"},
    "upsert": {"created", "updated", "upserted", "unchanged"},
    "update": {"updated", "unchanged"},
    "delete": {"deleted", "not_found"},
}
"""The outcomes of a record that the service can take, by action."""
NOT_TAKEN = {"failed", "drifted", "unknown"}
KEYLESS = {"calendars", "log"}
"""Objects whose records have no identity. Only there may an outcome be unknown."""


def broken_promises(seen: Seen) -> list[str]:
    """All promises that are broken, in words."""
    jobs: dict[str, list[LedgerJob]] = {}
    for job in seen.jobs:
        if job.is_original:
            jobs.setdefault(job.tag, []).append(job)
    found = list(seen.wrong)
    for attempt in seen.attempts:
        mine = jobs.get(attempt.tag, [])
        found += [f"{attempt.tag}: {story}" for story in _of_attempt(seen, attempt, mine)]
    found += _doubles(seen)
    found += _of_nobody(seen, jobs)
    found += _kept(seen)
    return found


def _of_attempt(seen: Seen, attempt: Attempt, jobs: list[LedgerJob]) -> Iterator[str]:
    if len(jobs) > 1:
        yield f"one request made {len(jobs)} jobs"
    if attempt.job_id is not None and [job.id for job in jobs] != [attempt.job_id]:
        yield f"acknowledged as job {attempt.job_id}, and the ledger has {[job.id for job in jobs]}"
    for job in jobs:
        yield from _ended(attempt, job)
        if isinstance(attempt.work, Upload) and attempt.work.is_plan:
            yield from _planned(seen, attempt.work, job)
            yield from _carried_out(seen, attempt, attempt.work, job)
            yield from _shown_by_the_api(seen, job)
        elif isinstance(attempt.work, Upload):
            yield from _of_upload(seen, attempt, attempt.work, job)
        else:
            yield from _read(seen, attempt.work, job)
        yield from broken_notification(seen, attempt, job)


def _of_upload(seen: Seen, attempt: Attempt, upload: Upload, job: LedgerJob) -> Iterator[str]:
    yield from _accounted(upload, job)
    retry = next((one for one in seen.jobs if one.retry_of == job.id), None)
    kinds = job.kinds if retry is None else {**job.kinds, **retry.kinds}
    undone = next((one for one in seen.scenario.uploads if _is_undone_of(one, upload)), None)
    if undone is None:
        yield from _in_the_service(seen, attempt, upload, kinds)
    elif _is_one_job(seen, undone):
        if undone is upload and attempt.job_id == job.id:
            yield from _undone(seen, attempt, upload, job)
        elif undone is not upload:
            yield from _in_the_service(seen, attempt, upload, kinds)
    if attempt.job_id == job.id:
        yield from _retried(attempt, upload, job, retry)
        if upload.foreign is not None:
            yield from broken_verification(seen, attempt, upload, job)
    if attempt.job_id is not None:
        yield from _shown_by_the_api(seen, job)


def _is_undone_of(other: Upload, upload: Upload) -> bool:
    """Whether an upload is this one, or is behind it, and is undone."""
    return other.is_undone and upload.name in (other.name, other.after)


def _is_one_job(seen: Seen, upload: Upload) -> bool:
    """Whether the requests for an upload have made one job, and their caller knows of it.

    A second one would not be undone, nor one whose acknowledgement was lost.
    """
    attempts = [attempt for attempt in seen.attempts if attempt.work is upload]
    tags = {attempt.tag for attempt in attempts}
    made = [one.id for one in seen.jobs if one.tag in tags and one.is_original]
    return len(made) == 1 and made[0] in {attempt.job_id for attempt in attempts}


# --- every acknowledged job finishes ---


def _ended(attempt: Attempt, job: LedgerJob) -> Iterator[str]:
    if not job.is_finished:
        yield f"is {job.status} and does not finish"
    elif job.status != _end_of(attempt) and not (
        job.status == "CANCELLED" and attempt.is_cancelled
    ):
        yield f"ended as {job.status}: {job.error}"
    elif attempt.is_cancelled and job.status != "CANCELLED":
        yield f"was cancelled, and is {job.status}"


def _end_of(attempt: Attempt) -> str:
    is_plan = isinstance(attempt.work, Upload) and attempt.work.is_plan
    return "PLANNED" if is_plan and not attempt.is_applied else "COMPLETE"


# --- a plan says of each row what the job would do, and writes nothing ---


def _planned(seen: Seen, upload: Upload, job: LedgerJob) -> Iterator[str]:
    if dict(job.planned) != dict.fromkeys(range(1, upload.rows + 1), 1):
        yield f"plans {len(job.planned)} of {upload.rows} rows, or one of them twice"
    (before,) = (one for one in seen.scenario.uploads if one.name == upload.after)
    rows = set(range(1, upload.rows + 1))
    good, known = rows - upload.broken, set(range(1, before.rows + 1))
    expected = {
        "updated": len(good & known),
        "created": len(good - known),
        "refused": len(upload.broken),
    }
    if dict(job.planned_kinds) != {kind: count for kind, count in expected.items() if count}:
        yield f"plans {dict(job.planned_kinds)} instead of {expected}"


# --- an apply does what the plan says, but to what others have changed since ---


def _carried_out(seen: Seen, attempt: Attempt, upload: Upload, job: LedgerJob) -> Iterator[str]:
    if not attempt.is_applied:
        if job.kinds or any(job.counts.values()):
            yield "is a plan, and has outcomes"
        return
    yield from _counted(job)
    if job.kinds.keys() != set(range(1, upload.rows + 1)):
        yield f"carries out {len(job.kinds)} of {upload.rows} rows"
    (before,) = (one for one in seen.scenario.uploads if one.name == upload.after)
    (foreign,) = (one for one in seen.scenario.uploads if one.during == upload.name)
    for row, kind in job.kinds.items():
        may_be = _kinds_of_applied(row, upload, before, foreign)
        if kind not in may_be:
            yield f"row {row} is {kind} instead of {may_be}: {job.problems.get(row)}"
        text = text_of(upload, attempt.tag, row)
        place = PEOPLE[upload.account], place_of(_last_writer(seen, upload, row))
        if kind != "failed" and (seen.live[text], seen.places.get(text)) != (1, place):
            yield (
                f"row {row} is {kind}, and there are {seen.live[text]} of it, at "
                f"{seen.places.get(text)} instead of {place}"
            )


def _kinds_of_applied(row: int, upload: Upload, before: Upload, foreign: Upload) -> set[str]:
    if row in upload.broken:
        return {"failed"}
    if row <= foreign.rows:
        return {"drifted"}
    # A change whose answer was lost is found as it is wanted.
    return {"updated", "unchanged"} if row <= before.rows else {"created"}


def _last_writer(seen: Seen, upload: Upload, row: int) -> Upload:
    """The last upload that has written the record of a row of a plan, or of its story."""
    story = [one for one in seen.scenario.uploads if one.texts == upload.texts and one.writes]
    foreign = max((one.rows for one in story if one.during), default=0)
    writers = [
        one
        for one in story
        if row <= one.rows and row not in one.broken and not (one.is_applied and row <= foreign)
    ]
    return writers[-1] if writers else upload


# --- rows in are the sum of outcomes ---


def _counted(job: LedgerJob) -> Iterator[str]:
    tally = Counter(job.kinds.values())
    if {kind: count for kind, count in job.counts.items() if count} != dict(tally):
        yield f"counts {job.counts}, and its outcomes are {dict(tally)}"


def _accounted(upload: Upload, job: LedgerJob) -> Iterator[str]:
    yield from _counted(job)
    if job.status == "CANCELLED" and job.records is None and not job.kinds:
        return  # before its file was read
    if job.records != upload.rows:
        yield f"has {job.records} records of {upload.rows} rows"
    if not job.kinds.keys() <= set(range(1, upload.rows + 1)):
        yield "has outcomes of rows that its file does not have"
    if job.status == "COMPLETE" and len(job.kinds) != upload.rows:
        yield f"is complete with {len(job.kinds)} outcomes for {upload.rows} rows"
    unknown = {"unknown"} if upload.object in KEYLESS else set()
    for row, kind in job.kinds.items():
        may_be = {"failed"} if row in upload.broken else KINDS[upload.action]
        if kind not in may_be | unknown:
            yield f"row {row} is {kind} instead of {may_be}: {job.problems.get(row)}"


def _retried(
    attempt: Attempt, upload: Upload, job: LedgerJob, retry: LedgerJob | None
) -> Iterator[str]:
    """A retry has an outcome for each row that the job has not written, and for no other."""
    if attempt.retry_id != (retry and retry.id):
        yield f"is retried by {attempt.retry_id}, and the ledger has {retry and retry.id}"
    if retry is None:
        return
    written = {row for row, kind in job.kinds.items() if kind not in {"failed", "unknown"}}
    left = set(range(1, upload.rows + 1)) - written
    if retry.status != "COMPLETE":
        yield f"its retry ended as {retry.status}: {retry.error}"
    elif retry.kinds.keys() != left:
        yield f"its retry has outcomes of {len(retry.kinds)} rows, and {len(left)} were left"
    unknown = {"unknown"} if upload.object in KEYLESS else set()
    for row, kind in retry.kinds.items():
        may_be = {"failed"} if row in upload.broken else KINDS[upload.action]
        if kind not in may_be | unknown:
            yield f"row {row} of its retry is {kind}: {retry.problems.get(row)}"


def _shown_by_the_api(seen: Seen, job: LedgerJob) -> Iterator[str]:
    status = seen.statuses.get(job.id)
    if status is None:
        return
    not_taken = sorted(row for row, kind in job.kinds.items() if kind in NOT_TAKEN)
    shown = status["status"], status["recordsCount"], status["recordsFailedCount"]
    kept = job.status, len(job.kinds), len(not_taken)
    if shown != kept:
        yield f"the API says {shown}, the ledger {kept}"
    listed = [error["rowNum"] for error in seen.errors.get(job.id, ())]
    if listed != not_taken:
        yield f"the API lists errors of rows {listed}, the ledger has {not_taken}"


# --- nothing lost, nothing twice ---


def _in_the_service(
    seen: Seen, attempt: Attempt, upload: Upload, kinds: Mapping[int, str]
) -> Iterator[str]:
    """The records in the service are those that the outcomes say, but for what others did."""
    if upload.object not in {"events", "calendars"}:
        return
    writing = [one for one in seen.scenario.uploads if one.writes and not one.is_undone]
    last = next((one for one in writing if one.after == upload.name), upload)
    if last is not upload and last.action == "delete":
        return
    is_in_story = any(one.during and one.texts == upload.texts for one in writing)
    for row, kind in kinds.items():
        writer = _last_writer(seen, upload, row) if is_in_story else last
        place = PEOPLE[upload.account], place_of(writer) if upload.object == "events" else ""
        if row in attempt.foreign.moved | attempt.foreign.moved_meanwhile:
            place = PEOPLE[upload.account], FOREIGN_PLACE
        text = text_of(upload, attempt.tag, row)
        there = seen.live[text]
        is_deleted = upload.action == "delete" or row in attempt.foreign.deleted
        expected = int(kind != "failed" and not is_deleted)
        if kind != "unknown" and there != expected:
            yield f"row {row} is {kind}, and there are {there} of it"
        elif there and seen.places.get(text) != place:
            yield f"row {row} is {kind}, and it is at {seen.places.get(text)} instead of {place}"


def _undone(seen: Seen, attempt: Attempt, upload: Upload, job: LedgerJob) -> Iterator[str]:
    """The records are as the upload before has left them, and no others are there."""
    undo = next((one for one in seen.jobs if one.undo_of == job.id), None)
    if undo is None or undo.id != attempt.undo_id:
        yield f"is undone by {attempt.undo_id}, and the ledger has {undo and undo.id}"
        return
    if undo.status != "COMPLETE":
        yield f"its undo ended as {undo.status}: {undo.error}"
    written = [row for row, kind in job.kinds.items() if kind in {"created", "updated"}]
    if len(undo.kinds) != len(written):
        yield f"its undo has outcomes of {len(undo.kinds)} rows, and {len(written)} were written"
    # The answer to a deletion may have been lost: then nobody says who has made it.
    wrong = {
        row: kind for row, kind in undo.kinds.items() if kind not in {"reversed", "gone_already"}
    }
    if wrong:
        yield f"its undo has {Counter(wrong.values())}: {undo.problems.get(next(iter(wrong)))}"
    (before,) = (one for one in seen.scenario.uploads if one.name == upload.after)
    place = PEOPLE[upload.account], place_of(before)
    for row in job.kinds:
        text = text_of(upload, attempt.tag, row)
        there, expected = seen.live[text], int(row <= before.rows)
        if there != expected:
            yield f"row {row} is undone, and there are {there} of it instead of {expected}"
        elif there and seen.places.get(text) != place:
            yield f"row {row} is undone, and it is at {seen.places.get(text)} instead of {place}"


def _kept(seen: Seen) -> Iterator[str]:
    """The calendar that nobody writes to is unchanged."""
    kept = {
        f"Kept {number}": (1, (PEOPLE["reader"], kept_place(number)))
        for number in range(1, seen.scenario.kept + 1)
    }
    changed = [
        text for text, there in kept.items() if (seen.live[text], seen.places.get(text)) != there
    ]
    if changed:
        yield f"nobody wrote to {changed[:3]}, and {len(changed)} such events are not as they were"


def _of_nobody(seen: Seen, jobs: Mapping[str, list[LedgerJob]]) -> Iterator[str]:
    """Every record, job and callback belongs to an attempt."""
    known = {attempt.tag for attempt in seen.attempts}
    for tag in (jobs.keys() - known) | ({one.tag for one in seen.callbacks} - jobs.keys()):
        yield f"{tag}: it has a job or a callback, and nobody requested it"
    made = {f"Kept {number}" for number in range(1, seen.scenario.kept + 1)} | set(PEOPLE.values())
    for attempt in seen.attempts:
        if isinstance(attempt.work, Upload) and attempt.tag in jobs:
            texts = {
                row: text_of(attempt.work, attempt.tag, row)
                for row in range(1, attempt.work.rows + 1)
            }
            made |= {*texts.values(), *(double_of(texts[row]) for row in attempt.foreign.doubled)}
    for text in (seen.ever | seen.live).keys() - made:
        yield f"{text!r} was made, and no job is known that has"


def _doubles(seen: Seen) -> Iterator[str]:
    """No record was made twice, whatever the outcome of its row."""
    for text, count in (seen.ever | seen.live).items():
        if count > 1:
            yield f"{text!r} was made {count} times"


# --- files are readable ---


def _read(seen: Seen, download: Download, job: LedgerJob) -> Iterator[str]:
    if job.status != "COMPLETE":
        return
    expected = [(f"Kept {number}", kept_place(number)) for number in download.expected]
    if job.records != len(expected):
        yield f"has {job.records} records instead of {len(expected)}"
    files = [file for name, file in seen.files if name == download.name]
    if not files:
        yield "its file was never fetched"
    for file in files:
        found = _records(file, download.format)
        if download.is_sorted and found != expected:
            yield f"its file has {len(found)} records, and not those expected in their order"
        if Counter(found) != Counter(expected):
            lost, more = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
            yield f"its file lacks {lost.total()} records ({list(lost)[:3]})"
            yield f"its file has {more.total()} records too many ({list(more)[:3]})"


def _records(file: bytes, format: str) -> list[tuple[str, str]]:
    """The name of each record, and a value that belongs to it."""
    records: Iterable[Mapping[str, Any]]
    match format:
        case "csv":
            records = csv.DictReader(io.StringIO(file.decode()))
        case "json":
            records = json.loads(file)
        case _:
            records = map(json.loads, file.splitlines())
    return [(record["summary"], record["location"]) for record in records]
