"""How the plan of a job is carried out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class DriftPolicy(StrEnum):
    """What happens to a record that has changed since it was planned."""

    SKIP = "skip"
    """It is left as it is, and its row has drifted."""
    OVERWRITE = "overwrite"
    """It is written as its row says."""


class StopReason(StrEnum):
    """What a job may have too much of."""

    FAILED = "failed"
    DRIFTED = "drifted"
    DELETES = "deletes"


@dataclass(frozen=True, slots=True)
class Threshold:
    """How many rows there may be at most: a number, or a share of all rows."""

    value: float
    is_percent: bool = False

    def is_exceeded_by(self, count: int, rows: int) -> bool:
        """Whether so many of the rows are too many."""
        return count > (self.value * rows / 100 if self.is_percent else self.value)

    def as_json(self) -> int | str:
        """As callers write it: `100`, or `"5%"`."""
        return f"{self.value:g}%" if self.is_percent else int(self.value)

    @classmethod
    def of_json(cls, written: int | str) -> "Threshold":
        """What `as_json` has written. Raises ValueError."""
        if isinstance(written, str):
            return cls(float(written.removesuffix("%")), is_percent=True)
        return cls(written)

    def __str__(self) -> str:
        """For a person: `100`, or `5 %`."""
        return f"{self.value:g} %" if self.is_percent else str(int(self.value))


@dataclass(frozen=True, slots=True)
class Apply:
    """How a plan is carried out."""

    digest: str
    """That of the plan."""
    user_id: int | None
    """The user who has the plan carried out."""
    drifted: DriftPolicy = DriftPolicy.SKIP
    stop_above: Mapping[StopReason, Threshold] = field(default_factory=dict)
    """The job ends before it goes further, if there are more of these rows."""
    first: int | None = None
    """How many rows of the plan are carried out, from its first one on; None for all."""
    until: int | None = None
    """The number of the last of them in the file; None for all."""

    def as_json(self) -> dict[str, Any]:
        """For the ledger; `of_json` reads it."""
        return {
            "digest": self.digest,
            "user_id": self.user_id,
            "drifted": self.drifted.value,
            "stop_above": {name.value: one.as_json() for name, one in self.stop_above.items()},
            "first": self.first,
            "until": self.until,
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> "Apply":
        """What `as_json` has written."""
        stop_above = {
            StopReason(name): Threshold.of_json(one) for name, one in kept["stop_above"].items()
        }
        drifted = DriftPolicy(kept["drifted"])
        return cls(
            kept["digest"], kept["user_id"], drifted, stop_above, kept["first"], kept["until"]
        )
