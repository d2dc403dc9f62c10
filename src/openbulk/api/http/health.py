"""Operator endpoints: liveness, readiness and metrics."""

from collections.abc import Sequence
from hmac import compare_digest
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.http.callers import address_of, identify_caller
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.permissions import require_permission
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.schema import EXACT, doc
from openbulk.domain.access import Permission
from openbulk.domain.errors import NotSignedIn

router = APIRouter(tags=["Operation"], responses=may_answer(405))


@with_config(EXACT)
class Readiness(TypedDict):
    """Whether the server can take work."""

    ready: Annotated[bool, doc("Whether all parts of the server answer.", True)]
    broken: Annotated[dict[str, str], doc("Parts that do not work, and how each failed.", {})]


_READY: dict[int | str, dict[str, Any]] = {
    **answers(Readiness),
    503: {"model": Readiness, "description": "A part of the server does not answer."},
}


def _plain_text(example: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": example}}}}


@router.get(
    "/healthz",
    summary="Check that the process is alive",
    response_class=PlainTextResponse,
    responses=_plain_text("ok\n"),
)
async def healthz() -> PlainTextResponse:
    """Answers as long as the process can answer."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", summary="Check that the server can take work", responses=_READY)
async def readyz(services: ServicesOfApp) -> Response:
    """200 if database and file store answer and the engine polls for work; 503 otherwise."""
    broken = dict(await services.readiness.broken_parts())
    if not services.engine.is_working():
        broken["engine"] = "does not poll for work"
    return JSONResponse({"ready": not broken, "broken": broken}, 503 if broken else 200)


def _is_one_of(token: str, tokens: Sequence[str]) -> bool:
    return any(compare_digest(token.encode(), one.encode()) for one in tokens)


@router.get(
    "/metrics",
    summary="Retrieve metrics for Prometheus",
    response_class=PlainTextResponse,
    responses=_plain_text('openbulk_jobs_total{status="COMPLETE"} 1.0\n') | may_answer(401),
)
async def metrics(request: Request, services: ServicesOfApp) -> Response:
    """Counters and gauges in the Prometheus text format.

    Send `Authorization: Bearer <token>` with the token of `OPENBULK_METRICS_TOKEN`, or the secrets
    of a user and the organization.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        _require_metrics_token(request, services, token.strip())
    else:
        require_permission(await identify_caller(request, services), Permission.OPERATE)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _require_metrics_token(request: Request, services: Services, token: str) -> None:
    """Raise NotSignedIn for a wrong token, and TooManyGuesses after many of them."""
    with services.wrong_secrets.attempt(address_of(request), token):
        if not _is_one_of(token, services.metrics_tokens):
            raise NotSignedIn("the token is wrong; it is the value of OPENBULK_METRICS_TOKEN")
