"""Pacing: budgets for the calls that a service allows, and permits for single calls.

A connector names the budgets that each of its calls counts against, and recognizes the answers that
refuse a call because a budget is used up. The engine shares the budgets out between jobs, learns
from refusals and remembers what was spent (`engine/quota/governor.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from openbulk.domain.errors import RetryLater

OF_JOB = "job"
"""The label of the budget that a caller gives a job: no service refuses a call because of it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `calls` calls within any `seconds` seconds: a sliding window."""

    scope: str
    """Whose calls are counted together, across all instances: `googlecalendar/user/3f0a...`."""
    label: str
    """The name of the limit, as in `Throttle.label`: `user`."""
    calls: int
    seconds: float
    limit_text: str
    """The limit in a sentence, with a place for its number: "Google allows {calls} calls a minute
    for one user"."""
    may_probe: bool = False
    """`calls` is the documented limit, and some accounts have a higher one. When the budget is used
    up, one call beyond it (a probe) finds out."""

    def sentence(self, calls: int) -> str:
        """The limit in a sentence, with the number that holds: an account may have a higher one."""
        return self.limit_text.replace("{calls}", f"{calls:,}")


@dataclass(frozen=True, slots=True)
class Throttle:
    """An answer that refuses a call because a budget is used up."""

    message: str
    label: str | None = None
    """The label of that budget; None if the service does not name a limit."""
    after: float | None = None
    """Seconds until the service takes calls again; None if neither answer nor docs say."""
    provider_message: str | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """Allows one call. Report how the call ended to the pace that gave the permit."""

    budgets: Sequence[Budget]
    """From the widest to the narrowest."""
    probes: tuple[str, ...] = ()
    """The scopes for which this call is a probe."""


class Pace(Protocol):
    """Gives permits for calls. Report each one exactly once: as an answer, a refusal or a loss."""

    async def take(self, budgets: Sequence[Budget]) -> Permit:
        """Take a permit for one call that counts against these budgets.

        Raises RetryLater if none becomes available soon, and CallWithdrawn if the caller must make
        no more calls.
        """

    async def report_answer(self, permit: Permit) -> None:
        """Report that the service handled the call, whether it succeeded or not."""

    async def report_refusal(self, permit: Permit, throttle: Throttle) -> RetryLater:
        """Report that the call was refused because a budget is used up. Raise the result."""

    def report_loss(self, permit: Permit) -> None:
        """Report that the call has no answer: it was not sent, or its answer was lost."""


class Unpaced:
    """For services without limits, and for single calls outside the engine."""

    async def take(self, budgets: Sequence[Budget]) -> Permit:
        """A permit is always available."""
        return Permit(budgets)

    async def report_answer(self, permit: Permit) -> None:
        """Do nothing: there are no limits to learn."""

    async def report_refusal(self, permit: Permit, throttle: Throttle) -> RetryLater:
        """The refusal, in the service's words."""
        return RetryLater(
            throttle.message, after=throttle.after, provider_message=throttle.provider_message
        )

    def report_loss(self, permit: Permit) -> None:
        """Do nothing: there is no budget to correct."""
