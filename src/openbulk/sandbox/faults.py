"""Faults of calls and their answers, each drawn for a share of the calls."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

KINDS: Mapping[str, str] = {
    "drop-before": "close the connection without doing the work",
    "drop-after": "do the work, then close the connection without an answer",
    "slow": "answer three seconds late",
    "expire-token": "the access token of this call is expired from now on",
}
"""The faults of every sandbox; each adds the refusals of its service."""
_WHOLE_NUMBERS = frozenset({"seed", "burst"})


@dataclass
class Faults:
    """Draws a fault, or none, for each call."""

    shares: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    burst: int = 1
    """Number of consecutive calls that a fault hits; at least 1."""

    def __post_init__(self) -> None:
        """Start the sequence of draws. The same seed draws the same faults."""
        self.burst = max(1, self.burst)
        self._random = random.Random(self.seed)  # noqa: S311 - chance, not secrecy
        self._drawn: str | None = None
        self._calls_left = 0

    @classmethod
    def parse(cls, spec: str, refusals: Iterable[str] = ()) -> "Faults":
        """Parse `drop-after=0.02,error-503=0.01,seed=42`.

        `refusals` are the service's own answers, such as `error-503`. Raises ValueError with the
        possible faults.
        """
        kinds = [*KINDS, *refusals]
        shares: dict[str, float] = {}
        numbers: dict[str, int] = {}
        for part in filter(None, map(str.strip, spec.split(","))):
            kind, _, value = part.partition("=")
            if kind in _WHOLE_NUMBERS:
                numbers[kind] = _parse_whole_number(part, value)
            elif kind in kinds:
                shares[kind] = _parse_share(part, value)
            else:
                known = ", ".join(kinds)
                raise ValueError(
                    f"there is no fault {kind!r}; the faults are: {known}, burst and seed"
                )
        if sum(shares.values()) > 1:
            raise ValueError("the shares of all faults add up to more than 1")
        return cls(shares, **numbers)

    def draw(self) -> str | None:
        """The fault of the next call."""
        if self._calls_left == 0:
            self._drawn = self._draw_kind()
            self._calls_left = self.burst if self._drawn else 1
        self._calls_left -= 1
        return self._drawn

    def _draw_kind(self) -> str | None:
        point = self._random.random()
        for kind, share in self.shares.items():
            if point < share:
                return kind
            point -= share
        return None


def _parse_whole_number(part: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise ValueError(f"{part!r}: the value is a whole number, as in seed=42") from error


def _parse_share(part: str, value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:  # also refuses `nan`, which float() accepts
        raise ValueError(f"{part!r}: a share is a number from 0 to 1, as in drop-after=0.02")
    return share
