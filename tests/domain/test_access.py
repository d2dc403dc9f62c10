"""What each role and each scope gives."""

import pytest

from openbulk.domain.access import (
    GRANTS,
    SCOPES,
    Permission,
    Role,
    may_manage,
    permissions_of,
    refusal,
)

ROLES = {
    Role.VIEWER: "own read",
    Role.OPERATOR: "load own plan read",
    Role.APPROVER: "approve load own plan read",
    Role.ADMINISTRATOR: "administer approve instances load own plan read",
    Role.INSTALLATION: "administer approve instances load operate own plan read",
}


@pytest.mark.parametrize("role", Role)
def test_a_role_gives_these_permissions(role: Role) -> None:
    assert sorted(permissions_of(role, None)) == ROLES[role].split()


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_gives_its_scopes_as_far_as_the_role_of_its_user_has_them(
    role: Role, scope: Permission
) -> None:
    expected = {scope} if scope in ROLES[role].split() else set()
    assert permissions_of(role, [scope]) == expected


def test_no_key_approves_makes_secrets_or_manages_organizations() -> None:
    assert {Permission.APPROVE, Permission.OWN, Permission.OPERATE}.isdisjoint(SCOPES)


def test_nobody_manages_who_is_more() -> None:
    roles = list(Role)
    for place, role in enumerate(roles):
        assert [one for one in roles if may_manage(role, one)] == roles[: place + 1]


@pytest.mark.parametrize("needed", Permission)
def test_a_refusal_names_the_permission_and_who_can_give_it(needed: Permission) -> None:
    for role in Role:
        if needed not in GRANTS[role]:
            says = str(refusal(needed, role, None))
            assert f"'{needed}', which your role '{role}' does not have; an administrator" in says
        else:
            says = str(refusal(needed, role, []))
            assert f"'{needed}', and the key is for nothing; " in says
