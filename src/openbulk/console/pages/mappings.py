"""Saved mappings: how the columns of a kind of file make the fields of an object."""

from starlette.responses import Response

from openbulk.console.api_calls import path_of
from openbulk.console.visits import Visit

PAGE_SIZE = 100


async def mappings(visit: Visit) -> Response:
    """All versions, newest first."""
    page = await visit.api.page(
        "/mappings", pageSize=PAGE_SIZE, nextPage=visit.query.get("page", "")
    )
    return visit.page("mappings.html", mappings=page.body, next_page=page.next_page)


async def delete(visit: Visit) -> Response:
    """Delete a version."""
    await visit.api.send("DELETE", path_of("mappings", visit.request.path_params["id"]))
    return visit.go_to("/mappings")
