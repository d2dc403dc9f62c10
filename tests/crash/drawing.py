"""Draws scenarios. All of one follows from its seed, so that a run can be played again."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from crash.scenario import (
    Account,
    Blow,
    Download,
    ForeignChanges,
    Moment,
    Scenario,
    Upload,
    Work,
)

FAULTS = (
    "drop-before",
    "drop-after",
    "error-500",
    "error-503",
    "error-429",
    "error-403-rate",
    "slow",
    "expire-token",
)
STORIES = (
    "create",
    "create",
    "create and cancel",
    "mirror",
    "mirror",
    "calendars",
    "calendars",
    "log",
    "records",
)

LARGE = 0.15
"""Share of creates whose file is so large that its first slice only cuts it into parts."""
REFUSALS = (*[None] * 4, *[0] * 11, 1)
"""Refusals of callbacks. They are rare: openbulk waits six seconds before it sends one again."""


def scenario_of(seed: int) -> Scenario:
    """The run of a seed. Even seeds have one process on SQLite, odd ones share PostgreSQL."""
    chance = random.Random(seed)
    is_shared = bool(seed % 2)
    workers = chance.choice((1, 2)) if is_shared else 0
    kept = chance.randint(50, 400)
    stories = ["create", *chance.sample(STORIES, chance.choice((1, 2, 2, 3)))]
    works: list[Work] = []
    for number, story in enumerate(stories, 1):
        works += _uploads(chance, story, f"up{number}")
    works = [_maybe_retried(work, number + seed) for number, work in enumerate(works)]
    for number in range(chance.choice((0, 1, 1, 2))):
        works.append(_download(chance, f"down{number + 1}", kept))
    blows = _blows(chance, works, workers, is_shared=is_shared)
    # By chances of their own: the rest of a seed's run is as it was without them.
    small = _small_uploads(random.Random(f"{seed} small"))
    if small:
        blows.append(_blow_between_transactions(random.Random(f"{seed} blow"), small))
    plans, struck = _plans(random.Random(f"{seed} planning"))
    undos, struck_at_undos = _undos(random.Random(f"{seed} undoing"))
    verified, struck_at_verifications = _verified(
        random.Random(f"{seed} verifying"), is_shared=is_shared
    )
    return Scenario(
        seed=seed,
        is_shared=is_shared,
        works=[*works, *small, *plans, *undos, *verified],
        blows=[*blows, *struck, *struck_at_undos, *struck_at_verifications],
        faults=_faults(chance),
        latency_ms=chance.choice((20, 60, 120, 240)),
        kept=kept,
        workers=workers,
        with_keys=chance.random() < 0.5,
        hangs_up={work.name: chance.uniform(0.0, 0.3) for work in works if chance.random() < 0.2},
    )


def _maybe_retried(work: Work, number: int) -> Work:
    """Every other upload that creates is retried, and each that is cancelled."""
    if not isinstance(work, Upload) or work.action != "create" or work.is_plan:
        return work
    return replace(work, is_retried=work.cancelled is not None or number % 2 == 0)


def _uploads(chance: random.Random, story: str, name: str) -> list[Upload]:
    account: Account = chance.choice(("ann", "bob"))
    begins = chance.uniform(0, 1.5)
    refusals = chance.choice(REFUSALS)
    first = Upload(name, account, "events", "create", 0, name, begins=begins, refusals=refusals)
    match story:
        case "create" | "create and cancel":
            is_large = chance.random() < LARGE
            rows = chance.randint(1_700, 2_400) if is_large else chance.randint(40, 400)
            upload = replace(first, rows=rows, broken=_broken_rows(chance, rows))
            if story == "create":
                return [upload]
            cancelled = Moment(chance.uniform(0, 1.5), f"running {name}")
            return [replace(upload, cancelled=cancelled)]
        case "mirror":
            return _mirror(chance, first)
        case "calendars":
            return [replace(first, object="calendars", rows=chance.randint(4, 25))]
        case "log":
            rows = chance.randint(100, 4000)
            broken = _broken_rows(chance, rows)
            return [replace(first, account="memory", object="log", rows=rows, broken=broken)]
        case _:
            upsert = replace(first, account="memory", object="records", action="upsert", version=1)
            return [replace(upsert, rows=chance.randint(500, 8000))]


def _plans(chance: random.Random) -> tuple[list[Upload], list[Blow]]:
    """Records, and a plan of changes to them; often the server is killed while it is made.

    In most of these runs somebody else then changes some of the records, the plan is carried out,
    and the server is often killed meanwhile. They have chances of their own: a seed has the works
    that it had before there were plans.
    """
    if chance.random() < 0.5:
        return [], []
    account: Account = chance.choice(("ann", "bob"))
    rows = chance.randint(40, 200)
    first = Upload("plan1", account, "events", "upsert", rows, "plan1", version=1)
    plan = replace(
        first,
        name="plan1b",
        version=2,
        rows=rows + chance.randint(0, 200),
        after="plan1",
        is_plan=True,
    )
    plan = replace(plan, broken=_broken_rows(chance, plan.rows))
    blows = [_kill(chance, "running plan1b")] if chance.random() >= 0.5 else []
    if chance.random() < 0.25:
        return [first, plan], blows
    # Some records that are known, or all of them and some that the plan would create.
    changed = chance.choice((chance.randint(1, rows), min(rows + 10, plan.rows)))
    foreign = replace(first, name="plan1c", version=3, rows=changed, during=plan.name)
    if chance.random() < 0.5:
        blows.append(_kill(chance, "applying plan1b"))
    return [first, foreign, replace(plan, is_applied=True)], blows


def _kill(chance: random.Random, sign: str) -> Blow:
    return Blow("kill", "server", Moment(chance.uniform(0, 0.3), sign), chance.choice((0.0, 1.0)))


def _undos(chance: random.Random) -> tuple[list[Upload], list[Blow]]:
    """Records, and changes to them that are undone; often the server is killed meanwhile.

    They have chances of their own, as plans.
    """
    if chance.random() < 0.5:
        return [], []
    account: Account = chance.choice(("ann", "bob"))
    rows = chance.randint(30, 120)
    first = Upload("undo1", account, "events", "upsert", rows, "undo1", version=1)
    more = rows + chance.randint(0, 60)
    changed = replace(first, name="undo1b", version=2, rows=more, after="undo1", is_undone=True)
    if chance.random() < 0.3:
        return [first, changed], []
    sign = chance.choice(("running undo1b", "undoing undo1b", "undoing undo1b"))
    when = Moment(chance.uniform(0, 0.5), sign)
    return [first, changed], [Blow("kill", "server", when, chance.choice((0.0, 1.0)))]


def _verified(chance: random.Random, *, is_shared: bool) -> tuple[list[Upload], list[Blow]]:
    """Records that somebody else changes, and the verification of them.

    Often the server or a worker is killed meanwhile. They have chances of their own, as plans.
    """
    if chance.random() < 0.5:
        return [], []
    account: Account = chance.choice(("ann", "bob"))
    rows = chance.randint(30, 120)
    action = chance.choice(("upsert", "upsert", "create", "delete"))
    upload = Upload("seen1", account, "events", "upsert", rows, "seen1", version=1)
    works = [upload]
    if action == "delete":
        works.append(
            replace(upload, name="seen1b", action="delete", after="seen1", foreign=ForeignChanges())
        )
    else:
        upload = replace(upload, action=action, broken=_broken_rows(chance, rows))
        if action == "create" and chance.random() < 0.4:
            cancelled = Moment(chance.uniform(0, 1), "running seen1")
            upload = replace(upload, cancelled=cancelled)
        works = [replace(upload, foreign=_foreign_changes(chance, upload))]
    if chance.random() < 0.3:
        return works, []
    target = chance.choice(("server", "worker 1")) if is_shared else "server"
    when = Moment(chance.uniform(0, 0.6), f"verifying {works[-1].name}")
    return works, [Blow("kill", target, when, chance.choice((0.0, 1.0)))]


def _foreign_changes(chance: random.Random, upload: Upload) -> ForeignChanges:
    """A few of each kind. Only a record with a reference can have a double."""
    kinds = ["moved", "deleted", "moved_meanwhile"]
    if upload.by_reference:
        kinds.append("doubled")
    rows = chance.sample(sorted(set(range(1, upload.rows + 1)) - upload.broken), 4 * 5)
    return ForeignChanges(
        **{
            kind: frozenset(rows[5 * number : 5 * number + chance.randint(0, 5)])
            for number, kind in enumerate(kinds)
        }
    )


def _small_uploads(chance: random.Random) -> list[Upload]:
    """Files of a few rows, at nearly the same time, several for a lane; none in half of the runs.

    The first of a lane begins without the queue, in the process that has taken it in.
    """
    if chance.random() < 0.5:
        return []
    begins = chance.uniform(0, 3)
    return [
        Upload(
            f"small{number}",
            chance.choice(("ann", "bob")),
            chance.choice(("events", "events", "calendars")),
            "create",
            chance.randint(1, 10),
            f"small{number}",
            begins=begins + chance.uniform(0, 0.5),
            refusals=chance.choice(REFUSALS),
        )
        for number in range(1, chance.randint(2, 6))
    ]


def _broken_rows(chance: random.Random, rows: int) -> frozenset[int]:
    return frozenset(chance.sample(range(1, rows + 1), chance.randint(0, 4)))


def _mirror(chance: random.Random, first: Upload) -> list[Upload]:
    """An upsert, perhaps followed by an upsert with changes, or by a deletion of its records."""
    rows, last = chance.randint(40, 200), chance.choice(("nothing", "again", "delete"))
    upsert = replace(first, action="upsert", rows=rows, version=1)
    second = replace(upsert, name=f"{first.name}b", after=first.name, begins=0.0, refusals=None)
    match last:
        case "nothing":
            return [upsert]
        case "again":
            return [upsert, replace(second, version=2)]
        case _:
            return [upsert, replace(second, action="delete")]


def _download(chance: random.Random, name: str, kept: int) -> Download:
    begins, refusals = chance.uniform(0, 2), chance.choice(REFUSALS)
    kind = chance.choice(("csv", "json", "jsonl"))
    everything = tuple(range(1, kept + 1))
    match chance.choice(("pages", "all", "sorted", "some")):
        case "pages":
            return Download(name, "", kind, everything, False, begins, refusals)
        case "all":
            return Download(name, "select * from events", kind, everything, False, begins, refusals)
        case "sorted":
            limit = chance.randint(1, kept)
            query = f"select * from events order by location desc limit {limit}"
            return Download(name, query, kind, everything[::-1][:limit], True, begins, refusals)
        case _:
            query = "select id, summary, location from events where location like '%7'"
            chosen = tuple(number for number in everything if number % 10 == 7)
            return Download(name, query, kind, chosen, False, begins, refusals)


def _faults(chance: random.Random) -> str:
    if chance.random() < 0.3:
        return ""
    shares = [
        f"{kind}={chance.choice((0.01, 0.03))}"
        for kind in chance.sample(FAULTS, chance.randint(1, 4))
    ]
    return ",".join([*shares, f"seed={chance.randrange(10**6)}"])


def _blows(
    chance: random.Random, works: Sequence[Work], workers: int, *, is_shared: bool
) -> list[Blow]:
    targets = ["server", "server", "sandbox"]
    if is_shared:
        targets += ["postgres", *(f"worker {number + 1}" for number in range(workers)), "worker 1"]
    count = chance.choice((1, 2, 3, 3, 4, 5))
    blows = [_blow(chance, chance.choice(targets), works) for _ in range(count)]
    if is_shared and chance.random() < 0.3:
        # The server and the other worker, if there is one, do its work.
        blows.append(Blow("kill", f"worker {workers}", _moment(chance, works), 0.0, for_good=True))
    if chance.random() < 0.4:
        begun = f"{chance.choice(('posting', 'running', 'running'))} {chance.choice(works).name}"
        when = Moment(chance.uniform(0, 1), begun)
        blows.append(Blow("fill", "disk", when, chance.uniform(0.5, 3)))
    return blows


def _blow(chance: random.Random, target: str, works: Sequence[Work]) -> Blow:
    kinds: list[Literal["kill", "freeze", "stop"]] = ["kill", "kill", "kill", "freeze"]
    if target not in {"postgres", "sandbox"}:
        kinds.append("stop")
    kind = chance.choice(kinds)
    if kind == "freeze":
        seconds = chance.uniform(0.5, 4)
        # Long enough to be taken for dead, so that others take its slices over.
        if target.startswith("worker") and chance.random() < 0.3:
            seconds = 12.0
    else:
        seconds = chance.choice((0.0, chance.uniform(0, 2)))
    return Blow(kind, target, _moment(chance, works), seconds)


def _blow_between_transactions(chance: random.Random, small: Sequence[Upload]) -> Blow:
    """The server dies between two transactions of a small job, of which it makes all.

    They are: the job, its slice in the lane, the slice's beginning, its end with all outcomes, and
    the end of its place in the lane.
    """
    sign = chance.choice(("posting", "answered", "answered", "running", "running", "finished"))
    delay = chance.uniform(0, 0.04)
    return Blow("kill", "server", Moment(delay, f"{sign} {chance.choice(small).name}"), 0.0)


SIGNS = (*["calls"] * 4, "running", "running", "posting", "answered", "end", "clock")


def _moment(chance: random.Random, works: Sequence[Work]) -> Moment:
    """Mostly a moment in the course of a work.

    A process that is killed by the clock is idle on a fast machine, and not yet busy on a slow one.
    """
    work = chance.choice(works).name
    match chance.choice(SIGNS):
        case "calls":
            return Moment(0.0, f"calls {chance.randint(1, _calls_of(works))}")
        case "running":
            return Moment(chance.uniform(0, 0.5), f"running {work}")
        case "posting":
            soon, later = chance.uniform(0, 0.02), chance.uniform(0, 0.2)
            return Moment(chance.choice((soon, later)), f"posting {work}")
        case "answered":
            return Moment(chance.uniform(0, 0.05), f"answered {work}")
        case "end":
            delay = chance.uniform(0, 0.05)
            return Moment(delay, f"{chance.choice(('finished', 'notified'))} {work}")
        case _:
            return Moment(chance.uniform(0.1, 5))


def _calls_of(works: Sequence[Work]) -> int:
    """The least number of calls to the service, unless a job is cancelled."""
    uploads = [work for work in works if isinstance(work, Upload)]
    written = sum(upload.rows for upload in uploads if upload.account != "memory")
    return max(1, written - 20)
