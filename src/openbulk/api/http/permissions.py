"""The one place where the permission of an operation is required."""

from datetime import UTC, datetime

from fastapi import Request
from fastapi.routing import APIRoute

from openbulk.api.http.callers import identify_caller
from openbulk.api.http.operations import needs_confirmation, permission_of
from openbulk.api.services import ServicesOfApp
from openbulk.domain.access import Permission, refusal
from openbulk.domain.errors import ConfirmFirst
from openbulk.domain.people import Caller

_SIGNS_IN_BY_ITSELF = "GET /metrics"
"""Prometheus sends a token of its own there."""


async def require_permission_of_route(request: Request, services: ServicesOfApp) -> None:
    """Raise NotSignedIn or NotAllowed for a caller who may not call the route of the request."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    operation = f"{request.method} {route.path_format}"
    needed = permission_of(request.method, route.path_format)
    if needed is not None and operation != _SIGNS_IN_BY_ITSELF:
        caller = await identify_caller(request, services)
        require_permission(caller, needed)
        if needs_confirmation(request.method, route.path_format):
            require_confirmation(caller)


def require_confirmation(caller: Caller) -> None:
    """Raise ConfirmFirst for a session whose person has not shown lately that it is theirs."""
    if caller.session is not None and not caller.session.is_confirmed(datetime.now(UTC)):
        raise ConfirmFirst(
            "show first that it is you: send your password to POST /authentication/confirm; "
            "that holds for ten minutes"
        )


def require_permission(caller: Caller, needed: Permission) -> None:
    """Raise NotAllowed if a caller does not have a permission."""
    if needed not in caller.permissions:
        raise refusal(needed, caller.user.role, caller.scopes)
