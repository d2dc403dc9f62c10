"""Approvals of plans on the wire: where each stands, and what was decided."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, EXAMPLE_TIME, EpochMs, doc, epoch_ms, without_none
from openbulk.domain.approvals import ApprovalState, Decision, Verdict
from openbulk.domain.job import Job
from openbulk.engine.approvals import ApprovalOfPlan

MAX_APPROVERS = 20
_MILLISECONDS = "in milliseconds since 1970 (UTC)"
_DIGEST = "5d41402abc4b2a76b9719d911017c592ae6b1d5c9a5b8c0f3e2d1c0b9a897867"
_APPROVER = "bob@example.com"


@with_config(EXACT)
class ApprovalOfJob(TypedDict):
    """Where the approval of a plan stands."""

    state: Annotated[
        Literal["notNeeded", "waiting", "approved", "refused"],
        doc(
            "`notNeeded`: whoever may load carries it out. `waiting`: another person has to "
            "approve it first. `approved`: it can be carried out, or the rest of it.",
            "waiting",
        ),
    ]
    approvers: NotRequired[
        Annotated[
            list[str],
            doc(f"While it waits: who may approve it, {MAX_APPROVERS} at most.", [_APPROVER]),
        ]
    ]
    by: NotRequired[Annotated[str, doc("Who has approved or refused it.")]]
    note: NotRequired[Annotated[str, doc("What that person has noted.")]]
    expiresAt: NotRequired[
        Annotated[EpochMs, doc(f"Until when an approval can be used first, {_MILLISECONDS}.")]
    ]


@with_config(EXACT)
class PlanDecision(TypedDict):
    """What a person has decided about a plan."""

    id: Annotated[int, doc("Number of the decision.", 1)]
    plan: Annotated[str, doc("Digest of the plan.", _DIGEST)]
    decision: Annotated[Literal["approved", "refused"], doc("What was decided.", "approved")]
    userId: Annotated[int, doc("Number of the user who has decided.", 2)]
    by: Annotated[str, doc("Address of that user.", _APPROVER)]
    note: Annotated[str, doc("What the user has noted; empty for nothing.", "as we agreed")]
    createdDate: Annotated[EpochMs, doc(f"When it was decided, {_MILLISECONDS}.", EXAMPLE_TIME)]
    expiresAt: Annotated[
        EpochMs,
        doc(
            f"Until when an approval can be used first, and a refusal holds, {_MILLISECONDS}.",
            EXAMPLE_TIME + 86_400_000,
        ),
    ]
    usedDate: NotRequired[
        Annotated[EpochMs, doc(f"When the plan was carried out first, {_MILLISECONDS}.")]
    ]
    usedBy: NotRequired[Annotated[int, doc("Number of the user who had it carried out.")]]
    withdrawnDate: NotRequired[
        Annotated[
            EpochMs, doc(f"When it was withdrawn, or replaced as it had expired, {_MILLISECONDS}.")
        ]
    ]
    withdrawnBy: NotRequired[Annotated[int, doc("Number of the user who has withdrawn it.")]]


@with_config(EXACT)
class JobApprovals(TypedDict):
    """Where the approval of a plan stands, and what was decided about it."""

    id: Annotated[str, doc("Id of the job.", "1")]
    approval: NotRequired[
        Annotated[ApprovalOfJob, doc("Absent once the plan is carried out, or before it is made.")]
    ]
    mayDecide: Annotated[bool, doc("Whether you may approve or refuse it.", True)]
    decisions: Annotated[list[PlanDecision], doc("What was decided, the newest first.", [])]


@with_config(EXACT)
class PlanToApprove(TypedDict):
    """A plan that needs an approval."""

    id: Annotated[int, doc("Id of the job.", 1)]
    instanceId: Annotated[int, doc("Instance that the job works with.", 1)]
    object_name: Annotated[str, doc("Object that the job writes.", "events")]
    action: Annotated[str, doc("What it does with records.", "upsert")]
    undoOf: NotRequired[Annotated[str, doc("Id of the job that it undoes.")]]
    retryOf: NotRequired[Annotated[str, doc("Id of the job of which it retries rows.")]]
    recordsTotal: NotRequired[Annotated[int, doc("Records that it has planned.", 2)]]
    createdBy: NotRequired[Annotated[int, doc("Number of the user who has made it.", 1)]]
    author: NotRequired[Annotated[str, doc("Address of that user.", "ann@example.com")]]
    byAgent: Annotated[bool, doc("Whether an agent has made it, with a key of that user.", False)]
    plannedDate: NotRequired[
        Annotated[EpochMs, doc(f"When it was planned, {_MILLISECONDS}.", EXAMPLE_TIME)]
    ]
    approval: Annotated[ApprovalOfJob, doc("Where its approval stands.")]
    mayDecide: Annotated[bool, doc("Whether you may approve or refuse it.", True)]


def present_approval(found: ApprovalOfPlan) -> dict[str, Any]:
    """Where the approval of a plan stands."""
    decision, is_decided = found.decision, found.state in _DECIDED
    has_end = found.state is ApprovalState.APPROVED and decision and decision.used_at is None
    shape = {
        "state": found.state.value,
        "approvers": [user.email for user in found.approvers[:MAX_APPROVERS]]
        if found.state is ApprovalState.WAITING
        else None,
        "by": decision.email if decision and is_decided else None,
        "note": decision.note or None if decision and is_decided else None,
        "expiresAt": epoch_ms(decision.expires_at) if decision and has_end else None,
    }
    return without_none(shape)


_DECIDED = (ApprovalState.APPROVED, ApprovalState.REFUSED)


def present_decision(decision: Decision) -> dict[str, Any]:
    """What a person has decided about a plan."""
    return without_none(
        {
            "id": decision.id,
            "plan": decision.digest,
            "decision": decision.verdict.value,
            "userId": decision.user_id,
            "by": decision.email,
            "note": decision.note,
            "createdDate": epoch_ms(decision.decided_at),
            "expiresAt": epoch_ms(decision.expires_at),
            "usedDate": epoch_ms(decision.used_at),
            "usedBy": decision.used_by,
            "withdrawnDate": epoch_ms(decision.withdrawn_at),
            "withdrawnBy": decision.withdrawn_by,
        }
    )


def present_approvals(
    job: Job, found: ApprovalOfPlan | None, decisions: Sequence[Decision], *, may_decide: bool
) -> dict[str, Any]:
    """Where the approval of a plan stands, and what was decided about it."""
    return without_none(
        {
            "id": str(job.id),
            "approval": None if found is None else present_approval(found),
            "mayDecide": may_decide,
            "decisions": [present_decision(decision) for decision in decisions],
        }
    )


def present_plan_to_approve(job: Job, found: ApprovalOfPlan, *, may_decide: bool) -> dict[str, Any]:
    """A plan that needs an approval."""
    return without_none(
        {
            "id": job.id,
            "instanceId": job.instance_id,
            "object_name": job.object,
            "action": job.upload.target.action.value,
            "undoOf": job.undo and str(job.undo.of),
            "retryOf": job.retry and str(job.retry.of),
            "recordsTotal": job.own_records,
            "createdBy": job.author.user_id,
            "author": found.author and found.author.email,
            "byAgent": job.author.is_agent,
            "plannedDate": epoch_ms(job.planned_at),
            "approval": present_approval(found),
            "mayDecide": may_decide,
        }
    )


DECISIONS = {"approve": Verdict.APPROVED, "refuse": Verdict.REFUSED}
"""What a caller asks for, and what it is then called."""
