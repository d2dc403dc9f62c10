"""Schedules: queries that openbulk repeats, and what came of each run."""

import asyncio
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.responses import Response

from openbulk.console.api_calls import ApiRefusal, path_of
from openbulk.console.pages.instances import names_of_instances
from openbulk.console.visits import Visit

PAGE_SIZE = 50
_ACTIONS: Mapping[str, tuple[str, str]] = {
    "pause": ("PUT", "/disable"),
    "resume": ("PUT", "/enable"),
    "delete": ("DELETE", ""),
}
"""What a button does: the method, and the end of the API's path."""


async def schedules(visit: Visit) -> Response:
    """All of them, oldest first."""
    page, names = await asyncio.gather(
        visit.api.page("/jobs", pageSize=PAGE_SIZE, nextPage=visit.query.get("page", "")),
        names_of_instances(visit),
    )
    return visit.page("schedules.html", schedules=page.body, names=names, next_page=page.next_page)


async def schedule(visit: Visit) -> Response:
    """One, with its runs."""
    return await _page(visit)


async def act(visit: Visit) -> Response:
    """Pause one, resume it, or delete it."""
    number, action = visit.request.path_params["id"], visit.request.path_params["action"]
    if action not in _ACTIONS:
        raise HTTPException(404)
    method, end = _ACTIONS[action]
    try:
        await visit.api.send(method, path_of("jobs", number) + end)
    except ApiRefusal as error:
        return await _page(visit, error)
    return visit.go_to("/schedules" if action == "delete" else f"/schedules/{number}")


async def _page(visit: Visit, refusal: ApiRefusal | None = None) -> Response:
    path = path_of("jobs", visit.request.path_params["id"])
    found, runs, names = await asyncio.gather(
        visit.api.get(path),
        visit.api.page(f"{path}/history", pageSize=PAGE_SIZE, page=visit.query.get("page", "")),
        names_of_instances(visit),
    )
    return visit.page(
        "schedule.html",
        200 if refusal is None else refusal.status,
        schedule=found,
        runs=runs.body,
        next_page=runs.next_page,
        instance=names.get(found["instanceId"], ""),
        problem=refusal.message if refusal else "",
    )
