"""Who may do what: permissions, and the roles and keys that give them."""

from collections.abc import Collection, Mapping
from enum import StrEnum

from openbulk.domain.errors import NotAllowed


class Permission(StrEnum):
    """What an operation needs. The scopes of API keys are some of these."""

    READ = "read"
    """See instances, jobs, files and mappings, and download records."""
    PLAN = "plan"
    """Send files, save mappings, and plan what a job would do."""
    LOAD = "load"
    """Write into services: jobs, single records, schedules; and control and delete jobs."""
    APPROVE = "approve"
    """Approve the plans of others."""
    INSTANCES = "instances"
    """Connect services, and change how they are connected."""
    ADMINISTER = "administer"
    """Manage the users, secrets and keys of the organization."""
    OPERATE = "operate"
    """Manage the organizations of this installation."""
    OWN = "own"
    """Manage one's own secrets and keys. No key has it: it could make itself a wider one."""


SCOPES = (
    Permission.INSTANCES,
    Permission.READ,
    Permission.PLAN,
    Permission.LOAD,
    Permission.ADMINISTER,
)
"""What an API key can be for. A plan is approved by a person, and never by a key."""
AGENT_SCOPES = (Permission.READ, Permission.PLAN, Permission.LOAD)
"""What the key of an agent can be for. One that manages secrets could make a key that is none, and
one that changes instances could have an approved plan carried out somewhere else."""


class Role(StrEnum):
    """What a user is in their organization. Each role may do what the one before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMINISTRATOR = "administrator"
    INSTALLATION = "installation"
    """Administrator of the installation, and of the organization that the user belongs to."""


_VIEWER = frozenset({Permission.READ, Permission.OWN})
_OPERATOR = _VIEWER | {Permission.PLAN, Permission.LOAD}
_APPROVER = _OPERATOR | {Permission.APPROVE}
_ADMINISTRATOR = _APPROVER | {Permission.INSTANCES, Permission.ADMINISTER}
GRANTS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.APPROVER: _APPROVER,
    Role.ADMINISTRATOR: _ADMINISTRATOR,
    Role.INSTALLATION: _ADMINISTRATOR | {Permission.OPERATE},
}


def permissions_of(role: Role, scopes: Collection[str] | None) -> frozenset[Permission]:
    """What a caller may do: all that the role may, or of that what the scopes of a key name."""
    granted = GRANTS[role]
    return granted if scopes is None else granted.intersection(map(Permission, scopes))


def may_manage(role: Role, other: Role) -> bool:
    """Whether a user of this role may give, change or take away another one."""
    return GRANTS[other] <= GRANTS[role]


def refusal(needed: Permission, role: Role, scopes: Collection[str] | None) -> NotAllowed:
    """The refusal of an operation: which permission is missing, and who can give it."""
    if needed in GRANTS[role]:
        scope_list = ", ".join(sorted(scopes or ())) or "nothing"
        way = (
            "make a key with that scope"
            if needed in SCOPES
            else "no key has it: send a secret of the user instead"
        )
        return NotAllowed(
            f"this needs the permission '{needed}', and the key is for {scope_list}; {way}"
        )
    who = "the installation" if needed is Permission.OPERATE else "your organization"
    lowest = next(one for one in Role if needed in GRANTS[one])
    return NotAllowed(
        f"this needs the permission '{needed}', which your role '{role}' does not have; "
        f"an administrator of {who} can give you the role '{lowest}'"
    )
