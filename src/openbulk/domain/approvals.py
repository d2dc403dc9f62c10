"""Whose plans somebody has to approve before they are carried out, and who may approve them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from openbulk.domain.access import GRANTS, Permission, Role

HOLDS_FOR = timedelta(hours=24)
"""An approval that is not used for so long, holds no more. It never outlives its plan."""
MAX_NOTE = 1_000
"""Characters of a note."""


class ApprovalRule(StrEnum):
    """Whose plans an organization has approved. Those of agents always are."""

    AGENTS = "agents"
    """Those of agents alone. People write as they like."""
    EVERYONE = "everyone"
    """Everyone's. Nobody writes what no other person has approved."""


class Verdict(StrEnum):
    """What a person says of a plan."""

    APPROVED = "approved"
    REFUSED = "refused"


class ApprovalState(StrEnum):
    """Where the approval of a plan stands."""

    NOT_NEEDED = "notNeeded"
    """Its author is a person, and the organization leaves people alone."""
    WAITING = "waiting"
    APPROVED = "approved"
    """It can be carried out, or the rest of it."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Author:
    """Who has made a job, or has it carried out."""

    user_id: int | None
    """None if nobody knows: the job is older than the ledger's memory of authors."""
    is_agent: bool = False
    """Whether the user's key is one of an agent: a program that decides by itself."""


NOBODY_KNOWN = Author(None)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person has decided about a plan."""

    id: int
    job_id: int
    digest: str
    """That of the plan."""
    verdict: Verdict
    user_id: int
    email: str
    """The address of that user."""
    note: str
    decided_at: datetime
    expires_at: datetime
    """An approval that was not used by then holds no more; nor does any decision on a plan that has
    expired."""
    used_at: datetime | None = None
    """When the plan was carried out first: from then on the approval holds for the rest of it."""
    used_by: int | None = None
    withdrawn_at: datetime | None = None
    """When it was withdrawn, or replaced as it had expired."""
    withdrawn_by: int | None = None
    """The user who has withdrawn it; None if it had expired."""

    def stands(self, now: datetime) -> bool:
        """Whether it holds."""
        if self.withdrawn_at is not None:
            return False
        if self.verdict is Verdict.REFUSED or self.used_at is not None:
            return True
        return now < self.expires_at


def needs_approval(author: Author, rule: ApprovalRule, applying: Author | None = None) -> bool:
    """Whether a plan of this author is approved before it is carried out by `applying`."""
    by_agent = author.is_agent or (applying is not None and applying.is_agent)
    return by_agent or rule is ApprovalRule.EVERYONE


def is_own_plan(user_id: int, author: Author, rule: ApprovalRule) -> bool:
    """Whether a user is, or stands for, the author of a plan, and so cannot approve it.

    A user approves what an agent with one of their keys has planned, unless the organization wants
    a second person for everything.
    """
    if author.user_id != user_id:
        return False
    return not author.is_agent or rule is ApprovalRule.EVERYONE


def may_approve(role: Role) -> bool:
    """Whether users of a role approve plans at all."""
    return Permission.APPROVE in GRANTS[role]


def state_of(decision: Decision | None, now: datetime, *, is_needed: bool) -> ApprovalState:
    """Where the approval of a plan stands, by the newest decision about it."""
    if decision is not None and decision.stands(now):
        is_refused = decision.verdict is Verdict.REFUSED
        return ApprovalState.REFUSED if is_refused else ApprovalState.APPROVED
    return ApprovalState.WAITING if is_needed else ApprovalState.NOT_NEEDED


def problem_of(job_id: int, decision: Decision | None, now: datetime) -> str | None:
    """Why a plan that needs an approval cannot be carried out, in a sentence; None if it can."""
    if decision is None or decision.withdrawn_at is not None:
        return f"the plan of job {job_id} waits for an approval"
    if decision.verdict is Verdict.REFUSED:
        return (
            f"{decision.email} has refused the plan of job {job_id}: {decision.note}; plan the "
            "file again as it should be"
        )
    if not decision.stands(now):
        ended = decision.expires_at.isoformat(timespec="seconds")
        return f"the approval of the plan of job {job_id} expired at {ended}; it waits for another"
    return None
