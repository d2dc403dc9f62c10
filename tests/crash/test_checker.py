"""The checker notices each promise that is broken: one after another, in a run without faults."""

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from crash.checker import broken_promises
from crash.files import kept_place
from crash.outsider import FOREIGN_PLACE
from crash.receiver import KEY, Callback
from crash.scenario import Download, ForeignChanges, Moment, Scenario, Upload, Work
from crash.seen import Attempt, LedgerJob, Seen, ShownVerification
from openbulk.domain.records import OutcomeKind

NEW = Upload("new", "ann", "events", "create", 3, "new", broken=frozenset({3}), refusals=0)
CALLED_OFF = Upload("off", "ann", "events", "create", 2, "off", cancelled=Moment(0.0))
CALENDARS = Upload("calendars", "bob", "calendars", "create", 1, "calendars")
FIRST = Upload("first", "bob", "events", "upsert", 1, "first", 1)
SECOND = Upload("second", "bob", "events", "upsert", 1, "first", 2, after="first")
READ = Download("read", "select * from events", "csv", (1, 2))
PLAN = Upload("plan", "bob", "events", "upsert", 2, "first", 3, after="second", is_plan=True)
BASE = Upload("base", "bob", "events", "upsert", 2, "base", 1)
FOREIGN = Upload("foreign", "bob", "events", "upsert", 1, "base", 3, during="applied")
APPLIED = replace(
    BASE,
    name="applied",
    rows=4,
    version=2,
    broken=frozenset({4}),
    after="base",
    is_plan=True,
    is_applied=True,
)
OLD = Upload("old", "bob", "events", "upsert", 1, "old", 1)
UNDONE = replace(OLD, name="undone", rows=2, version=2, after="old", is_undone=True)
FOREIGN_CHANGES = ForeignChanges(*(frozenset({row}) for row in (2, 3, 4, 5)))
VERIFIED = Upload(
    "verified", "ann", "events", "upsert", 6, "seen", 1, frozenset({6}), foreign=FOREIGN_CHANGES
)
WORKS: tuple[Work, ...] = (
    NEW,
    CALLED_OFF,
    CALENDARS,
    FIRST,
    SECOND,
    READ,
    PLAN,
    BASE,
    FOREIGN,
    APPLIED,
    OLD,
    UNDONE,
    VERIFIED,
)


def job(
    number: int, name: str, *kinds: str, status: str = "COMPLETE", records: int | None = None
) -> LedgerJob:
    counts = {kind.value: kinds.count(kind.value) for kind in OutcomeKind}
    rows = dict(enumerate(kinds, 1))
    return LedgerJob(
        number, f"{name}.1", status, records or len(kinds), len(kinds), counts, rows, {}, None
    )


def callback(changes: dict[str, object], name: str = "new.1") -> Callback:
    """Of a job, with some values changed."""
    shown = {"id": 1, "status": "COMPLETE", "recordsCount": 3, "callback-payload": {"tag": name}}
    body = json.dumps(shown | changes)
    now = datetime.now(UTC)
    digest = base64.b64encode(
        hmac.new(KEY.encode(), body.encode(), hashlib.sha256).digest()
    ).decode()
    headers = {
        "elements-webhook-signature": f"sha256={digest}",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(KEY.encode()).sign("msg_1", now, body),
    }
    return Callback(name, headers, body.encode(), 200)


def with_header(name: str, value: str) -> Callback:
    one = callback({})
    return replace(one, headers={**one.headers, name: value})


EVENTS = (
    *("new.1 1", "new.1 2", "off.1 1", "first 1", "Kept 1", "Kept 2"),
    *("base 1", "base 2", "base 3", "old 1"),
    *("seen 1", "seen 2", "seen 4", "seen 4 again", "seen 5"),
)
DIFFERENT = {"location": {"expected": "v1", "found": FOREIGN_PLACE}}


def verification(*kinds: str) -> ShownVerification:
    """What the API says of a verification whose rows have these kinds."""
    rows = [
        {"rowNum": row, "kind": kind, **({"differences": DIFFERENT} if kind == "different" else {})}
        for row, kind in enumerate(kinds, 1)
    ]
    return ShownVerification(Counter(kinds), rows)


AS_IT_IS = ("confirmed", "different", "missing", "extra", "different", "notChecked")


def seen() -> Seen:
    """A run that breaks no promise."""
    scenario = Scenario(2, False, WORKS, (), "", 20, kept=2)
    attempts = [Attempt(work, f"{work.name}.1", number) for number, work in enumerate(WORKS, 1)]
    attempts[1].is_cancelled = True
    attempts[9].is_applied = True
    attempts[11].undo_id = 14
    attempts[12].verification_id = 15
    return Seen(
        scenario,
        attempts,
        [
            job(1, "new", "created", "created", "failed"),
            job(2, "off", "created", status="CANCELLED", records=2),
            job(3, "calendars", "created"),
            job(4, "first", "created"),
            job(5, "second", "updated"),
            job(6, "read", records=2),
            replace(
                job(7, "plan", status="PLANNED", records=2),
                planned={1: 1, 2: 1},
                planned_kinds={"updated": 1, "created": 1},
            ),
            job(8, "base", "created", "created"),
            job(9, "foreign", "updated"),
            replace(
                job(10, "applied", "drifted", "updated", "created", "failed"),
                planned=dict.fromkeys(range(1, 5), 1),
                planned_kinds={"updated": 2, "created": 1, "refused": 1},
            ),
            job(11, "old", "created"),
            job(12, "undone", "updated", "created"),
            job(13, "verified", *["created"] * 5, "failed"),
            replace(job(14, "undone", "reversed", "gone_already"), undo_of=12),
            replace(
                job(15, "verified", status="VERIFIED", records=6),
                verify_of=13,
                planned=dict.fromkeys(range(1, 7), 1),
                planned_kinds={
                    "unchanged": 1,
                    "updated": 2,
                    "not_found": 1,
                    "ambiguous": 1,
                    "not_compared": 1,
                },
            ),
        ],
        verifications={15: verification(*AS_IT_IS)},
        statuses={1: {"status": "COMPLETE", "recordsCount": 3, "recordsFailedCount": 1}},
        errors={1: [{"rowNum": 3}]},
        files=[
            ("read", f"summary,location\nKept 2,{kept_place(2)}\nKept 1,{kept_place(1)}\n".encode())
        ],
        callbacks=[callback({})],
        ever=Counter([*EVENTS]),
        live=Counter([*EVENTS, "calendars.1 1"]),
        places={
            **dict.fromkeys(("new.1 1", "new.1 2", "off.1 1"), ("ann@example.com", "v0")),
            "calendars.1 1": ("bob@example.com", ""),
            "first 1": ("bob@example.com", "v2"),
            "base 1": ("bob@example.com", "v3"),
            "base 2": ("bob@example.com", "v2"),
            "base 3": ("bob@example.com", "v2"),
            "old 1": ("bob@example.com", "v1"),
            "seen 1": ("ann@example.com", "v1"),
            "seen 2": ("ann@example.com", FOREIGN_PLACE),
            "seen 4": ("ann@example.com", "v1"),
            "seen 5": ("ann@example.com", FOREIGN_PLACE),
            **{f"Kept {number}": ("reader@example.com", kept_place(number)) for number in (1, 2)},
        },
    )


def test_a_run_without_faults_breaks_no_promise() -> None:
    assert broken_promises(seen()) == []


def with_job(number: int, **changes: object) -> Callable[[Seen], None]:
    def change(seen: Seen) -> None:
        seen.jobs = [replace(job, **changes) if job.id == number else job for job in seen.jobs]  # type: ignore[arg-type]

    return change


def with_verification(*kinds: str) -> Callable[[Seen], None]:
    def change(seen: Seen) -> None:
        seen.verifications[15] = verification(*kinds)

    return change


def with_kinds(number: int, *kinds: str) -> Callable[[Seen], None]:
    counts = {kind.value: kinds.count(kind.value) for kind in OutcomeKind}
    return with_job(number, kinds=dict(enumerate(kinds, 1)), counts=counts)


def with_callback(one: Callback | None) -> Callable[[Seen], None]:
    def change(seen: Seen) -> None:
        seen.callbacks = [] if one is None else [*seen.callbacks, one]

    return change


def without_job(number: int) -> Callable[[Seen], None]:
    def change(seen: Seen) -> None:
        seen.jobs = [job for job in seen.jobs if job.id != number]

    return change


def without_trace(seen: Seen) -> None:
    without_job(3)(seen)
    seen.attempts[2].job_id = None


NO_COUNTS = {kind.value: 0 for kind in OutcomeKind}
BROKEN: dict[str, tuple[Callable[[Seen], object], str]] = {
    "a job is lost": (without_job(3), "acknowledged as job 3, and the ledger has []"),
    "a job is lost, and what it made is there": (
        without_trace,
        "'calendars.1 1' was made, and no job is known that has",
    ),
    "a request makes two jobs": (
        lambda seen: setattr(seen, "jobs", [*seen.jobs, job(7, "calendars", "created")]),
        "one request made 2 jobs",
    ),
    "a job is nobody's": (
        lambda seen: setattr(seen, "jobs", [*seen.jobs, job(7, "x", "created")]),
        "nobody requested it",
    ),
    "a job does not finish": (with_job(3, status="RUNNING"), "is RUNNING and does not finish"),
    "a job is stopped": (with_job(3, status="ABORTED"), "ended as ABORTED"),
    "a job is cancelled by itself": (with_job(3, status="CANCELLED"), "ended as CANCELLED"),
    "a cancelled job continues": (
        with_job(2, status="COMPLETE"),
        "was cancelled, and is COMPLETE",
    ),
    "an undo keeps a record": (
        with_job(14, kinds={1: "kept", 2: "reversed"}),
        "its undo has Counter({'kept': 1})",
    ),
    "an undo leaves a row out": (with_job(14, kinds={1: "reversed"}), "and 2 were written"),
    "an undo does not end": (with_job(14, status="ERROR"), "its undo ended as ERROR"),
    "a job is not undone": (with_job(14, undo_of=99), "is undone by 14, and the ledger has None"),
    "an undo leaves a new record": (
        lambda seen: seen.live.update(["old 2"]),
        "row 2 is undone, and there are 1 of it",
    ),
    "an undo leaves a new value": (
        lambda seen: seen.places.update({"old 1": ("bob@example.com", "v2")}),
        "row 1 is undone, and it is at",
    ),
    "a job is not verified": (
        with_job(15, verify_of=99),
        "is verified by 15, and the ledger has None",
    ),
    "a verification does not end": (
        with_job(15, status="ABORTED"),
        "its verification ended as ABORTED",
    ),
    "a verification writes": (
        with_job(15, kinds={1: "updated"}),
        "its verification has outcomes of 1 rows",
    ),
    "a verification leaves a row out": (
        with_job(15, planned=dict.fromkeys(range(1, 6), 1)),
        "its verification has 5 of 6 rows",
    ),
    "a verification has a row twice": (
        with_job(15, planned={**dict.fromkeys(range(1, 6), 1), 6: 2}),
        "or one twice",
    ),
    "a verification does not see that a record was changed": (
        with_verification("confirmed", *AS_IT_IS[:1], *AS_IT_IS[2:]),
        "row 2 is verified as confirmed instead of {'different'}",
    ),
    "a verification does not see that a record is gone": (
        with_verification(*AS_IT_IS[:2], "confirmed", *AS_IT_IS[3:]),
        "row 3 is verified as confirmed instead of {'missing'}",
    ),
    "a verification does not see a second record": (
        with_verification(*AS_IT_IS[:3], "confirmed", *AS_IT_IS[4:]),
        "row 4 is verified as confirmed instead of {'extra'}",
    ),
    "a verification compares what was not written": (
        with_verification(*AS_IT_IS[:5], "missing"),
        "row 6 is verified as missing instead of {'notChecked'}",
    ),
    "a verification shows another difference": (
        lambda seen: seen.verifications[15].rows[1].update(differences={}),  # type: ignore[attr-defined]
        "row 2 is different in {}",
    ),
    "a verification counts something else": (
        with_job(15, planned_kinds={"unchanged": 6}),
        "and has kept {'confirmed': 6}",
    ),
    "a verified record is changed back": (
        lambda seen: seen.places.update({"seen 2": ("ann@example.com", "v1")}),
        "row 2 is created, and it is at ('ann@example.com', 'v1')",
    ),
    "a plan writes": (with_job(7, kinds={1: "updated"}), "is a plan, and has outcomes"),
    "a planned job becomes a job": (with_job(7, status="COMPLETE"), "ended as COMPLETE"),
    "a row is not planned": (with_job(7, planned={2: 1}), "plans 1 of 2 rows"),
    "a row is planned twice": (with_job(7, planned={1: 1, 2: 2}), "or one of them twice"),
    "a plan is wrong": (with_job(7, planned_kinds={"created": 2}), "plans {'created': 2}"),
    "an apply overwrites what has drifted": (
        with_kinds(10, "updated", "updated", "created", "failed"),
        "row 1 is updated instead of {'drifted'}",
    ),
    "an apply does something else": (
        with_kinds(10, "drifted", "updated", "updated", "failed"),
        "row 3 is updated instead of {'created'}",
    ),
    "an apply leaves a row out": (
        with_kinds(10, "drifted", "updated", "created"),
        "carries out 3 of 4 rows",
    ),
    "an apply does not write": (
        lambda seen: seen.places.update({"base 2": ("bob@example.com", "v1")}),
        "row 2 is updated, and there are 1 of it, at ('bob@example.com', 'v1')",
    ),
    "a row has no outcome": (
        with_job(1, kinds={1: "created", 3: "failed"}),
        "is complete with 2 outcomes for 3 rows",
    ),
    "no row was ever read": (
        with_job(3, records=None, kinds={}, counts=NO_COUNTS),
        "has None records of 1 rows",
    ),
    "counts are not those of the outcomes": (with_job(1, counts=NO_COUNTS), "and its outcomes are"),
    "a good row fails": (
        with_job(3, kinds={1: "failed"}, counts=NO_COUNTS | {"failed": 1}),
        "row 1 is failed",
    ),
    "a row that honours keys is unknown": (
        with_job(4, kinds={1: "unknown"}, counts=NO_COUNTS | {"unknown": 1}),
        "row 1 is unknown",
    ),
    "the API says something else": (
        lambda seen: seen.statuses[1].update(recordsCount=2),  # type: ignore[attr-defined]
        "the API says",
    ),
    "an error is not listed": (
        lambda seen: seen.errors.update({1: []}),
        "the API lists errors of rows []",
    ),
    "a record is not there": (
        lambda seen: seen.live.update({"new.1 1": -1}),
        "row 1 is created, and there are 0 of it",
    ),
    "a record is there twice": (
        lambda seen: seen.live.update(["new.1 1"]),
        "row 1 is created, and there are 2 of it",
    ),
    "a record was made twice": (
        lambda seen: seen.ever.update(["new.1 1"]),
        "'new.1 1' was made 2 times",
    ),
    "a row that failed is there": (
        lambda seen: seen.live.update(["new.1 3"]),
        "row 3 is failed, and there are 1 of it",
    ),
    "a change is not there": (
        lambda seen: seen.places.update({"first 1": ("bob@example.com", "v1")}),
        "row 1 is updated, and it is at ('bob@example.com', 'v1') "
        "instead of ('bob@example.com', 'v2')",
    ),
    "a record is in somebody else's calendar": (
        lambda seen: seen.places.update({"new.1 2": ("bob@example.com", "v0")}),
        "row 2 is created, and it is at ('bob@example.com', 'v0') "
        "instead of ('ann@example.com', 'v0')",
    ),
    "a record that was only to be read is gone": (
        lambda seen: seen.live.update({"Kept 1": -1}),
        "nobody wrote to ['Kept 1'], and 1 such events",
    ),
    "a file is never fetched": (lambda seen: seen.files.clear(), "its file was never fetched"),
    "a file lacks a record": (
        lambda seen: seen.files.append(
            ("read", f"summary,location\nKept 1,{kept_place(1)}\n".encode())
        ),
        "its file lacks 1 records",
    ),
    "a file has a value of another record": (
        lambda seen: seen.files.append(("read", seen.files[0][1].replace(b"00002", b"00001"))),
        "its file lacks 1 records",
    ),
    "a callback is missing": (with_callback(None), "its caller was not notified"),
    "a callback is about another job": (
        with_callback(callback({"id": 2})),
        "a callback says 2 COMPLETE",
    ),
    "a callback says something else": (
        with_callback(callback({"recordsCount": 2})),
        "a callback says 2 records",
    ),
    "a callback is not signed": (
        with_callback(replace(callback({}), body=callback({"more": 1}).body)),
        "a callback is not signed as Standard Webhooks are",
    ),
    "a callback is not signed as SAP's are": (
        with_callback(with_header("elements-webhook-signature", "")),
        "a callback is not signed as SAP's are",
    ),
    "a callback has another id": (
        with_callback(with_header("webhook-id", "msg_2")),
        "its callbacks have several ids",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_checker_notices_each_broken_promise(what: str) -> None:
    run = seen()
    break_promise, story = BROKEN[what]
    break_promise(run)
    assert any(story in found for found in broken_promises(run)), broken_promises(run)
