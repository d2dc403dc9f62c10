"""The one place where the permission of an operation is required."""

from datetime import UTC, datetime

from fastapi import Request
from fastapi.routing import APIRoute

from openbulk.api.http.audit import begin_attempt, note_refusal
from openbulk.api.http.callers import identify_caller
from openbulk.api.http.operations import needs_confirmation, permission_of
from openbulk.api.http.ways_of_writing import Way, require_free_to_write, way_of
from openbulk.api.services import ServicesOfApp
from openbulk.domain.access import Permission, refusal
from openbulk.domain.errors import ConfirmFirst, NotAllowed
from openbulk.domain.people import Caller

_SIGNS_IN_BY_ITSELF = "GET /metrics"
"""Prometheus sends a token of its own there."""


async def require_permission_of_route(request: Request, services: ServicesOfApp) -> None:
    """Raise NotSignedIn or NotAllowed for a caller who may not call the route of the request.

    What is audited is written down before it is done: raises Unavailable or DiskFull.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    operation = f"{request.method} {route.path_format}"
    needed = permission_of(request.method, route.path_format)
    if operation == _SIGNS_IN_BY_ITSELF:
        return
    caller = None if needed is None else await identify_caller(request, services)
    if caller is not None and needed is not None:
        try:
            _require_all(caller, needed, request.method, route.path_format)
        except NotAllowed:
            note_refusal(request, caller)
            raise
    await begin_attempt(request, services, caller)


def _require_all(caller: Caller, needed: Permission, method: str, path: str) -> None:
    """Raise NotAllowed or ConfirmFirst for a caller who may not do an operation, or not now."""
    require_permission(caller, needed)
    if way_of(method, path) is Way.AT_ONCE:
        require_free_to_write(caller)
    if needs_confirmation(method, path):
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
