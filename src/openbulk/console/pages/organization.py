"""The organization that the person belongs to."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from openbulk.console.api_calls import ApiRefusal
from openbulk.console.visits import Visit


async def organization_of(visit: Visit) -> Mapping[str, Any]:
    """The person's organization. An administrator of the installation sees others, too."""
    every = await visit.api.get("/organizations")
    own: Mapping[str, Any] = next(one for one in every if one["id"] == visit.user.organization_id)
    return own


async def organization(visit: Visit) -> Response:
    """Its name, whose plans are approved, and its limits."""
    return visit.page("organization.html", **await _values_of(visit, visit.query.get("done", "")))


async def change(visit: Visit) -> Response:
    """Change its name, or whose plans are approved."""
    given = await visit.fields()
    body = {name: given[name].strip() for name in ("name", "approvals") if name in given}
    try:
        await visit.api.send("PATCH", f"/organizations/{visit.user.organization_id}", body)
    except ApiRefusal as error:
        values = await _values_of(visit, problem=error.message)
        values["organization"] = {**values["organization"], **body}
        return visit.page("organization.html", error.status, **values)
    return visit.go_to("/organization", done="saved")


async def _values_of(visit: Visit, done: str = "", problem: str = "") -> dict[str, Any]:
    return {
        "organization": await organization_of(visit),
        "limits": await visit.api.get(f"/organizations/{visit.user.organization_id}/limits"),
        "done": done,
        "problem": problem,
    }
