"""Organizations and users in a ledger of a test."""

from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.domain.access import Role
from openbulk.storage.people import MadeOrganization, NewUser, People


async def add_organization(
    engine: AsyncEngine,
    secret: str = "o",
    email: str = "ann@example.com",
    user_secret: str = "u",
    role: Role = Role.ADMINISTRATOR,
) -> MadeOrganization:
    """Add an organization, named for its secret, with a user."""
    new = NewUser(email, role)
    return await People(engine).add_organization(secret, new, secret, user_secret)
