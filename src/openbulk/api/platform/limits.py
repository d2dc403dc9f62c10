"""The limits of organizations."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from openbulk.api.http.bodies import BoundedRoute, StrictBody
from openbulk.api.http.callers import SignedInUser
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.platform.people import OrganizationId, find_organization
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire.limits import ShownLimits, present_limits
from openbulk.domain.limits import MAX_LIMIT

router = APIRouter(tags=["Organizations"], responses=may_answer(401, 405), route_class=BoundedRoute)

Limit = Annotated[int | None, Field(ge=1, le=MAX_LIMIT)]
_NAMES = {"jobs": "jobs", "bytes": "bytes", "callsPerMinute": "calls_per_minute"}
"""The names of limits on the wire, and in `Limits`."""


class ChangedLimits(StrictBody):
    """Limits of an organization's own. What is left out stays; null is that of the installation."""

    jobs: Limit = Field(None, description="Unfinished jobs.", examples=[100])
    bytes: Limit = Field(None, description="Bytes of kept files.", examples=[10_000_000_000])
    callsPerMinute: Limit = Field(  # noqa: N815
        None, description="Calls of the API in a minute.", examples=[600]
    )


@router.get(
    "/organizations/{organization_id}/limits",
    summary="Retrieve the limits of an organization",
    responses=answers(ShownLimits, 404),
)
async def limits(
    organization_id: OrganizationId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """The limits of your organization, and what it uses of them.

    An administrator of the installation sees those of any.
    """
    found = await find_organization(services, user, organization_id)
    return present_limits(await services.limits.in_use(found.id))


@router.patch(
    "/organizations/{organization_id}/limits",
    summary="Change the limits of an organization",
    responses=answers(ShownLimits, 400, 404, 413, 507),
)
async def change_limits(
    organization_id: OrganizationId,
    body: ChangedLimits,
    services: ServicesOfApp,
    user: SignedInUser,
) -> dict[str, Any]:
    """Give an organization limits of its own, or with null those of the installation again.

    Nothing is stopped or deleted: what is beyond a lower limit goes on, and nothing is added to it.
    """
    found = await find_organization(services, user, organization_id)
    changes = {_NAMES[name]: limit for name, limit in body.model_dump(exclude_unset=True).items()}
    return present_limits(await services.limits.change(found.id, changes))
