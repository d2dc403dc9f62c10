"""What happens in a run: all of it follows from the seed, so that a run that failed can be played again."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Account = Literal["ann", "bob", "reader", "memory"]
"""Instances: two people who write, one whose calendar is only read, and the memory service."""
PEOPLE: Mapping[Account, str] = {
    "ann": "ann@example.com",
    "bob": "bob@example.com",
    "reader": "reader@example.com",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happens: so many seconds behind a sign, or behind the start where there is none.

    Signs are `posting up1`, `answered up1`, `running up1`, `finished up1`, `told up1` and `calls 40`. Where one does
    not come before all works are over, nothing happens.
    """

    delay: float
    behind: str = ""

    def __str__(self) -> str:
        """As it is told."""
        return f"{self.delay:.2f} s after {self.behind or 'the start'}"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody uploads."""

    name: str
    account: Account
    object: str
    action: str
    rows: int
    texts: str
    """What the texts of its rows begin with: what is made of a row is told by its text. A create adds its attempt."""
    version: int = 0
    """Written into every row: the same rows in another version are changes."""
    broken: frozenset[int] = frozenset()
    """Rows that cannot be taken."""
    behind: str = ""
    """The upload that has to be over before this one begins."""
    begins: float = 0.0
    refusals: int | None = None
    """How often its callback is refused before it is taken; None where there is no callback."""
    cancelled: Moment | None = None

    @property
    def by_reference(self) -> bool:
        """Whether its rows name what they are about: then sending the file twice has the effect of once."""
        return self.action != "create"


@dataclass(frozen=True, slots=True)
class Download:
    """Records that somebody asks for: those of the calendar that nobody writes to."""

    name: str
    query: str
    """Of `POST /bulk/query`; empty for `POST /bulk/download`, with small pages."""
    format: str
    expected: tuple[int, ...]
    """The numbers of the records that the file has to hold."""
    is_sorted: bool = False
    begins: float = 0.0
    refusals: int | None = None
    account: Account = "reader"


Work = Upload | Download


@dataclass(frozen=True, slots=True)
class Blow:
    """What is done to a process, or to the disk."""

    kind: Literal["kill", "freeze", "stop", "fill"]
    who: str
    when: Moment
    seconds: float
    """Until it is started again, woken up, or given its space back."""
    for_good: bool = False
    """Whether it never comes back."""

    def __str__(self) -> str:
        """As it is told."""
        until = "for good" if self.for_good else f"for {self.seconds:.1f} s"
        return f"{self.kind} {self.who} {self.when}, {until}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run."""

    seed: int
    is_shared: bool
    """Whether server and workers share a PostgreSQL database, rather than one process with SQLite."""
    works: Sequence[Work]
    blows: Sequence[Blow]
    faults: str
    """Of the Google sandbox, once everybody is signed in."""
    latency_ms: int
    kept: int
    """Events in the calendar that is only read."""
    workers: int = 0
    with_keys: bool = False
    """Whether callers send an Idempotency-Key, and with it the same request again."""
    hangs_up: Mapping[str, float] = field(default_factory=dict)
    """By work: after so many seconds its caller hangs up, and asks again."""
    uploads: Sequence[Upload] = field(init=False)
    downloads: Sequence[Download] = field(init=False)

    def __post_init__(self) -> None:
        """Tell uploads and downloads apart."""
        object.__setattr__(
            self, "uploads", [work for work in self.works if isinstance(work, Upload)]
        )
        object.__setattr__(
            self, "downloads", [work for work in self.works if isinstance(work, Download)]
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
"""Share of the files of creates that are too large to be read in the turn that begins to send."""
REFUSALS = (*[None] * 4, *[0] * 11, 1)
"""Of callbacks; few are refused, since each of those takes six seconds until it is sent again."""


def scenario_of(seed: int) -> Scenario:
    """The run of a seed. Even ones are of one process with SQLite, odd ones share PostgreSQL."""
    chance = random.Random(seed)
    is_shared = bool(seed % 2)
    workers = chance.choice((1, 2)) if is_shared else 0
    kept = chance.randint(50, 400)
    works: list[Work] = []
    for number, story in enumerate(
        ["create", *chance.sample(STORIES, chance.choice((1, 2, 2, 3)))], 1
    ):
        works += _uploads(chance, story, f"up{number}")
    for number in range(chance.choice((0, 1, 1, 2))):
        works.append(_download(chance, f"down{number + 1}", kept))
    return Scenario(
        seed=seed,
        is_shared=is_shared,
        works=works,
        blows=_blows(chance, works, workers, is_shared=is_shared),
        faults=_faults(chance),
        latency_ms=chance.choice((20, 60, 120, 240)),
        kept=kept,
        workers=workers,
        with_keys=chance.random() < 0.5,
        hangs_up={work.name: chance.uniform(0.0, 0.3) for work in works if chance.random() < 0.2},
    )


def _uploads(chance: random.Random, story: str, name: str) -> list[Upload]:
    account: Account = chance.choice(("ann", "bob"))
    begins = chance.uniform(0, 1.5)
    refusals = chance.choice(REFUSALS)
    match story:
        case "create" | "create and cancel":
            rows = (
                chance.randint(1_700, 2_400) if chance.random() < LARGE else chance.randint(40, 400)
            )
            broken = frozenset(chance.sample(range(1, rows + 1), chance.randint(0, 4)))
            cancelled = (
                Moment(chance.uniform(0, 1.5), f"running {name}")
                if story == "create and cancel"
                else None
            )
            upload = Upload(
                name,
                account,
                "events",
                "create",
                rows,
                name,
                0,
                broken,
                "",
                begins,
                refusals,
                cancelled,
            )
            return [upload]
        case "mirror":
            rows, last = chance.randint(40, 200), chance.choice(("nothing", "again", "delete"))
            first = Upload(
                name, account, "events", "upsert", rows, name, 1, begins=begins, refusals=refusals
            )
            if last == "nothing":
                return [first]
            action, version = ("delete", 1) if last == "delete" else ("upsert", 2)
            return [
                first,
                Upload(f"{name}b", account, "events", action, rows, name, version, behind=name),
            ]
        case "calendars":
            rows = chance.randint(4, 25)
            return [
                Upload(
                    name,
                    account,
                    "calendars",
                    "create",
                    rows,
                    name,
                    begins=begins,
                    refusals=refusals,
                )
            ]
        case "log":
            rows = chance.randint(100, 4000)
            broken = frozenset(chance.sample(range(1, rows + 1), chance.randint(0, 4)))
            return [
                Upload(name, "memory", "log", "create", rows, name, 0, broken, "", begins, refusals)
            ]
        case _:
            rows = chance.randint(500, 8000)
            return [
                Upload(
                    name,
                    "memory",
                    "records",
                    "upsert",
                    rows,
                    name,
                    1,
                    begins=begins,
                    refusals=refusals,
                )
            ]


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
    who = ["server", "server", "sandbox"]
    if is_shared:
        who += ["postgres", *(f"worker {number + 1}" for number in range(workers)), "worker 1"]
    blows = [
        _blow(chance, chance.choice(who), works) for _ in range(chance.choice((1, 2, 3, 3, 4, 5)))
    ]
    if (
        is_shared and chance.random() < 0.3
    ):  # the server and the other worker, where there is one, go on
        blows.append(Blow("kill", f"worker {workers}", _moment(chance, works), 0.0, for_good=True))
    if chance.random() < 0.4:
        begun = f"{chance.choice(('posting', 'running', 'running'))} {chance.choice(works).name}"
        blows.append(
            Blow("fill", "disk", Moment(chance.uniform(0, 1), begun), chance.uniform(0.5, 3))
        )
    return blows


def _blow(chance: random.Random, who: str, works: Sequence[Work]) -> Blow:
    kinds: list[Literal["kill", "freeze", "stop"]] = ["kill", "kill", "kill", "freeze"]
    if who not in {"postgres", "sandbox"}:
        kinds.append("stop")
    kind = chance.choice(kinds)
    seconds = (
        chance.uniform(0.5, 4) if kind == "freeze" else chance.choice((0.0, chance.uniform(0, 2)))
    )
    if kind == "freeze" and who.startswith("worker") and chance.random() < 0.3:
        seconds = 12.0  # long enough to be given up for dead, and to be taken over from
    return Blow(kind, who, _moment(chance, works), seconds)


def _moment(chance: random.Random, works: Sequence[Work]) -> Moment:
    """Mostly by how far the works have come: what is killed by the clock is idle on a fast machine, and not yet busy
    on a slow one."""
    work = chance.choice(works).name
    match chance.choice(
        (
            "calls",
            "calls",
            "calls",
            "calls",
            "running",
            "running",
            "posting",
            "answered",
            "end",
            "clock",
        )
    ):
        case "calls":
            return Moment(0.0, f"calls {chance.randint(1, _calls_of(works))}")
        case "running":
            return Moment(chance.uniform(0, 0.5), f"running {work}")
        case "posting":
            return Moment(
                chance.choice((chance.uniform(0, 0.02), chance.uniform(0, 0.2))), f"posting {work}"
            )
        case "answered":
            return Moment(chance.uniform(0, 0.05), f"answered {work}")
        case "end":
            return Moment(chance.uniform(0, 0.05), f"{chance.choice(('finished', 'told'))} {work}")
        case _:
            return Moment(chance.uniform(0.1, 5))


def _calls_of(works: Sequence[Work]) -> int:
    """How many calls the service has at least, unless a job is cancelled."""
    written = sum(
        work.rows for work in works if isinstance(work, Upload) and work.account != "memory"
    )
    return max(1, written - 20)
