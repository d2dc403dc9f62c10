"""The words for how many calls a service allows: what a connector knows of it, and whom it asks.

A connector names the budgets that each of its calls counts on, and reads from an answer that there were too many.
How they are shared out, learned and remembered is the engine's (`engine/quota/governor.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from openbulk.domain.errors import RetryLater


@dataclass(frozen=True, slots=True)
class Budget:
    """So many calls within any such time: a sliding window."""

    scope: str
    """Whose calls are counted together, across all instances: `googlecalendar/user/3f0a...`."""
    label: str
    """Which of a service's limits it is, as a `Throttle` names it: `user`."""
    calls: int
    seconds: float
    says: str
    """The limit in a sentence: "Google allows 600 calls a minute for one user"."""
    may_be_more: bool = False
    """The number is the documented one, and accounts with another are known: at its edge, one call finds out."""


@dataclass(frozen=True, slots=True)
class Throttle:
    """What an answer says that refused a call for being one too many."""

    message: str
    label: str | None = None
    """The budget that it is about; None where the service does not say."""
    after: float | None = None
    """Seconds for which nothing more is taken, where the service or its documentation says."""
    provider_message: str | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call. How the call ends is told to the pace that gave it."""

    budgets: Sequence[Budget]
    """From the widest to the narrowest."""
    probes: tuple[str, ...] = ()
    """The scopes whose documented limits this call goes beyond."""


class Pace(Protocol):
    """Gives leave for calls. Every permit is settled exactly once: answered, refused or lost."""

    async def take(self, budgets: Sequence[Budget]) -> Permit:
        """Leave for a call that counts on these budgets. Raises RetryLater where that takes more than a moment."""

    async def answered(self, permit: Permit) -> None:
        """The service dealt with the call, whatever it said."""

    async def refused(self, permit: Permit, throttle: Throttle) -> RetryLater:
        """The service took the call for one too many: what to raise."""

    def lost(self, permit: Permit) -> None:
        """Nobody knows what became of the call."""


class Unpaced:
    """For services that bound nothing, and for a single call beside the engine."""

    async def take(self, budgets: Sequence[Budget]) -> Permit:
        """At once."""
        return Permit(budgets)

    async def answered(self, permit: Permit) -> None:
        """Nothing to learn."""

    async def refused(self, permit: Permit, throttle: Throttle) -> RetryLater:
        """The service's own words."""
        return RetryLater(
            throttle.message, after=throttle.after, provider_message=throttle.provider_message
        )

    def lost(self, permit: Permit) -> None:
        """Nothing to give back."""
