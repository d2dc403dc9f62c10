"""The OpenID providers of organizations. Their client secrets are sealed."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from openbulk.domain.access import Role
from openbulk.domain.identity_provider import IdentityProvider
from openbulk.domain.role_rule import RoleRule
from openbulk.security import Sealer
from openbulk.storage.database import for_reading
from openbulk.storage.resealing import reseal_rows
from openbulk.storage.tables import identity_providers, organizations


class IdentityProviders:
    """Remembers at which provider the people of an organization sign in. Each has one at most."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._sealer = sealer

    async def of_organization(self, organization_id: int) -> IdentityProvider | None:
        """The provider of an organization; None if it has none."""
        return await self._find(
            select(identity_providers).where(
                identity_providers.c.organization_id == organization_id
            )
        )

    async def of_name(self, organization: str) -> IdentityProvider | None:
        """The provider of the active organization of a name, in any case; None if it has none."""
        chosen = select(identity_providers, organizations.c.name.label("organization")).join(
            organizations, organizations.c.id == identity_providers.c.organization_id
        )
        wanted = organization.strip().casefold()
        # SQLite's own `lower` knows the letters of English alone.
        async with self._reading.connect() as connection:
            rows = (await connection.execute(chosen.where(organizations.c.active))).all()
        found = [row for row in rows if row.organization.casefold() == wanted]
        exact = [row for row in found if row.organization == organization.strip()]
        one = next(iter(exact or found), None)
        return None if one is None else self._provider(one)

    async def put(self, provider: IdentityProvider) -> None:
        """Give an organization this provider, in place of an earlier one."""
        values = {
            "issuer": provider.issuer,
            "client_id": provider.client_id,
            "scopes": provider.scopes,
            "role_claim": provider.role_rule.claim,
            "roles": {value: role.value for value, role in provider.role_rule.roles.items()},
            "default_role": provider.role_rule.default,
            "email_domains": list(provider.email_domains),
            "changed_at": datetime.now(UTC),
        }
        own = identity_providers.c.organization_id == provider.organization_id
        async with self._engine.begin() as connection:
            row_id = await connection.scalar(select(identity_providers.c.id).where(own))
            if row_id is None:
                made = await connection.execute(
                    insert(identity_providers).values(
                        organization_id=provider.organization_id, **values
                    )
                )
                assert made.inserted_primary_key is not None
                row_id = int(made.inserted_primary_key.id)
            sealed = None
            if provider.client_secret:
                sealed = self._sealer.seal(provider.client_secret.encode(), _place(row_id))
            await connection.execute(
                update(identity_providers)
                .where(identity_providers.c.id == row_id)
                .values(**values, sealed_secret=sealed)
            )

    async def remove(self, organization_id: int) -> bool:
        """Forget the provider of an organization; return whether it had one."""
        own = identity_providers.c.organization_id == organization_id
        async with self._engine.begin() as connection:
            done = await connection.execute(delete(identity_providers).where(own))
        return done.rowcount > 0

    async def _find(self, chosen: Select[Any]) -> IdentityProvider | None:
        async with self._reading.connect() as connection:
            row = (await connection.execute(chosen)).first()
        return None if row is None else self._provider(row)

    def _provider(self, row: Row[Any]) -> IdentityProvider:
        secret = ""
        if row.sealed_secret is not None:
            secret = self._sealer.open(row.sealed_secret, _place(row.id)).decode()
        roles = {value: Role(role) for value, role in row.roles.items()}
        default = None if row.default_role is None else Role(row.default_role)
        return IdentityProvider(
            row.organization_id,
            row.issuer,
            row.client_id,
            secret,
            row.scopes,
            RoleRule(row.role_claim, roles, default),
            tuple(row.email_domains),
        )


async def reseal_client_secrets(connection: AsyncConnection, sealer: Sealer) -> int:
    """Seal the client secrets with the first master key; return their number."""
    return await reseal_rows(connection, sealer, {identity_providers.c.sealed_secret: _place})


def _place(row_id: int) -> str:
    return f"the client secret of OpenID provider {row_id}"
