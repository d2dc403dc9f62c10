"""What each operation needs, and what the audit log calls it: a table of all operations."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from openbulk.domain.access import Permission


@dataclass(frozen=True, slots=True)
class Audited:
    """How the audit log calls an operation, and what it is done on.

    In the target, a name in braces is a parameter of the path, `calling` for the number of the
    calling instance, `caller` for that of the user, or else a key of the answer. What is in
    brackets is left out unless the names in it are known.
    """

    action: str
    target: str = ""
    with_job: bool = False
    """Whether it makes a job: then its entry is written in the transaction that adds the job."""


_Group = Mapping[str, Audited | None]
"""Operations with one permission, each with its name in the audit log; None for one that is not
audited: it changes nothing, and shows no data."""
_DOWNLOADED = Audited("job.download", "job {id}", with_job=True)
_CONNECTED = Audited("instance.connect", "instance {id}")
_CHANGED = Audited("instance.change", "instance {instance_id}")
_CHANGED_CALLING = Audited("instance.change", "instance {calling}")
_DEFINED = Audited("definition.change", "object {object_name}")
_DEFINED_FOR_INSTANCE = Audited("definition.change", "instance {instance_id} object {object_name}")
_DEFINED_FOR_CALLING = Audited("definition.change", "instance {calling} object {object_name}")
_TRANSFORMED = Audited("transformation.change", "instance {instance_id} object {object_name}")
_TRANSFORMED_FOR_CALLING = Audited(
    "transformation.change", "instance {calling} object {object_name}"
)

_OPEN: _Group = {
    "GET /healthz": None,
    "GET /readyz": None,
    "GET /docs": None,
    "GET /docs/{name}": None,
    "GET /openapi.json": None,
    "POST /authentication": Audited("sign-in"),
    "POST /authentication/code": Audited("sign-in"),
    "POST /authentication/oidc": Audited("sign-in.begin"),
    "POST /authentication/oidc/code": Audited("sign-in.oidc"),
    "POST /authentication/links/look": Audited("link.look"),
    "POST /authentication/links/use": Audited("password.choose", "user {id}"),
    "GET /authentication/secrets": Audited("secret.read"),
}
"""Operations of callers who have no secret yet, or need none."""
_READ: _Group = {
    "GET /files": None,
    "GET /files/{file_id}": None,
    "GET /files/{file_id}/rows": Audited("file.read", "file {file_id}"),
    "GET /files/{file_id}/mapping": None,
    "GET /objects": None,
    "GET /objects/{object}/metadata": None,
    "GET /ping": None,
    "POST /bulk/query": _DOWNLOADED,
    "POST /bulk/download": _DOWNLOADED,
    "GET /bulk/{job_id}/rows": Audited("job.read", "job {job_id} rows"),
    "GET /bulk/{job_id}/rows/{row}": Audited("job.read", "job {job_id} row {row}"),
    "GET /bulk/{job_id}/results": Audited("job.read", "job {job_id} results"),
    "GET /bulk/{job_id}": None,
    "GET /bulk/{job_id}/status/events": None,
    "GET /bulk/{job_id}/status/callback": None,
    "GET /bulk/jobs": None,
    "GET /bulk/{job_id}/status": None,
    "GET /bulk/{job_id}/errors": None,
    "GET /bulk/{job_id}/errors/groups": None,
    "GET /approvals": None,
    "GET /bulk/{job_id}/approvals": None,
    "GET /bulk/{job_id}/plan": None,
    "GET /bulk/{job_id}/plan/rows": Audited("job.read", "job {job_id} plan"),
    "GET /bulk/{job_id}/plan/calendar": Audited("job.read", "job {job_id} plan"),
    "POST /bulk/{job_id}/verify": Audited(
        "job.verify", "job {job_id}[ as job {id}]", with_job=True
    ),
    "GET /bulk/{job_id}/verification": None,
    "GET /bulk/{job_id}/verification/rows": Audited("job.read", "job {job_id} verification"),
    "GET /bulk/{job_id}/{object}/data": Audited("job.read", "job {job_id} records"),
    "GET /bulk/{job_id}/{object}": Audited("job.read", "job {job_id} records"),
    "GET /organizations/objects/definitions": None,
    "GET /organizations/objects/{object_name}/definitions": None,
    "GET /instances/objects/definitions": None,
    "GET /instances/{instance_id}/objects/definitions": None,
    "GET /instances/objects/{object_name}/definitions": None,
    "GET /instances/{instance_id}/objects/{object_name}/definitions": None,
    "GET /instances/transformations/{object_name}": None,
    "GET /instances/{instance_id}/transformations/{object_name}": None,
    "GET /instances/transformations": None,
    "GET /instances/{instance_id}/transformations": None,
    "GET /instances": None,
    "GET /instances/configuration": None,
    "GET /instances/configuration/{name}": None,
    "GET /elements/{key}/instances": None,
    "GET /instances/count": None,
    "GET /instances/{instance_id}": None,
    "GET /instances/{instance_id}/configuration": None,
    "GET /instances/{instance_id}/configuration/{name}": None,
    "GET /elements/{key}/instances/{instance_id}": None,
    "GET /hubs": None,
    "GET /hubs/keys": None,
    "GET /hubs/{hub}": None,
    "GET /hubs/{hub}/elements": None,
    "GET /elements": None,
    "GET /elements/keys": None,
    "GET /elements/metadata": None,
    "GET /elements/{key}": None,
    "GET /elements/{key}/metadata": None,
    "GET /mappings": None,
    "GET /mappings/{id}": None,
    "GET /bulkloader": None,
    "GET /jobs": None,
    "GET /jobs/executions": None,
    "GET /jobs/{schedule_id}": None,
    "GET /jobs/{schedule_id}/history": None,
    "GET /{path}": Audited("record.read", "{path}"),
    "GET /organizations": None,
    "GET /organizations/users/me": None,
}
_PLAN: _Group = {
    "POST /files": Audited("file.send", "file {id}"),
    "PATCH /files/{file_id}": Audited("file.change", "file {file_id}"),
    "DELETE /files/{file_id}": Audited("file.delete", "file {file_id}"),
    "POST /mappings": Audited("mapping.save", "mapping {id}"),
    "DELETE /mappings/{id}": Audited("mapping.delete", "mapping {id}"),
    # To plan: a job that writes needs more (`require_permission` in bulk/job_requests.py).
    "POST /bulk/{object}": Audited("job.load", "job {id} of {object}", with_job=True),
    "POST /bulk/{job_id}/retry": Audited("job.retry", "job {job_id}[ as job {id}]", with_job=True),
    "POST /bulk/{job_id}/undo": Audited("job.undo", "job {job_id}[ as job {id}]", with_job=True),
}
_LOAD: _Group = {
    "POST /bulk/workflows": Audited("workflow.start", "workflow {id}"),
    "PATCH /bulk/{job_id}/rows/{row}": Audited("job.mend", "job {job_id} row {row}"),
    "POST /bulk/{job_id}/rows/mend": Audited("job.mend", "job {job_id}"),
    "PUT /bulk/{job_id}/pause": Audited("job.pause", "job {job_id}"),
    "PUT /bulk/{job_id}/resume": Audited("job.resume", "job {job_id}"),
    "PATCH /bulk/{job_id}": Audited("job.change", "job {job_id}"),
    "DELETE /bulk/{job_id}": Audited("job.delete", "job {job_id}"),
    "POST /bulk/{job_id}/status/callback": Audited("callback.send", "job {job_id}"),
    "PUT /bulk/{job_id}/cancel": Audited("job.cancel", "job {job_id}"),
    "PUT /bulk/{job_id}/apply": Audited("job.apply", "job {job_id}"),
    "POST /jobs": Audited("schedule.make", "schedule {id}"),
    "DELETE /jobs/{schedule_id}": Audited("schedule.delete", "schedule {schedule_id}"),
    "PUT /jobs/{schedule_id}/enable": Audited("schedule.enable", "schedule {schedule_id}"),
    "PUT /jobs/{schedule_id}/disable": Audited("schedule.disable", "schedule {schedule_id}"),
    "PATCH /jobs/{schedule_id}/reschedule": Audited("schedule.change", "schedule {schedule_id}"),
    "POST /{path}": Audited("record.create", "{path}[ {id}]"),
    "PATCH /{path}": Audited("record.update", "{path}"),
    "PUT /{path}": Audited("record.update", "{path}"),
    "DELETE /{path}": Audited("record.delete", "{path}"),
}
_INSTANCES: _Group = {
    "POST /organizations/objects/definitions": Audited("definition.change", "all objects"),
    "POST /organizations/objects/{object_name}/definitions": _DEFINED,
    "PUT /organizations/objects/{object_name}/definitions": _DEFINED,
    "DELETE /organizations/objects/{object_name}/definitions": _DEFINED,
    "POST /instances/objects/{object_name}/definitions": _DEFINED_FOR_CALLING,
    "PUT /instances/objects/{object_name}/definitions": _DEFINED_FOR_CALLING,
    "DELETE /instances/objects/{object_name}/definitions": _DEFINED_FOR_CALLING,
    "POST /instances/{instance_id}/objects/{object_name}/definitions": _DEFINED_FOR_INSTANCE,
    "PUT /instances/{instance_id}/objects/{object_name}/definitions": _DEFINED_FOR_INSTANCE,
    "DELETE /instances/{instance_id}/objects/{object_name}/definitions": _DEFINED_FOR_INSTANCE,
    "POST /instances/transformations/{object_name}": _TRANSFORMED_FOR_CALLING,
    "PUT /instances/transformations/{object_name}": _TRANSFORMED_FOR_CALLING,
    "DELETE /instances/transformations/{object_name}": _TRANSFORMED_FOR_CALLING,
    "POST /instances/{instance_id}/transformations/{object_name}": _TRANSFORMED,
    "PUT /instances/{instance_id}/transformations/{object_name}": _TRANSFORMED,
    "DELETE /instances/{instance_id}/transformations/{object_name}": _TRANSFORMED,
    "DELETE /instances/transformations": _TRANSFORMED_FOR_CALLING,
    "DELETE /instances/{instance_id}/transformations": _TRANSFORMED,
    "PUT /instances/enabled": Audited("instance.enable", "instance {calling}"),
    "DELETE /instances/enabled": Audited("instance.disable", "instance {calling}"),
    "PATCH /instances": _CHANGED_CALLING,
    "PUT /instances": _CHANGED_CALLING,
    "DELETE /instances": Audited("instance.delete", "instance {calling}"),
    "POST /instances": _CONNECTED,
    "PATCH /instances/configuration": _CHANGED_CALLING,
    "PATCH /instances/configuration/{name}": _CHANGED_CALLING,
    "POST /elements/{key}/instances": _CONNECTED,
    "PUT /instances/{instance_id}/enabled": Audited("instance.enable", "instance {instance_id}"),
    "DELETE /instances/{instance_id}/enabled": Audited(
        "instance.disable", "instance {instance_id}"
    ),
    "PATCH /instances/{instance_id}": _CHANGED,
    "PUT /instances/{instance_id}": _CHANGED,
    "DELETE /instances/{instance_id}": Audited("instance.delete", "instance {instance_id}"),
    "POST /instances/{instance_id}/token": Audited("instance.token", "instance {instance_id}"),
    "PATCH /instances/{instance_id}/configuration": _CHANGED,
    "PATCH /instances/{instance_id}/configuration/{name}": _CHANGED,
    "PATCH /elements/{key}/instances/{instance_id}": _CHANGED,
    "PUT /elements/{key}/instances/{instance_id}": _CHANGED,
    "DELETE /elements/{key}/instances/{instance_id}": Audited(
        "instance.delete", "instance {instance_id}"
    ),
    "GET /elements/{key}/oauth/url": Audited("instance.sign-in", "element {key}"),
    "POST /elements/{key}/oauth/url": Audited("instance.sign-in", "element {key}"),
    "POST /elements": Audited("element.import", "element {key}"),
    "PUT /elements/{key}": Audited("element.import", "element {key}"),
    "DELETE /elements/{key}": Audited("element.delete", "element {key}"),
    "GET /elements/{key}/export": Audited("element.export", "element {key}"),
}
_ADMINISTER: _Group = {
    "PATCH /organizations/{organization_id}": Audited(
        "organization.change", "organization {organization_id}"
    ),
    "GET /organizations/{organization_id}/sign-in": None,
    "PUT /organizations/{organization_id}/sign-in": Audited(
        "provider.set", "organization {organization_id}"
    ),
    "DELETE /organizations/{organization_id}/sign-in": Audited(
        "provider.remove", "organization {organization_id}"
    ),
    "POST /organizations/{organization_id}/sign-in/check": Audited(
        "provider.check", "organization {organization_id}"
    ),
    "GET /organizations/{organization_id}/limits": None,
    "GET /audit": None,
    "GET /audit/verification": None,
    "GET /organizations/users": None,
    "POST /organizations/users": Audited("user.add", "user {id}"),
    "GET /organizations/users/{user_id}": None,
    "PATCH /organizations/users/{user_id}": Audited("user.change", "user {user_id}"),
    "GET /organizations/users/{user_id}/secrets": None,
    "POST /organizations/users/{user_id}/secrets": Audited(
        "secret.make", "secret {id} of user {user_id}"
    ),
    "DELETE /organizations/users/{user_id}/secrets/{secret_id}": Audited(
        "secret.end", "secret {secret_id} of user {user_id}"
    ),
    "POST /organizations/users/{user_id}/secrets/{secret_id}/rotate": Audited(
        "secret.rotate", "secret {secret_id} of user {user_id}"
    ),
    "GET /organizations/users/{user_id}/sessions": None,
    "DELETE /organizations/users/{user_id}/sessions": Audited("session.end", "user {user_id}"),
    "DELETE /organizations/users/{user_id}/totp": Audited("totp.remove", "user {user_id}"),
    "DELETE /organizations/users/{user_id}/identity": Audited(
        "identity.disconnect", "user {user_id}"
    ),
    "POST /organizations/users/{user_id}/password-link": Audited("link.make", "user {user_id}"),
    "GET /organizations/invitations": None,
    "POST /organizations/invitations": Audited("link.make", "invitation {id}"),
    "DELETE /organizations/invitations/{invitation_id}": Audited(
        "link.end", "invitation {invitation_id}"
    ),
    "GET /organizations/secrets": None,
    "POST /organizations/secrets": Audited("secret.make", "secret {id} of the organization"),
    "DELETE /organizations/secrets/{secret_id}": Audited(
        "secret.end", "secret {secret_id} of the organization"
    ),
    "POST /organizations/secrets/{secret_id}/rotate": Audited(
        "secret.rotate", "secret {secret_id} of the organization"
    ),
}
_APPROVE: _Group = {
    "POST /bulk/{job_id}/approvals": Audited("plan.decide", "job {job_id}"),
    "DELETE /bulk/{job_id}/approvals/{approval_id}": Audited(
        "plan.withdraw", "approval {approval_id} of job {job_id}"
    ),
}
_OPERATE: _Group = {
    "POST /organizations": Audited("organization.add", "organization {id}"),
    "PATCH /organizations/{organization_id}/limits": Audited(
        "limits.change", "organization {organization_id}"
    ),
    "GET /metrics": None,
}
_OWN: _Group = {
    "POST /authentication/confirm": Audited("sign-in.confirm", "user {caller}"),
    "DELETE /authentication": Audited("sign-out", "user {caller}"),
    "GET /organizations/users/me/sessions": None,
    "POST /organizations/users/me/sessions": Audited("sign-in", "[user {caller}]"),
    "DELETE /organizations/users/me/sessions": Audited("session.end", "user {caller}"),
    "DELETE /organizations/users/me/sessions/{session_id}": Audited(
        "session.end", "session {session_id} of user {caller}"
    ),
    "PUT /organizations/users/me/password": Audited("password.change", "user {caller}"),
    "POST /organizations/users/me/totp": Audited("totp.begin", "user {caller}"),
    "PUT /organizations/users/me/totp": Audited("totp.add", "user {caller}"),
    "DELETE /organizations/users/me/totp": Audited("totp.remove", "user {caller}"),
    "PUT /organizations/users/me/identity": Audited("identity.connect", "user {caller}"),
    "DELETE /organizations/users/me/identity": Audited("identity.disconnect", "user {caller}"),
    "GET /organizations/users/me/secrets": None,
    "POST /organizations/users/me/secrets": Audited("secret.make", "secret {id} of user {caller}"),
    "DELETE /organizations/users/me/secrets/{secret_id}": Audited(
        "secret.end", "secret {secret_id} of user {caller}"
    ),
    "POST /organizations/users/me/secrets/{secret_id}/rotate": Audited(
        "secret.rotate", "secret {secret_id} of user {caller}"
    ),
}
PERMISSIONS: Mapping[str, Permission | None] = {
    **dict.fromkeys(_OPEN),
    **dict.fromkeys(_READ, Permission.READ),
    **dict.fromkeys(_PLAN, Permission.PLAN),
    **dict.fromkeys(_LOAD, Permission.LOAD),
    **dict.fromkeys(_APPROVE, Permission.APPROVE),
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
        "PUT /organizations/{organization_id}/sign-in",
        "DELETE /organizations/{organization_id}/sign-in",
        "PUT /organizations/users/me/identity",
        "DELETE /organizations/users/me/identity",
        "DELETE /organizations/users/{user_id}/identity",
        "PATCH /organizations/{organization_id}/limits",
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
AUDITED: _Group = {
    **_OPEN,
    **_READ,
    **_PLAN,
    **_LOAD,
    **_APPROVE,
    **_INSTANCES,
    **_ADMINISTER,
    **_OPERATE,
    **_OWN,
}
"""What the audit log calls each operation; None for one that is not audited."""
CALL = "call"
"""The action of an operation that has no name of its own in the audit log."""
_BEGINNING = re.compile(r"^/elements/api-v2(/hubs/\{hub\}(?=/)(?!/elements$))?")


def operation_of(method: str, path: str) -> str:
    """An operation as the table has it.

    The path may be whole, or begin behind `/elements/api-v2` or the prefix of a hub.
    """
    return f"{method} {_BEGINNING.sub('', path)}"


def permission_of(method: str, path: str) -> Permission | None:
    """The permission of an operation; None if it is open to everybody.

    An operation without a line in the table is for administrators.
    """
    return PERMISSIONS.get(operation_of(method, path), Permission.ADMINISTER)


def needs_confirmation(method: str, path: str) -> bool:
    """Whether a session does an operation only for who has shown lately that it is theirs."""
    return operation_of(method, path) in CONFIRMED


def audit_line_of(method: str, path: str) -> Audited | None:
    """What the audit log calls an operation; None for one that is not audited.

    One without a line in the table is audited under the name `call`.
    """
    operation = operation_of(method, path)
    return AUDITED.get(operation, Audited(CALL, operation))
