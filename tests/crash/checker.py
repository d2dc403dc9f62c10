"""What openbulk promises, held against what was seen. Pure functions: each returns what was broken, in words."""

import base64
import csv
import hashlib
import hmac
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from standardwebhooks import Webhook

from crash.files import kept_place, place_of, text_of
from crash.receiver import KEY, Told
from crash.scenario import PEOPLE, Download, Upload
from crash.seen import Attempt, LedgerJob, Seen

FATES = {
    "create": {"created"},
    "upsert": {"created", "updated", "upserted", "unchanged"},
    "update": {"updated", "unchanged"},
    "delete": {"deleted", "unchanged"},
}
"""How a record that can be taken may end, by action."""
KEYLESS = {"calendars", "log"}
"""Objects that cannot tell a repeated record from a new one: there alone an outcome may be unknown."""


def broken_promises(seen: Seen) -> list[str]:
    """All of them; none in a run as it should be."""
    jobs: dict[str, list[LedgerJob]] = {}
    for job in seen.jobs:
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
        if isinstance(attempt.work, Upload):
            yield from _accounted(attempt.work, job)
            yield from _in_the_service(seen, attempt.work, attempt.tag, job)
            if attempt.job_id is not None:
                yield from _told_by_the_api(seen, job)
        else:
            yield from _read(seen, attempt.work, job)
        yield from _called_back(seen, attempt, job)


# --- every acknowledged job finishes ---


def _ended(attempt: Attempt, job: LedgerJob) -> Iterator[str]:
    if not job.is_finished:
        yield f"is {job.status} and does not finish"
    elif job.status != "COMPLETE" and not (job.status == "CANCELLED" and attempt.is_cancelled):
        yield f"ended as {job.status}: {job.error}"
    elif attempt.is_cancelled and job.status != "CANCELLED":
        yield f"was cancelled, and is {job.status}"


# --- rows in are the sum of outcomes ---


def _accounted(upload: Upload, job: LedgerJob) -> Iterator[str]:
    tally = Counter(job.kinds.values())
    if {kind: count for kind, count in job.counts.items() if count} != dict(tally):
        yield f"counts {job.counts}, and its outcomes are {dict(tally)}"
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
        may_be = {"failed"} if row in upload.broken else FATES[upload.action]
        if kind not in may_be | unknown:
            yield f"row {row} is {kind} instead of {may_be}: {job.problems.get(row)}"


def _told_by_the_api(seen: Seen, job: LedgerJob) -> Iterator[str]:
    status = seen.statuses.get(job.id)
    if status is None:
        return
    not_taken = sorted(row for row, kind in job.kinds.items() if kind in {"failed", "unknown"})
    said = status["status"], status["recordsCount"], status["recordsFailedCount"]
    if said != (job.status, len(job.kinds), len(not_taken)):
        yield f"the API says {said}, the ledger {(job.status, len(job.kinds), len(not_taken))}"
    listed = [error["rowNum"] for error in seen.errors.get(job.id, ())]
    if listed != not_taken:
        yield f"the API lists errors of rows {listed}, the ledger has {not_taken}"


# --- nothing lost, nothing twice ---


def _in_the_service(seen: Seen, upload: Upload, tag: str, job: LedgerJob) -> Iterator[str]:
    """What is there of each row that is said to be there."""
    if upload.object not in {"events", "calendars"}:
        return
    later = next((one for one in seen.scenario.uploads if one.behind == upload.name), None)
    if later is not None and later.action == "delete":
        return
    place = PEOPLE[upload.account], place_of(later or upload) if upload.object == "events" else ""
    for row, kind in job.kinds.items():
        text = text_of(upload, tag, row)
        there = seen.live[text]
        if kind != "unknown" and there != (
            0 if kind == "failed" or upload.action == "delete" else 1
        ):
            yield f"row {row} is {kind}, and there are {there} of it"
        elif there and seen.places.get(text) != place:
            yield f"row {row} is {kind}, and it is at {seen.places.get(text)} instead of {place}"


def _kept(seen: Seen) -> Iterator[str]:
    """What nobody writes to is as it was."""
    kept = {
        f"Kept {number}": (PEOPLE["reader"], kept_place(number))
        for number in range(1, seen.scenario.kept + 1)
    }
    changed = [
        text
        for text, place in kept.items()
        if seen.live[text] != 1 or seen.places.get(text) != place
    ]
    if changed:
        yield f"nobody wrote to {changed[:3]}, and {len(changed)} such events are not as they were"


def _of_nobody(seen: Seen, jobs: Mapping[str, list[LedgerJob]]) -> Iterator[str]:
    """What is there without a job that has made it, or is told of without one that has ended."""
    known = {attempt.tag for attempt in seen.attempts}
    for tag in (jobs.keys() - known) | ({one.work for one in seen.told} - jobs.keys()):
        yield f"{tag}: there is a job or a callback of it that nobody asked for"
    made = {f"Kept {number}" for number in range(1, seen.scenario.kept + 1)} | set(PEOPLE.values())
    for attempt in seen.attempts:
        if isinstance(attempt.work, Upload) and attempt.tag in jobs:
            made |= {
                text_of(attempt.work, attempt.tag, row) for row in range(1, attempt.work.rows + 1)
            }
    for text in (seen.ever | seen.live).keys() - made:
        yield f"{text!r} was made, and no job is known that has"


def _doubles(seen: Seen) -> Iterator[str]:
    """Whatever became of a row: it was never made twice."""
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
    """What tells them apart, and a value that belongs to it."""
    records: Iterable[Mapping[str, Any]]
    match format:
        case "csv":
            records = csv.DictReader(io.StringIO(file.decode()))
        case "json":
            records = json.loads(file)
        case _:
            records = map(json.loads, file.splitlines())
    return [(record["summary"], record["location"]) for record in records]


# --- callers are told ---


def _called_back(seen: Seen, attempt: Attempt, job: LedgerJob) -> Iterator[str]:
    if attempt.work.refusals is None or not job.is_finished:
        return
    told = [one for one in seen.told if one.work == attempt.tag]
    if not any(one.status == 200 for one in told):
        yield f"its caller was not told ({len(told)} attempts)"
    if len({one.headers.get("webhook-id") for one in told}) > 1:
        yield "its caller was told under several ids"
    for one in told:
        yield from _well_told(attempt, job, one)


def _well_told(attempt: Attempt, job: LedgerJob, told: Told) -> Iterator[str]:
    digest = base64.b64encode(hmac.new(KEY.encode(), told.body, hashlib.sha256).digest()).decode()
    if told.headers.get("elements-webhook-signature") != f"sha256={digest}":
        yield "a callback is not signed as SAP's are"
    try:
        Webhook(KEY.encode()).verify(told.body, dict(told.headers))
    except Exception as error:  # whatever the library finds wrong with it
        yield f"a callback is not signed as Standard Webhooks are: {error!r}"
    said: Mapping[str, Any] = json.loads(told.body)
    # One that was complete can be cancelled afterwards.
    if int(said["id"]) != job.id or said["status"] not in {job.status, "COMPLETE"}:
        yield f"a callback says {said['id']} {said['status']} instead of {job.id} {job.status}"
    count = said["recordsCount"] if "recordsCount" in said else said["recordCount"]
    if count != (len(job.kinds) if isinstance(attempt.work, Upload) else job.records):
        yield f"a callback says {count} records"
    if said.get("callback-payload") != {"tag": attempt.tag}:
        yield f"a callback brings back {said.get('callback-payload')}"
