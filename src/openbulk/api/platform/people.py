"""Organizations and their users."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from openbulk.api.http.bodies import BoundedRoute
from openbulk.api.http.callers import SignedInCaller, SignedInUser
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire import people as wire
from openbulk.api.wire.ids import parse_id
from openbulk.domain.access import Role, may_manage
from openbulk.domain.approvals import ApprovalRule
from openbulk.domain.errors import Conflict, NotAllowed, NotFound
from openbulk.domain.people import EMAIL, MAX_NAME, Organization, User
from openbulk.security import new_secret
from openbulk.storage.people import NewUser

router = APIRouter(tags=["Organizations"], responses=may_answer(401, 405), route_class=BoundedRoute)

OrganizationId = Annotated[str, Path(description="Number of an organization.", examples=["1"])]
UserId = Annotated[str, Path(description="Number of a user.", examples=["2"])]


def _check_email(text: str) -> str:
    if not EMAIL.fullmatch(text):
        raise ValueError("is not an email address; write it like ann@example.com")
    return text


Email = Annotated[str, AfterValidator(_check_email)]
Name = Annotated[str, Field(max_length=MAX_NAME)]


class NewUserBody(BaseModel):
    """A user who is about to be added."""

    model_config = ConfigDict(extra="forbid")

    email: Email = Field(
        description="Email address. It belongs to one user of the installation.",
        examples=["bob@example.com"],
    )
    role: Role = Field(Role.VIEWER, description="What the user may do.", examples=["operator"])
    firstName: Name = Field("", description="First name.", examples=["Bob"])  # noqa: N815
    lastName: Name = Field("", description="Last name.", examples=["Lee"])  # noqa: N815


class ChangedUser(BaseModel):
    """Changes of a user. What is left out stays."""

    model_config = ConfigDict(extra="forbid")

    email: Email | None = Field(
        None, description="Email address.", examples=["bob.lee@example.com"]
    )
    role: Role | None = Field(None, description="What the user may do.", examples=["approver"])
    firstName: Name | None = Field(None, description="First name.", examples=["Bob"])  # noqa: N815
    lastName: Name | None = Field(None, description="Last name.", examples=["Lee"])  # noqa: N815
    active: bool | None = Field(
        None,
        description="Whether the user may call; false ends sessions, secrets and keys.",
        examples=[True],
    )


class NewOrganizationBody(BaseModel):
    """An organization that is about to be added, and its first user, an administrator."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        min_length=1, max_length=MAX_NAME, description="Its name.", examples=["Choir"]
    )
    email: Email = Field(description="Email address of the user.", examples=["cara@example.com"])


class ChangedOrganization(BaseModel):
    """Changes of an organization. What is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(
        None, min_length=1, max_length=MAX_NAME, description="Its name.", examples=["School"]
    )
    active: bool | None = Field(None, description="Whether its users may call.", examples=[True])
    approvals: ApprovalRule | None = Field(
        None,
        description="Whose plans another person has to approve before they are carried out. With "
        "`everyone`, nothing is written without a plan.",
        examples=["agents"],
    )


# --- organizations ---


@router.get(
    "/organizations",
    summary="List organizations",
    responses=answers(list[wire.ShownOrganization]),
)
async def organizations(services: ServicesOfApp, user: SignedInUser) -> list[dict[str, Any]]:
    """Your organization; all of them for an administrator of the installation."""
    known = await services.people.organizations()
    return [
        wire.present_organization(one)
        for one in known
        if user.role is Role.INSTALLATION or one.id == user.organization_id
    ]


@router.post(
    "/organizations",
    summary="Add an organization",
    responses=answers(wire.MadeOrganization, 400, 409, 413, 507),
)
async def add_organization(body: NewOrganizationBody, services: ServicesOfApp) -> dict[str, Any]:
    """Add an organization with its first user, an administrator of it.

    The answer has the secrets of both, which are shown this once.
    """
    secret, user_secret = new_secret(), new_secret()
    first = NewUser(body.email, Role.ADMINISTRATOR)
    made = await services.people.add_organization(body.name, first, secret, user_secret)
    return {
        **wire.present_organization(made.organization),
        "user": wire.present_user(made.user),
        "organizationSecret": secret,
        "userSecret": user_secret,
    }


@router.patch(
    "/organizations/{organization_id}",
    summary="Change an organization",
    responses=answers(wire.ShownOrganization, 400, 404, 409, 413, 507),
)
async def change_organization(
    organization_id: OrganizationId,
    body: ChangedOrganization,
    services: ServicesOfApp,
    user: SignedInUser,
) -> dict[str, Any]:
    """Rename your organization, or say whose plans somebody has to approve.

    An administrator of the installation renames, deactivates and activates any. The jobs of one
    that is deactivated go on; its users may not call.
    """
    found = await find_organization(services, user, organization_id)
    changed = replace(
        found,
        name=found.name if body.name is None else body.name,
        active=found.active if body.active is None else body.active,
        approvals=body.approvals or found.approvals,
    )
    if changed.active != found.active:
        _require_other_organization(user, found)
    if changed.approvals is ApprovalRule.EVERYONE:
        await _require_no_writing_schedules(services, found)
    await services.people.change_organization(changed)
    return wire.present_organization(changed)


async def find_organization(services: Services, user: User, text: str) -> Organization:
    """An organization that the caller may see. Raises NotFound."""
    number = parse_id(text)
    is_visible = user.role is Role.INSTALLATION or number == user.organization_id
    found = None
    if number is not None and is_visible:
        found = await services.people.organization(number)
    if found is None:
        raise NotFound(f"there is no organization {text[:40]!r}; GET /organizations lists them")
    return found


async def _require_no_writing_schedules(services: Services, organization: Organization) -> None:
    """Raise Conflict if a schedule of an organization would go on to write unapproved."""
    found = await services.schedules.enabled_that_write(organization.id)
    if found:
        others = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise Conflict(
            f"the schedule {found[0]}{others} writes what nobody has approved; disable such "
            "schedules first (PUT /jobs/{id}/disable)"
        )


def _require_other_organization(user: User, organization: Organization) -> None:
    if user.organization_id == organization.id:
        raise Conflict(
            "this is your own organization: you would lock yourself out; "
            "an administrator of the installation, of another organization, can do that"
        )


# --- users ---


@router.get(
    "/organizations/users/me", summary="Retrieve yourself", responses=answers(wire.ShownUser)
)
async def me(services: ServicesOfApp, user: SignedInUser) -> dict[str, Any]:
    """The user whose secret the request has."""
    return wire.present_user(await find_user(services, user, str(user.id)))


@router.get("/organizations/users", summary="List users", responses=answers(list[wire.ShownUser]))
async def users(services: ServicesOfApp, user: SignedInUser) -> list[dict[str, Any]]:
    """The users of your organization."""
    return [wire.present_user(one) for one in await services.people.users(user.organization_id)]


@router.post(
    "/organizations/users",
    summary="Add a user",
    responses=answers(wire.ShownUser, 400, 409, 413, 507),
)
async def add_user(
    body: NewUserBody, services: ServicesOfApp, user: SignedInUser
) -> dict[str, Any]:
    """Add a user to your organization. Then make a secret, or a link for a password, for them."""
    require_may_give(user, body.role)
    new = NewUser(body.email, body.role, body.firstName, body.lastName)
    return wire.present_user(await services.people.add_user(user.organization_id, new))


@router.get(
    "/organizations/users/{user_id}",
    summary="Retrieve a user",
    responses=answers(wire.ShownUser, 404),
)
async def user(user_id: UserId, services: ServicesOfApp, caller: SignedInCaller) -> dict[str, Any]:
    """A user of your organization."""
    return wire.present_user(await find_user(services, caller.user, user_id))


@router.patch(
    "/organizations/users/{user_id}",
    summary="Change a user",
    responses=answers(wire.ShownUser, 400, 404, 409, 413, 507),
)
async def change_user(
    user_id: UserId, body: ChangedUser, services: ServicesOfApp, caller: SignedInCaller
) -> dict[str, Any]:
    """Change names, address, role and state of a user.

    The sessions, secrets, keys and links of a user who is deactivated end. Secrets that are set at
    the start of the server do not hold until the user is activated.
    """
    found = await find_managed_user(services, caller.user, user_id)
    changed = replace(
        found,
        email=body.email or found.email,
        role=body.role or found.role,
        first_name=found.first_name if body.firstName is None else body.firstName,
        last_name=found.last_name if body.lastName is None else body.lastName,
        active=found.active if body.active is None else body.active,
    )
    require_may_give(caller.user, changed.role)
    if found.id == caller.user.id and (changed.role, changed.active) != (found.role, True):
        raise Conflict(
            "this is yourself: another administrator can change your role, or deactivate you"
        )
    await services.people.change_user(changed)
    return wire.present_user(changed)


async def find_user(services: Services, user: User, text: str) -> User:
    """A user of the caller's organization. Raises NotFound."""
    number = parse_id(text)
    found = None if number is None else await services.people.user(user.organization_id, number)
    if found is None:
        raise NotFound(f"there is no user {text[:40]!r}; GET /organizations/users lists them")
    return found


async def find_managed_user(services: Services, user: User, text: str) -> User:
    """A user whom the caller may change. Raises NotFound, NotAllowed."""
    found = await find_user(services, user, text)
    if not may_manage(user.role, found.role):
        raise NotAllowed(
            f"{found.email} has the role '{found.role}', which is more than yours; "
            "an administrator of the installation can change that user"
        )
    return found


def require_may_give(user: User, role: Role) -> None:
    """Raise NotAllowed for a role that is more than the user's own."""
    if not may_manage(user.role, role):
        raise NotAllowed(
            f"the role '{role}' is more than yours; "
            "an administrator of the installation can give it"
        )
