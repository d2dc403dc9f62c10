"""Error responses of the wire contract: `{"message", "requestId", "providerMessage"?}`.

An answer never shows a stack trace.
"""

import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from openbulk.api.http.allowed_methods import (
    allow_header,
    methods_of_abilities,
    methods_of_path,
)
from openbulk.domain import errors
from openbulk.domain.date_order import DateOrderUnknown
from openbulk.domain.file_questions import OpenQuestion

STATUS: Mapping[type[errors.OpenbulkError], int] = {
    errors.BadInput: 400,
    OpenQuestion: 400,
    DateOrderUnknown: 400,
    errors.NotSignedIn: 401,
    errors.NotAllowed: 403,
    errors.ConfirmFirst: 403,
    errors.NotFound: 404,
    errors.NotPossible: 405,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.TooManyGuesses: 429,
    errors.TooManyUnderWay: 429,
    errors.LimitReached: 429,
    # openbulk's own database or file store is unavailable: clients may retry.
    errors.Unavailable: 503,
    errors.FileStoreUnavailable: 503,
    errors.ReaderUnavailable: 503,
    errors.ServerBusy: 503,
    errors.DiskFull: 507,
    # The service of the instance failed, or the provider, and openbulk works.
    errors.RetryLater: 502,
    errors.AnswerLost: 502,
    errors.ProviderFailed: 502,
    errors.Refused: 403,
    errors.SignInAgain: 401,
    errors.InstanceDisabled: 403,
    # The service no longer knows the position in the caller's nextPage.
    errors.CursorExpired: 400,
}

RETRY_AFTER_SECONDS = "5"
"""For 503, and for 429 where nobody knows how long the work of others takes."""
MAX_MESSAGE = 4_000


def present_errors(app: FastAPI) -> None:
    """Register handlers for the expected errors; `middleware.py` answers all others."""
    for error_type in STATUS:
        app.add_exception_handler(error_type, _answer_openbulk_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(HTTPException, _answer_http_error)


async def _answer_openbulk_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.OpenbulkError)
    headers = {}
    if isinstance(error, errors.NotPossible):
        headers = allow_header(methods_of_abilities(error.can))
    waits = (errors.TooManyGuesses, errors.LimitReached)
    if isinstance(error, waits) and error.retry_after is not None:
        headers = {"Retry-After": str(math.ceil(error.retry_after))}
    return error_answer(
        request, STATUS[type(error)], error.message, error.provider_message, headers
    )


async def _answer_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["loc"] == ("body",):
        return error_answer(request, 400, _body_problem(request, first["type"]))
    place = ".".join(str(step) for step in first["loc"])
    return error_answer(request, 400, f"{place} {_what_is_right(first)}")


def _what_is_right(problem: Mapping[str, Any]) -> str:
    """What would be right in place of a value."""
    form = _EXPECTED.get(problem["type"])
    if problem.get("ctx", {}).get("min_length") == 1:
        return "must not be empty"
    if form is None:
        return f"is not right: {problem['msg']}"
    return form.format_map({"error": "", **problem.get("ctx", {})})


_EXPECTED = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "list_type": "must be a JSON array",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "value_error": "{error}",
}
"""What would be right, for the types of errors that pydantic reports; names in braces are those of
its context. A sentence of openbulk's own is as it is."""


def _body_problem(request: Request, error_type: str) -> str:
    """Why a body as a whole is invalid. FastAPI reads only JSON with a header that says so."""
    if error_type == "missing":
        return "the body is missing; send a JSON object"
    if "json" not in request.headers.get("content-type", ""):
        return "send the header 'Content-Type: application/json': without it, the body is not JSON"
    return "the body must be a JSON object"


async def _answer_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    path, method = request.url.path, request.method
    message, headers = str(error.detail), dict(error.headers or {})
    if error.status_code == 404:
        message = (
            f"there is no {method} {path}; paths start with /elements/api-v2, and /docs lists them"
        )
    if error.status_code == 405:
        message = f"{path} does not take {method}"
        if methods := await methods_of_path(request.app, path):
            allowed = allow_header(methods)
            headers |= allowed
            message = f"{message}; it takes {allowed['Allow']}"
    return error_answer(request, error.status_code, message, headers=headers)


def _shorten(message: str) -> str:
    """A message that a person can read, whatever the request has that it quotes."""
    if len(message) <= MAX_MESSAGE:
        return message
    half = MAX_MESSAGE // 2
    return f"{message[:half]} ... {message[-half:]}"


def error_answer(
    request: Request,
    status: int,
    message: str,
    provider_message: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The response to a request that failed."""
    body = {"message": _shorten(message), "requestId": request.state.request_id}
    if provider_message:
        body["providerMessage"] = provider_message
    answer = JSONResponse(body, status, headers)
    if status in (429, 503):
        answer.headers.setdefault("Retry-After", RETRY_AFTER_SECONDS)
    return answer
