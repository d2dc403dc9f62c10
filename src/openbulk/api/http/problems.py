"""Errors as the wire contract spells them: `{"message", "requestId", "providerMessage"?}`, and never a stack trace."""

import asyncio
from collections.abc import Mapping

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openbulk.api.http.allowed_methods import allow, methods_at, methods_for
from openbulk.domain import errors

log = structlog.get_logger()

STATUS: Mapping[type[errors.OpenbulkError], int] = {
    errors.BadInput: 400,
    errors.NotSignedIn: 401,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.NotPossible: 405,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
    errors.FileStoreUnavailable: 503,
    errors.DiskFull: 507,
    errors.RetryLater: 502,
    errors.AnswerLost: 502,
    errors.Refused: 403,
    errors.SignInAgain: 401,
    errors.CursorExpired: 400,
}

RETRY_AFTER_SECONDS = "5"
STOPPING = "openbulk is being stopped; send this again in a moment, to this server or another"


class UnhandledErrors:
    """Answers requests that nobody else has: those that failed, and those that the end of the server breaks off.

    What failed is said in the log here, once. Where an answer has begun, its connection ends instead.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        request = Request(scope)
        try:
            await self._app(scope, receive, send_and_note)
        except asyncio.CancelledError:  # nothing but the end of the server cancels a request
            log.warning(
                "request broken off", path=request.url.path, reason="the server is being stopped"
            )
            answer = _answer(request, 503, STOPPING)
        except Exception as error:
            log.error("request failed", path=request.url.path, exc_info=error)
            answer = _answer(
                request,
                500,
                "openbulk failed at this request; its log says more under this request id",
            )
        else:
            return
        if not has_begun:
            await answer(scope, receive, send)


def present_errors(app: FastAPI) -> None:
    """Answer every error of an app in the contract's shape; those that nobody foresees are for UnhandledErrors."""

    async def known(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, errors.OpenbulkError)
        headers = allow(methods_for(error.can)) if isinstance(error, errors.NotPossible) else {}
        return _answer(request, STATUS[type(error)], error.message, error.provider_message, headers)

    for error_type in STATUS:
        app.add_exception_handler(error_type, known)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        return _answer(request, 400, f"{place}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        message = {
            404: f"there is nothing at {request.method} {request.url.path}",
            405: f"{request.url.path} does not take {request.method}",
        }.get(error.status_code, str(error.detail))
        headers = dict(error.headers or {})
        if error.status_code == 405 and (methods := methods_at(app, request.url.path)):
            headers |= allow(methods)
        return _answer(request, error.status_code, message, headers=headers)


def _answer(
    request: Request,
    status: int,
    message: str,
    provider_message: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = {"message": message, "requestId": request.state.request_id}
    if provider_message:
        body["providerMessage"] = provider_message
    told = {"Retry-After": RETRY_AFTER_SECONDS} if status == 503 else {}
    return JSONResponse(body, status, {**told, **(headers or {})})
