"""A job that a page is about, and what its state means for the page."""

from collections.abc import Mapping
from typing import Any

from openbulk.console.api_calls import ApiCalls, ApiRefusal, path_of
from openbulk.console.visits import Visit

COMPLETE = frozenset({"COMPLETE", "COMPLETED"})
PLANS = frozenset({"PLANNED", "PLANNING"})
ENDED = frozenset(
    {"COMPLETE", "COMPLETED", "FAILED", "ERROR", "CANCELLED", "PLANNED", "VERIFIED", "ABORTED"}
)
"""States in which a job stays until somebody does something."""
MENDABLE = frozenset({"failed", "drifted", "unknown", "notReached"})
"""What became of rows that can be mended, and sent again."""


async def find_job(visit: Visit) -> tuple[ApiCalls, Mapping[str, Any]]:
    """A job, and the API for its instance, or without one that is deleted. Raises ApiRefusal."""
    job_id = visit.request.path_params["id"]
    found: Mapping[str, Any] = await visit.api.get(path_of("bulk", job_id))
    if "jobStatus" in found:  # a download of version 3 has other names for the same
        found = {
            "object_name": found["objectName"],
            "job_direction": found["jobDirection"],
            "recordsCount": found["recordCount"],
            "infoMessage": found.get("error", ""),
            **found,
        }
    try:
        return await visit.api_of(found["instanceId"]), found
    except ApiRefusal:
        return visit.api, found
