"""What happens in a run. All of it follows from the seed, so that a run can be played again."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Account = Literal["ann", "bob", "reader", "memory"]
"""An instance: of two people who write, of one whose calendar is only read, of `memory`."""
PEOPLE: Mapping[Account, str] = {
    "ann": "ann@example.com",
    "bob": "bob@example.com",
    "reader": "reader@example.com",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happens: `delay` seconds after a sign, or after the start.

    Signs are `posting up1`, `answered up1`, `running up1`, `finished up1`, `notified up1` and
    `calls 40`. If a sign does not come before all works are over, nothing happens.
    """

    delay: float
    after: str = ""

    def __str__(self) -> str:
        return f"{self.delay:.2f} s after {self.after or 'the start'}"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a caller uploads."""

    name: str
    account: Account
    object: str
    action: str
    rows: int
    texts: str
    """The beginning of its rows' texts, which identify their records. A create adds its attempt."""
    version: int = 0
    """Part of every row: the rows of another version change the records."""
    broken: frozenset[int] = frozenset()
    """Rows that the service cannot take."""
    after: str = ""
    """The upload that ends before this one begins."""
    begins: float = 0.0
    refusals: int | None = None
    """How often its callback is refused before it is taken; None without a callback."""
    cancelled: Moment | None = None
    is_retried: bool = False
    """Whether its caller retries the rows that are not written once it is finished."""
    is_plan: bool = False
    """Whether it only says what it would do."""
    is_applied: bool = False
    """Whether its caller has its plan carried out."""
    during: str = ""
    """The plan that is made before this one begins, and carried out once it has ended."""

    @property
    def writes(self) -> bool:
        """Whether it changes records."""
        return self.is_applied or not self.is_plan

    @property
    def by_reference(self) -> bool:
        """Whether its rows name their records, so that sending it twice has the effect of once."""
        return self.action != "create"


@dataclass(frozen=True, slots=True)
class Download:
    """A query over the calendar that is only read."""

    name: str
    query: str
    """For `POST /bulk/query`. Empty: `POST /bulk/download`, with small pages."""
    format: str
    expected: tuple[int, ...]
    """The numbers of the records in its file."""
    is_sorted: bool = False
    begins: float = 0.0
    refusals: int | None = None
    account: Account = "reader"


Work = Upload | Download


@dataclass(frozen=True, slots=True)
class Blow:
    """Something that is done to a process or to the disk."""

    kind: Literal["kill", "freeze", "stop", "fill"]
    target: str
    when: Moment
    seconds: float
    """Until it is started again, woken, or has space again."""
    for_good: bool = False
    """Whether it is never started again."""

    def __str__(self) -> str:
        until = "for good" if self.for_good else f"for {self.seconds:.1f} s"
        return f"{self.kind} {self.target} {self.when}, {until}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run."""

    seed: int
    is_shared: bool
    """Whether a server and workers share PostgreSQL; otherwise one process works on SQLite."""
    works: Sequence[Work]
    blows: Sequence[Blow]
    faults: str
    """Faults of the Google sandbox, after the sign-ins."""
    latency_ms: int
    kept: int
    """Events in the calendar that is only read."""
    workers: int = 0
    with_keys: bool = False
    """Whether callers send an Idempotency-Key, and repeat their requests with it."""
    hangs_up: Mapping[str, float] = field(default_factory=dict)
    """By work: after so many seconds its caller hangs up, and makes the request again."""

    @property
    def uploads(self) -> Sequence[Upload]:
        return [work for work in self.works if isinstance(work, Upload)]

    @property
    def downloads(self) -> Sequence[Download]:
        return [work for work in self.works if isinstance(work, Download)]


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
    return Scenario(
        seed=seed,
        is_shared=is_shared,
        works=[*works, *small, *plans],
        blows=[*blows, *struck],
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
