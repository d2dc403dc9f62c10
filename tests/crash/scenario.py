"""What happens in a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
class ForeignChanges:
    """What somebody else does to the records of an upload, by row. No row is in two of them."""

    moved: frozenset[int] = frozenset()
    """They get another location before the upload is verified."""
    deleted: frozenset[int] = frozenset()
    doubled: frozenset[int] = frozenset()
    """A second event gets the reference that identifies them."""
    moved_meanwhile: frozenset[int] = frozenset()
    """They get another location while the upload is verified."""


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
    is_undone: bool = False
    """Whether its caller undoes it once it is finished."""
    is_applied: bool = False
    """Whether its caller has its plan carried out."""
    foreign: ForeignChanges | None = None
    """What others do to its records before its caller verifies it; None if it is not verified."""
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
