"""What can go wrong on the way to a service and back, asked for by shares of the calls."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

KINDS: Mapping[str, str] = {
    "drop-before": "close the connection without doing the work",
    "drop-after": "do the work, then close the connection without an answer",
    "slow": "answer three seconds late",
    "expire-token": "the access token of this call is expired from now on",
}
"""What any service can be asked for; its own refusals are added to these."""


@dataclass
class Faults:
    """Draws a fault, or none, for each call."""

    shares: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    burst: int = 1
    """How many calls in a row a fault hits."""

    def __post_init__(self) -> None:
        """Begin to draw; the same seed draws the same faults."""
        self._chance = random.Random(self.seed)  # noqa: S311 - chance, not secrecy
        self._drawn: str | None = None
        self._left = 0

    @classmethod
    def parse(cls, spec: str, refusals: Iterable[str] = ()) -> "Faults":
        """From `drop-after=0.02,error-503=0.01,seed=42`. Raises ValueError, saying what is possible.

        `refusals` are the answers that the service can be asked for without doing the work: `error-503`.
        """
        kinds = [*KINDS, *refusals]
        shares: dict[str, float] = {}
        seed, burst = None, 1
        for part in filter(None, (part.strip() for part in spec.split(","))):
            kind, _, value = part.partition("=")
            if kind == "seed":
                seed = _whole(part, value)
            elif kind == "burst":
                burst = max(1, _whole(part, value))
            elif kind in kinds:
                shares[kind] = _share(part, value)
            else:
                raise ValueError(f"there is no fault {kind!r}; the faults are: {', '.join(kinds)}, burst and seed")
        if sum(shares.values()) > 1:
            raise ValueError("the shares of all faults add up to more than 1")
        return cls(shares, seed, burst)

    def draw(self) -> str | None:
        """The fault of the next call."""
        if self._left == 0:
            self._drawn = self._draw()
            self._left = self.burst if self._drawn else 1
        self._left -= 1
        return self._drawn

    def _draw(self) -> str | None:
        if not self.shares:
            return None
        point = self._chance.random()
        for kind, share in self.shares.items():
            if point < share:
                return kind
            point -= share
        return None


def _whole(part: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise ValueError(f"{part!r}: this is a whole number, as in seed=42") from error


def _share(part: str, value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"{part!r}: a share is a number from 0 to 1, as in drop-after=0.02")
    return share
