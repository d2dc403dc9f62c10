"""Roles by what an OpenID provider says of a person."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openbulk.domain.access import Role


@dataclass(frozen=True, slots=True)
class RoleRule:
    """Which claim gives which role."""

    claim: str = ""
    """Its name, or a path with dots: `groups`, `realm_access.roles`. Empty: roles are given here,
    and `default` is that of people who are new."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """Roles by the values of the claim. Of several, the one that may most counts."""
    default: Role | None = None
    """The role of everybody else; None if they have no access."""

    def role_of(self, claims: Mapping[str, Any]) -> Role | None:
        """The role of a person; None if the person has no access."""
        values = _values_at(claims, self.claim)
        found = [role for value, role in self.roles.items() if value in values]
        return max(found, key=list(Role).index, default=self.default)


def _values_at(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    """The texts of a claim, which is one or a list. A name with dots in it goes before a path."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
    values = found if isinstance(found, list) else [found]
    return frozenset(value for value in values if isinstance(value, str))
