"""Writes what callers do into the audit log: before it is done, and before the answer goes out."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbulk.api.http.operations import CALL, Audited, audit_line_of, operation_of
from openbulk.api.services import Services
from openbulk.domain.audit import AuditOutcome, Deed, outcome_of
from openbulk.domain.errors import Unavailable
from openbulk.domain.people import Caller, User

log = structlog.get_logger()

MAX_TARGET = 300
"""Characters of a target: the path of a record may be as long as a path can be."""
_MAX_READ_BYTES = 64 * 1024
"""Of an answer whose id is wanted. Those that make something are small."""
_NAME = re.compile(r"\{(\w+)\}")
_OPTIONAL = re.compile(r"\[([^\]]*)\]")
_NO_ANSWER = "the connection or the server ended before there was an answer"


@dataclass(slots=True)
class Attempt:
    """A request that is audited, until it has its answer."""

    audited: Audited
    deed: Deed
    names: Mapping[str, Any]
    """What the names in the target stand for, as far as that is known before the answer."""
    has_organization: bool = True
    """False if the caller is not known, so that it belongs to the first organization."""
    is_begun: bool = False
    """Whether the deed was written before it began."""
    is_ended: bool = False


async def begin_attempt(request: Request, services: Services, caller: Caller | None) -> None:
    """Write down what a caller is about to do, if it is audited.

    What only reads is written once, before its answer goes out, and what makes a job with the job.
    Raises Unavailable or DiskFull: a deed that cannot be written down is not done.
    """
    audited = audit_line_of(request.method, _path_of(request))
    if audited is None or _attempt_of(request.scope) is not None:
        return
    attempt = _note_attempt(request, audited, caller)
    changes = request.method != "GET" and not audited.with_job
    if caller is not None and changes:
        await services.audit.begin(attempt.deed)
        attempt.is_begun = True


def note_refusal(request: Request, caller: Caller | None) -> None:
    """Remember that a call is refused, audited or not: its secret is wrong, or may not do this."""
    if _attempt_of(request.scope) is None:
        path = _path_of(request)
        operation = Audited(CALL, operation_of(request.method, path))
        _note_attempt(request, audit_line_of(request.method, path) or operation, caller)


def note_plan(request: Request) -> None:
    """Remember that a job only plans: its request alone does not say so."""
    attempt = _attempt_of(request.scope)
    if attempt is None:
        return
    if attempt.deed.action == "job.load":
        attempt.deed = replace(attempt.deed, action="job.plan")
    else:
        attempt.deed = replace(attempt.deed, detail="a plan")


def deed_with_job(request: Request) -> Callable[[int], Deed] | None:
    """Makes the deed of a request from the number of its job; None if it is written otherwise."""
    attempt = _attempt_of(request.scope)
    if attempt is None or not attempt.audited.with_job:
        return None
    names, template = attempt.names, attempt.audited.target

    def make(job_id: int) -> Deed:
        target = _fill(template, {**names, "id": job_id})
        return replace(attempt.deed, target=target, status=200)

    return make


def note_written(request: Request, services: Services) -> None:
    """Remember that the deed of a request was written with its job."""
    attempt = _attempt_of(request.scope)
    if attempt is not None:
        attempt.is_ended = True
        services.audit.has_news.set()


def note_person(request: Request, who: User | None) -> None:
    """Remember who has signed in by a request that no secret came with."""
    attempt = _attempt_of(request.scope)
    if attempt is not None and who is not None:
        attempt.has_organization = True
        attempt.deed = replace(
            attempt.deed, organization_id=who.organization_id, user_id=who.id, user=who.email
        )


def note_organization(request: Request, organization_id: int) -> None:
    """Remember whose provider a person comes from, also if nobody is signed in."""
    attempt = _attempt_of(request.scope)
    if attempt is not None:
        attempt.has_organization = True
        attempt.deed = replace(attempt.deed, organization_id=organization_id)


def note_detail(request: Request, detail: str) -> None:
    """Remember why a request is refused."""
    attempt = _attempt_of(request.scope)
    if attempt is not None:
        attempt.deed = replace(attempt.deed, detail=detail[:MAX_TARGET])


def _make_deed(
    caller: Caller | None, action: str, target: str, request_id: str, address: str
) -> Deed:
    """A deed that has no outcome yet."""
    return Deed(
        organization_id=0 if caller is None else caller.user.organization_id,
        at=datetime.now(UTC),
        action=action,
        target=target,
        request_id=request_id,
        user_id=None if caller is None else caller.user.id,
        user="" if caller is None else caller.user.email,
        secret_id=None if caller is None else caller.secret_id,
        instance_id=None if caller is None or caller.instance is None else caller.instance.id,
        address=address,
    )


def _limit_refusals(services: Services, deed: Deed) -> Deed | None:
    """A deed as it is kept; None if it is one refused call too many."""
    if deed.outcome != AuditOutcome.REFUSED:
        return deed
    left_out = services.refusals.take((deed.organization_id, deed.user_id))
    if left_out is None:
        return None
    return replace(deed, detail=f"{left_out} more were refused before") if left_out else deed


class AuditedAnswers:
    """Writes the outcome of each audited request before its answer goes out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head: Message | None = None

        async def send_audited(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start" and _is_open(scope):
                # The body has the id of what was made.
                head = message
                return
            if head is not None:
                first, head = head, None
                await _end_attempt(scope, first["status"], message.get("body", b""))
                await send(first)
            await send(message)

        try:
            await self._app(scope, receive, send_audited)
        finally:
            _abandon(scope)


def _note_attempt(request: Request, audited: Audited, caller: Caller | None) -> Attempt:
    names: dict[str, Any] = dict(request.path_params)
    if caller is not None:
        names["caller"] = caller.user.id
        if caller.instance is not None:
            names["calling"] = caller.instance.id
    address = request.client.host if request.client else ""
    target = _fill(audited.target, names)
    deed = _make_deed(caller, audited.action, target, str(request.state.request_id), address)
    attempt = Attempt(audited, deed, names, has_organization=caller is not None)
    request.state.attempt = attempt
    return attempt


def _path_of(request: Request) -> str:
    route = request.scope.get("route")
    return route.path_format if isinstance(route, APIRoute) else request.url.path


def _attempt_of(scope: Scope) -> Attempt | None:
    attempt: Attempt | None = scope.get("state", {}).get("attempt")
    return attempt


def _is_open(scope: Scope) -> bool:
    attempt = _attempt_of(scope)
    return attempt is not None and not attempt.is_ended


async def _end_attempt(scope: Scope, status: int, body: bytes) -> None:
    attempt = _attempt_of(scope)
    assert attempt is not None
    attempt.is_ended = True
    services: Services = scope["app"].state.services
    outcome = outcome_of(status)
    target = attempt.deed.target
    if outcome is AuditOutcome.DONE and len(body) <= _MAX_READ_BYTES:
        target = _fill(attempt.audited.target, attempt.names, body)
    deed = replace(attempt.deed, outcome=outcome, status=status, target=target)
    if not attempt.has_organization:
        try:
            deed = await _with_organization(services, deed)
        except Unavailable:
            log.warning("audit entry of an unknown caller is lost", request=deed.request_id)
            return
    kept = _limit_refusals(services, deed)
    if kept is not None:
        await services.audit.end(kept, is_begun=attempt.is_begun)
    elif attempt.is_begun:
        await services.audit.forget(deed.request_id)


def _abandon(scope: Scope) -> None:
    """Leave a deed that was begun and has no answer to those who look after the log."""
    attempt = _attempt_of(scope)
    if attempt is None or attempt.is_ended or not attempt.is_begun:
        return
    services: Services = scope["app"].state.services
    services.audit.end_later(replace(attempt.deed, outcome=AuditOutcome.UNKNOWN, detail=_NO_ANSWER))


async def _with_organization(services: Services, deed: Deed) -> Deed:
    """The deed of a caller who is not known: it belongs to the first organization."""
    return replace(deed, organization_id=await services.people.first_organization())


def _fill(template: str, names: Mapping[str, Any], body: bytes | None = None) -> str:
    """A target with the values of its names, as far as they are known."""
    if "{" not in template:
        return template
    known = dict(names)
    wanted = set(_NAME.findall(template)) - known.keys()
    if body is not None and wanted:
        answer = _object_in(body)
        known |= {name: answer[name] for name in wanted if isinstance(answer.get(name), str | int)}
    template = _OPTIONAL.sub(
        lambda match: match[1] if known.keys() >= set(_NAME.findall(match[1])) else "", template
    )
    text = _NAME.sub(lambda match: str(known.get(match[1], ""))[:MAX_TARGET], template)
    return " ".join(text.split())[:MAX_TARGET]


def _object_in(body: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, Mapping) else {}
