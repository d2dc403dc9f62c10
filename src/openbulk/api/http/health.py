"""For those who run the server: is it alive, can it take work, and what does it do."""

import asyncio
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.services import ServicesOfApp
from openbulk.api.wire.answers import Readiness

router = APIRouter(tags=["Operation"], responses=may_answer(405))
ANSWER_SECONDS = 3.0
_READY: dict[int | str, dict[str, Any]] = {
    **answers(Readiness),
    503: {"model": Readiness, "description": "something does not answer"},
}


def _text(example: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": example}}}}


@router.get(
    "/healthz",
    summary="Is the process alive",
    response_class=PlainTextResponse,
    responses=_text("ok\n"),
)
async def healthz() -> PlainTextResponse:
    """Answers as long as the process can answer."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", summary="Can the server take work", responses=_READY)
async def readyz(services: ServicesOfApp) -> Response:
    """200 where database and file store answer and the engine looks for work, else 503 with what doesn't."""
    broken = {}
    for part, look in (("database", services.accounts.is_empty), ("files", services.files.check)):
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await look()
        except Exception as error:  # whatever it is, the server cannot take work
            broken[part] = type(error).__name__
    if not services.engine.is_working():
        broken["engine"] = "looks for no work"
    return JSONResponse({"ready": not broken, "broken": broken}, 503 if broken else 200)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=PlainTextResponse,
    responses=_text('openbulk_jobs_total{status="COMPLETE"} 1.0\n'),
)
async def metrics() -> Response:
    """Counters and gauges in the Prometheus text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
