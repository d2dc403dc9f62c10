"""Pacing: budgets for the calls that a service allows, and permits for single calls.

A connector names the budgets that each of its calls counts against, and recognizes the answers that
refuse a call because a budget is used up. The engine shares the budgets out between jobs, learns
from refusals and remembers what was spent (`engine/quota/governor.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from openbulk.domain.errors import RetryLater


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `calls` calls within any `seconds` seconds: a sliding window."""

    scope: str
    """Whose calls are counted together, across all instances: `googlecalendar/user/3f0a...`."""
    label: str
    """Which of a service's limits it is, as a `Throttle` names it: `user`."""
    calls: int
    seconds: float
    limit_text: str
    """The limit in a sentence: "Google allows 600 calls a minute for one user"."""
    may_probe: bool = False
    """`calls` is the documented limit, and some accounts have a higher one. When the budget is used
    up, one call beyond it (a probe) finds out."""


@dataclass(frozen=True, slots=True)
class Throttle:
    """An answer that refuses a call because a budget is used up."""

    message: str
    label: str | None = None
    """The label of that budget; None where the service does not name a limit."""
    after: float | None = None
    """Seconds until the service takes calls again; None where neither answer nor docs say."""
    provider_message: str | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """Allows one call. Report how the call ended to the pace that gave the permit."""

    budgets: Sequence[Budget]
    """From the widest to the narrowest."""
    probes: tuple[str, ...] = ()
    """The scopes whose documented limits this call goes beyond."""


class Pace(Protocol):
    """Gives permits for calls. Report each one exactly once: as an answer, a refusal or a loss."""

    async def take(self, budgets: Sequence[Budget]) -> Permit:
        """Take a permit for one call that counts against these budgets.

        Raises RetryLater where none is available within a moment, and CallWithdrawn where the
        caller must not make calls any more.
        """

    async def report_answer(self, permit: Permit) -> None:
        """The service handled the call, whether it did what the call wanted or not."""

    async def report_refusal(self, permit: Permit, throttle: Throttle) -> RetryLater:
        """The service refused the call because a budget is used up. Raise the error returned."""

    def report_loss(self, permit: Permit) -> None:
        """The call has no answer: it was not sent, or its answer was lost."""


class Unpaced:
    """For services without limits, and for single calls outside the engine."""

    async def take(self, budgets: Sequence[Budget]) -> Permit:
        """A permit is always available."""
        return Permit(budgets)

    async def report_answer(self, permit: Permit) -> None:
        """An answer teaches nothing."""

    async def report_refusal(self, permit: Permit, throttle: Throttle) -> RetryLater:
        """The refusal as the service worded it."""
        return RetryLater(
            throttle.message, after=throttle.after, provider_message=throttle.provider_message
        )

    def report_loss(self, permit: Permit) -> None:
        """No budget has anything to take back."""
