"""The first page: what runs, what needs the person, what ran lately."""

import asyncio

from starlette.responses import Response

from openbulk.console.pages.found_jobs import ENDED
from openbulk.console.pages.instances import list_instances
from openbulk.console.visits import Visit

LOOKED_AT = 50
RECENT = 10


async def home(visit: Visit) -> Response:
    """Show it."""
    jobs, instances, waiting = await asyncio.gather(
        visit.api.get("/bulk/jobs", pageSize=LOOKED_AT),
        list_instances(visit),
        visit.api.get("/approvals", state="waiting", pageSize=LOOKED_AT),
    )
    to_approve = [plan for plan in waiting if plan["mayDecide"]]
    theirs = {plan["id"] for plan in to_approve}
    running = [job for job in jobs if job["status"] not in ENDED]
    failed = [job for job in jobs if job["status"] in ENDED and job.get("error_count")]
    planned = [job for job in jobs if job["status"] == "PLANNED" and job["id"] not in theirs]
    return visit.page(
        "home.html",
        instances=instances,
        names={one["id"]: one["name"] for one in instances},
        running=running,
        to_approve=to_approve[:RECENT],
        failed=failed[:RECENT],
        planned=planned[:RECENT],
        recent=[job for job in jobs if job["status"] in ENDED - {"PLANNED"}][:RECENT],
    )
