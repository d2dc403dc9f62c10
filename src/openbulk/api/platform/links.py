"""One-time links: invitations, and links for another password; made, looked at and used."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import Field

from openbulk.api.http.audit import note_person
from openbulk.api.http.bodies import BoundedRoute, OpenRoute, StrictBody
from openbulk.api.http.callers import SignedInCaller, SignedInUser, address_of
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.platform.people import (
    Email,
    Name,
    UserId,
    find_managed_user,
    require_may_give,
)
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import people as people_wire
from openbulk.api.wire import sessions as wire
from openbulk.api.wire.ids import parse_id
from openbulk.api.wire.schema import Nothing
from openbulk.domain.access import Role
from openbulk.domain.errors import Conflict, NotFound
from openbulk.domain.links import Link, LinkPurpose
from openbulk.domain.people import MAX_NAME
from openbulk.identity.passwords import MAX_CHARACTERS, MIN_CHARACTERS, require_good_password
from openbulk.security import new_code
from openbulk.storage.links import Acceptance

router = APIRouter(tags=["Invitations"], responses=may_answer(401, 405), route_class=BoundedRoute)
open_router = APIRouter(
    tags=["Authentication"], responses=may_answer(401, 405), route_class=OpenRoute
)

PASSWORD_LIFETIME = timedelta(days=1)
MAX_DAYS = 30
InvitationId = Annotated[str, Path(description="Number of an invitation.", examples=["4"])]
_EXAMPLE_CODE = "rT0jexampleexampleexampleexampleexampleexam"


class InvitationBody(StrictBody):
    """Whom to invite."""

    email: Email = Field(
        description="Email address. It belongs to one user of the installation.",
        examples=["dora@example.com"],
    )
    role: Role = Field(
        Role.VIEWER, strict=False, description="What the user may do.", examples=["operator"]
    )
    expiresInDays: int = Field(  # noqa: N815 - the wire's name
        7, ge=1, le=MAX_DAYS, description="Days for which the link holds.", examples=[7]
    )


class CodeBody(StrictBody):
    """The code of a link."""

    code: str = Field(
        max_length=200, description="What the link has behind `code=`.", examples=[_EXAMPLE_CODE]
    )


class AcceptanceBody(CodeBody):
    """What a person chooses who opens a link."""

    password: str = Field(
        max_length=500,
        description=f"The new password, of {MIN_CHARACTERS} to {MAX_CHARACTERS} characters.",
        examples=["four words are good"],
    )
    firstName: Name = Field("", description="First name.", examples=["Dora"])  # noqa: N815
    lastName: Name = Field("", description="Last name.", examples=["Lee"])  # noqa: N815
    email: Email | None = Field(
        None,
        description="Email address of the first user; other links have an address.",
        examples=["dora@example.com"],
    )
    organization: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_NAME,
        description="Name of the first organization; other links have one.",
        examples=["Music school"],
    )


# --- invitations ---


@router.get(
    "/organizations/invitations",
    summary="List invitations",
    responses=answers(list[wire.ShownInvitation]),
)
async def invitations(services: ServicesOfApp, user: SignedInUser) -> list[dict[str, Any]]:
    """The invitations of your organization that are not accepted yet."""
    found = await services.links.invitations(user.organization_id)
    return [wire.present_invitation(one) for one in found]


@router.post(
    "/organizations/invitations",
    summary="Invite a person",
    responses=answers(wire.MadeInvitation, 400, 409, 413, 507),
)
async def invite(
    request: Request, body: InvitationBody, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Make a link with which a person becomes a user of your organization.

    The answer shows it this once; send it to them. An earlier one for the address ends.
    """
    require_may_give(user, body.role)
    code, lifetime = new_code(), timedelta(days=body.expiresInDays)
    made = await services.links.invite(user.organization_id, body.email, body.role, code, lifetime)
    return wire.present_made_invitation(made, code, str(request.base_url))


@router.delete(
    "/organizations/invitations/{invitation_id}",
    summary="Withdraw an invitation",
    responses=answers(Nothing, 404, 507),
)
async def withdraw(
    invitation_id: InvitationId, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """End an invitation that is not accepted yet."""
    number = parse_id(invitation_id)
    if number is None or not await services.links.withdraw(user.organization_id, number):
        raise NotFound(
            f"there is no invitation {invitation_id[:40]!r}; "
            "GET /organizations/invitations lists them"
        )
    return {}


@router.post(
    "/organizations/users/{user_id}/password-link",
    summary="Make a link for another password",
    responses=answers(wire.MadePasswordLink, 404, 409, 507),
)
async def password_link(
    request: Request, user_id: UserId, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Make a link with which a user chooses another password, within a day.

    The answer shows it this once; send it to them. It does not replace a second factor.
    """
    found = await find_managed_user(services, caller.user, user_id)
    if not found.active:
        raise Conflict(f"{found.email} is deactivated; activate the user first")
    code = new_code()
    made = await services.links.add_for_user(LinkPurpose.PASSWORD, found, code, PASSWORD_LIFETIME)
    return wire.present_password_link(made, code, str(request.base_url))


# --- who opens a link ---


@open_router.post(
    "/authentication/links/look",
    summary="Retrieve what a link is for",
    responses=answers(wire.ShownLink, 400, 404, 413),
)
async def look(request: Request, body: CodeBody, services: ServicesOfApp) -> dict[str, Any]:
    """What a link is for, and whom. It goes on to hold."""
    return wire.present_link(await _find(request, body.code, services))


@open_router.post(
    "/authentication/links/use",
    summary="Choose a password with a link",
    responses=answers(people_wire.ShownUser, 400, 404, 409, 413, 507),
)
async def use(request: Request, body: AcceptanceBody, services: ServicesOfApp) -> dict[str, Any]:
    """Accept an invitation, or choose another password, or be the first user.

    The link ends. All sessions of a user whose password is replaced end, too.
    """
    link = await _find(request, body.code, services)
    require_good_password(body.password, body.email or link.email)
    accepted = Acceptance(
        await services.passwords.hash(body.password),
        body.firstName,
        body.lastName,
        body.email or "",
        body.organization or "",
    )
    user = await services.links.use(body.code, accepted)
    note_person(request, user)
    return people_wire.present_user(user)


async def _find(request: Request, code: str, services: Services) -> Link:
    """The link of a code, whose wrong ones count as wrong secrets. Raises NotFound."""
    address = address_of(request)
    services.wrong_secrets.check(address, code)
    try:
        return await services.links.with_code(code)
    except NotFound:
        services.wrong_secrets.note_wrong(address)
        raise
