"""How each operation writes into services, and what that means where plans are approved first.

The table has each operation that needs the permission to load or to plan. One that is missing, and
needs the one to load, counts as writing at once: a forgotten line closes and does not open.
"""

from collections.abc import Mapping
from enum import Enum

from openbulk.api.http.operations import operation_of, permission_of
from openbulk.domain.access import Permission
from openbulk.domain.approvals import ApprovalRule
from openbulk.domain.errors import NotAllowed
from openbulk.domain.people import Caller


class Way(Enum):
    """How an operation writes into services."""

    NEVER = "it writes nothing there"
    AT_ONCE = "no plan precedes it: refused here, before the body is read"
    BY_A_JOB = "by a job: refused in bulk/job_requests.py, unless that is planned"
    BY_A_SCHEDULE = "again and again: refused in schedules/schedules.py, if the schedule writes"
    BY_A_PLAN = "what a plan says: with its approval, in engine/applies.py"


WAYS: Mapping[str, Way] = {
    "POST /{path}": Way.AT_ONCE,
    "PATCH /{path}": Way.AT_ONCE,
    "PUT /{path}": Way.AT_ONCE,
    "DELETE /{path}": Way.AT_ONCE,
    "POST /bulk/workflows": Way.AT_ONCE,
    "POST /bulk/{object}": Way.BY_A_JOB,
    "POST /bulk/{job_id}/retry": Way.BY_A_JOB,
    "POST /bulk/{job_id}/undo": Way.BY_A_JOB,
    "POST /jobs": Way.BY_A_SCHEDULE,
    "PUT /jobs/{schedule_id}/enable": Way.BY_A_SCHEDULE,
    "PATCH /jobs/{schedule_id}/reschedule": Way.BY_A_SCHEDULE,
    "PUT /bulk/{job_id}/apply": Way.BY_A_PLAN,
    "POST /files": Way.NEVER,
    "PATCH /files/{file_id}": Way.NEVER,
    "DELETE /files/{file_id}": Way.NEVER,
    "POST /mappings": Way.NEVER,
    "DELETE /mappings/{id}": Way.NEVER,
    # Mended values wait for a retry, which is a job of its own.
    "PATCH /bulk/{job_id}/rows/{row}": Way.NEVER,
    "POST /bulk/{job_id}/rows/mend": Way.NEVER,
    # These concern jobs that were begun with what they need.
    "PUT /bulk/{job_id}/pause": Way.NEVER,
    "PUT /bulk/{job_id}/resume": Way.NEVER,
    "PATCH /bulk/{job_id}": Way.NEVER,
    "DELETE /bulk/{job_id}": Way.NEVER,
    "PUT /bulk/{job_id}/cancel": Way.NEVER,
    # It tells the caller's own receiver once more.
    "POST /bulk/{job_id}/status/callback": Way.NEVER,
    "DELETE /jobs/{schedule_id}": Way.NEVER,
    "PUT /jobs/{schedule_id}/disable": Way.NEVER,
}


def way_of(method: str, path: str) -> Way:
    """How an operation writes. Its path is as in `permission_of`."""
    needs_load = permission_of(method, path) is Permission.LOAD
    return WAYS.get(operation_of(method, path), Way.AT_ONCE if needs_load else Way.NEVER)


def require_free_to_write(caller: Caller) -> None:
    """Raise NotAllowed, with what to do, for a caller whose writes have to be approved first."""
    if not caller.writes_by_plan_alone:
        return
    why = "your organization has everything approved that is written"
    if caller.approvals is ApprovalRule.AGENTS:
        why = "what agents write is approved by a person, and this key is one of an agent"
    raise NotAllowed(
        f"{why}: send the records as a file with POST /bulk/{{object}}?plan=true (a retry and an "
        "undo take plan=true, too); once somebody has approved the plan, PUT /bulk/{id}/apply "
        "carries it out"
    )
