"""Users, and the instances that they call for, in rows of tables."""

from typing import Any

from sqlalchemy import Row

from openbulk.domain.access import Role
from openbulk.domain.instance import CallingInstance
from openbulk.domain.people import User


def user_of_row(row: Row[Any]) -> User:
    """The user in a row that has all columns of the table of users."""
    return User(
        row.id,
        row.organization_id,
        row.email,
        Role(row.role),
        row.first_name,
        row.last_name,
        row.active,
        row.created_at,
        has_password=row.password_hash is not None,
        has_second_factor=row.totp_step is not None,
        identity_issuer=row.identity_issuer,
    )


def instance_of_row(row: Row[Any]) -> CallingInstance | None:
    """The instance in a row of a caller; None if the request names none of the organization."""
    if row.instance_id is None:
        return None
    return CallingInstance(row.instance_id, row.organization_id, row.element, row.version)
