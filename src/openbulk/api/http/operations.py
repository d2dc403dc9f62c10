"""The permission that each operation needs: a table of all operations."""

import re
from collections.abc import Mapping

from openbulk.domain.access import Permission

_OPEN = (
    "GET /healthz",
    "GET /readyz",
    "GET /docs",
    "GET /docs/{name}",
    "GET /openapi.json",
    "POST /authentication",
    "POST /authentication/code",
    "POST /authentication/links/look",
    "POST /authentication/links/use",
    "GET /authentication/secrets",
)
"""Operations of callers who have no secret yet, or need none."""
_READ = (
    "GET /files",
    "GET /files/{file_id}",
    "GET /files/{file_id}/rows",
    "GET /files/{file_id}/mapping",
    "GET /objects",
    "GET /objects/{object}/metadata",
    "GET /ping",
    "POST /bulk/query",
    "POST /bulk/download",
    "GET /bulk/{job_id}/rows/{row}",
    "GET /bulk/{job_id}/results",
    "GET /bulk/{job_id}",
    "GET /bulk/{job_id}/status/events",
    "GET /bulk/jobs",
    "GET /bulk/{job_id}/status",
    "GET /bulk/{job_id}/errors",
    "GET /bulk/{job_id}/errors/groups",
    "GET /bulk/{job_id}/plan",
    "GET /bulk/{job_id}/plan/rows",
    "POST /bulk/{job_id}/verify",
    "GET /bulk/{job_id}/verification",
    "GET /bulk/{job_id}/verification/rows",
    "GET /bulk/{job_id}/{object}/data",
    "GET /bulk/{job_id}/{object}",
    "GET /organizations/objects/definitions",
    "GET /organizations/objects/{object_name}/definitions",
    "GET /instances/objects/definitions",
    "GET /instances/{instance_id}/objects/definitions",
    "GET /instances/objects/{object_name}/definitions",
    "GET /instances/{instance_id}/objects/{object_name}/definitions",
    "GET /instances/transformations/{object_name}",
    "GET /instances/{instance_id}/transformations/{object_name}",
    "GET /instances/transformations",
    "GET /instances/{instance_id}/transformations",
    "GET /instances",
    "GET /instances/configuration",
    "GET /instances/configuration/{name}",
    "GET /elements/{key}/instances",
    "GET /instances/count",
    "GET /instances/{instance_id}",
    "GET /instances/{instance_id}/configuration",
    "GET /instances/{instance_id}/configuration/{name}",
    "GET /elements/{key}/instances/{instance_id}",
    "GET /hubs",
    "GET /hubs/keys",
    "GET /hubs/{hub}",
    "GET /hubs/{hub}/elements",
    "GET /elements",
    "GET /elements/keys",
    "GET /elements/metadata",
    "GET /elements/{key}",
    "GET /elements/{key}/metadata",
    "GET /mappings",
    "GET /mappings/{id}",
    "GET /bulkloader",
    "GET /jobs",
    "GET /jobs/executions",
    "GET /jobs/{schedule_id}",
    "GET /jobs/{schedule_id}/history",
    "GET /{path}",
    "GET /organizations",
    "GET /organizations/users/me",
)
_PLAN = (
    "POST /files",
    "DELETE /files/{file_id}",
    "POST /mappings",
    "DELETE /mappings/{id}",
    # To plan: a job that writes needs more (`require_permission` in bulk/job_requests.py).
    "POST /bulk/{object}",
    "POST /bulk/{job_id}/retry",
    "POST /bulk/{job_id}/undo",
)
_LOAD = (
    "POST /bulk/workflows",
    "PATCH /bulk/{job_id}/rows/{row}",
    "POST /bulk/{job_id}/rows/mend",
    "PUT /bulk/{job_id}/pause",
    "PUT /bulk/{job_id}/resume",
    "PATCH /bulk/{job_id}",
    "DELETE /bulk/{job_id}",
    "PUT /bulk/{job_id}/cancel",
    "PUT /bulk/{job_id}/apply",
    "POST /jobs",
    "DELETE /jobs/{schedule_id}",
    "PUT /jobs/{schedule_id}/enable",
    "PUT /jobs/{schedule_id}/disable",
    "PATCH /jobs/{schedule_id}/reschedule",
    "POST /{path}",
    "PATCH /{path}",
    "PUT /{path}",
    "DELETE /{path}",
)
_INSTANCES = (
    "POST /organizations/objects/definitions",
    "POST /organizations/objects/{object_name}/definitions",
    "PUT /organizations/objects/{object_name}/definitions",
    "DELETE /organizations/objects/{object_name}/definitions",
    "POST /instances/objects/{object_name}/definitions",
    "PUT /instances/objects/{object_name}/definitions",
    "DELETE /instances/objects/{object_name}/definitions",
    "POST /instances/{instance_id}/objects/{object_name}/definitions",
    "PUT /instances/{instance_id}/objects/{object_name}/definitions",
    "DELETE /instances/{instance_id}/objects/{object_name}/definitions",
    "POST /instances/transformations/{object_name}",
    "PUT /instances/transformations/{object_name}",
    "DELETE /instances/transformations/{object_name}",
    "POST /instances/{instance_id}/transformations/{object_name}",
    "PUT /instances/{instance_id}/transformations/{object_name}",
    "DELETE /instances/{instance_id}/transformations/{object_name}",
    "DELETE /instances/transformations",
    "DELETE /instances/{instance_id}/transformations",
    "PUT /instances/enabled",
    "DELETE /instances/enabled",
    "PATCH /instances",
    "PUT /instances",
    "DELETE /instances",
    "POST /instances",
    "PATCH /instances/configuration",
    "PATCH /instances/configuration/{name}",
    "POST /elements/{key}/instances",
    "PUT /instances/{instance_id}/enabled",
    "DELETE /instances/{instance_id}/enabled",
    "PATCH /instances/{instance_id}",
    "PUT /instances/{instance_id}",
    "DELETE /instances/{instance_id}",
    "POST /instances/{instance_id}/token",
    "PATCH /instances/{instance_id}/configuration",
    "PATCH /instances/{instance_id}/configuration/{name}",
    "PATCH /elements/{key}/instances/{instance_id}",
    "PUT /elements/{key}/instances/{instance_id}",
    "DELETE /elements/{key}/instances/{instance_id}",
    "GET /elements/{key}/oauth/url",
    "POST /elements/{key}/oauth/url",
    "POST /elements",
    "PUT /elements/{key}",
    "DELETE /elements/{key}",
    "GET /elements/{key}/export",
)
_ADMINISTER = (
    "PATCH /organizations/{organization_id}",
    "GET /organizations/users",
    "POST /organizations/users",
    "GET /organizations/users/{user_id}",
    "PATCH /organizations/users/{user_id}",
    "GET /organizations/users/{user_id}/secrets",
    "POST /organizations/users/{user_id}/secrets",
    "DELETE /organizations/users/{user_id}/secrets/{secret_id}",
    "POST /organizations/users/{user_id}/secrets/{secret_id}/rotate",
    "GET /organizations/users/{user_id}/sessions",
    "DELETE /organizations/users/{user_id}/sessions",
    "DELETE /organizations/users/{user_id}/totp",
    "POST /organizations/users/{user_id}/password-link",
    "GET /organizations/invitations",
    "POST /organizations/invitations",
    "DELETE /organizations/invitations/{invitation_id}",
    "GET /organizations/secrets",
    "POST /organizations/secrets",
    "DELETE /organizations/secrets/{secret_id}",
    "POST /organizations/secrets/{secret_id}/rotate",
)
_OPERATE = ("POST /organizations", "GET /metrics")
_OWN = (
    "POST /authentication/confirm",
    "DELETE /authentication",
    "GET /organizations/users/me/sessions",
    "POST /organizations/users/me/sessions",
    "DELETE /organizations/users/me/sessions",
    "DELETE /organizations/users/me/sessions/{session_id}",
    "PUT /organizations/users/me/password",
    "POST /organizations/users/me/totp",
    "PUT /organizations/users/me/totp",
    "DELETE /organizations/users/me/totp",
    "GET /organizations/users/me/secrets",
    "POST /organizations/users/me/secrets",
    "DELETE /organizations/users/me/secrets/{secret_id}",
    "POST /organizations/users/me/secrets/{secret_id}/rotate",
)
PERMISSIONS: Mapping[str, Permission | None] = {
    **dict.fromkeys(_OPEN),
    **dict.fromkeys(_READ, Permission.READ),
    **dict.fromkeys(_PLAN, Permission.PLAN),
    **dict.fromkeys(_LOAD, Permission.LOAD),
    **dict.fromkeys(_INSTANCES, Permission.INSTANCES),
    **dict.fromkeys(_ADMINISTER, Permission.ADMINISTER),
    **dict.fromkeys(_OPERATE, Permission.OPERATE),
    **dict.fromkeys(_OWN, Permission.OWN),
}
"""The permission of each operation, without the beginning of its path; None for an open one."""
CONFIRMED = frozenset(
    {
        "POST /organizations",
        "PATCH /organizations/{organization_id}",
        "POST /organizations/users",
        "PATCH /organizations/users/{user_id}",
        "POST /organizations/users/{user_id}/password-link",
        "DELETE /organizations/users/{user_id}/totp",
        "POST /organizations/invitations",
        "POST /organizations/secrets",
        "DELETE /organizations/secrets/{secret_id}",
        "POST /organizations/secrets/{secret_id}/rotate",
        "POST /organizations/users/{user_id}/secrets",
        "DELETE /organizations/users/{user_id}/secrets/{secret_id}",
        "POST /organizations/users/{user_id}/secrets/{secret_id}/rotate",
        "POST /organizations/users/me/secrets",
        "POST /organizations/users/me/secrets/{secret_id}/rotate",
        "POST /organizations/users/me/totp",
        "DELETE /organizations/users/me/totp",
        "POST /instances/{instance_id}/token",
    }
)
"""Operations that a session does only for who has shown lately that it is theirs: they change who
may sign in, or show a secret. Secrets are such a showing themselves."""
_BEGINNING = re.compile(r"^/elements/api-v2(/hubs/\{hub\}(?=/)(?!/elements$))?")


def permission_of(method: str, path: str) -> Permission | None:
    """The permission of an operation; None if it is open to everybody.

    The path may be whole, or begin behind `/elements/api-v2` or the prefix of a hub. An operation
    without a line in the table is for administrators.
    """
    return PERMISSIONS.get(_operation(method, path), Permission.ADMINISTER)


def needs_confirmation(method: str, path: str) -> bool:
    """Whether a session does an operation only for who has shown lately that it is theirs."""
    return _operation(method, path) in CONFIRMED


def _operation(method: str, path: str) -> str:
    return f"{method} {_BEGINNING.sub('', path)}"
