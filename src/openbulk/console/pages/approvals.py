"""What people decide about the plans of others: they approve them, refuse them, or think again."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from openbulk.console.api_calls import ApiRefusal, path_of
from openbulk.console.pages.jobs import job_page
from openbulk.console.visits import Visit


async def decide(visit: Visit) -> Response:
    """Approve or refuse a plan."""
    form, job_id = await visit.form(), visit.request.path_params["id"]
    body = {name: str(form.get(name, "")) for name in ("plan", "decision", "note")}
    return await _send(visit, "POST", path_of("bulk", job_id, "approvals"), body)


async def withdraw(visit: Visit) -> Response:
    """Take back what was decided about a plan."""
    job_id, decision = visit.request.path_params["id"], visit.request.path_params["approval"]
    return await _send(visit, "DELETE", path_of("bulk", job_id, "approvals", decision))


async def _send(
    visit: Visit, method: str, path: str, body: Mapping[str, Any] | None = None
) -> Response:
    try:
        await visit.api.send(method, path, body)
    except ApiRefusal as error:
        return await job_page(visit, error.message, error.status)
    return visit.go_to(f"/jobs/{visit.request.path_params['id']}")
