"""The OpenAPI document: what every operation answers, and with which secrets it is called."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

DESCRIPTION = """
Load thousands or millions of records from a file into a cloud service, and back, as jobs.

Every path of an instance exists with and without `/hubs/{hub}` before it: the hub is a prefix and nothing more.
Success is 200 everywhere. Lists are bare arrays; the header `elements-next-page-token` has the token of the next page.
"""
_SECRETS = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "`User <secret>, Organization <secret>`, and for an instance `, Element <token>`, in any order",
}
_OPEN = ("/healthz", "/readyz", "/metrics")


class Problem(BaseModel):
    """Why a request was not done."""

    message: str = Field(description="what is wrong, and what would be right")
    requestId: str = Field(description="the same as in the header elements-request-id")  # noqa: N815 - the wire's name
    providerMessage: str | None = Field(None, description="what the service itself said")  # noqa: N815 - likewise


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in (
        (400, "the request makes no sense as it stands; the message says what would"),
        (401, "secrets are missing or wrong, or the service no longer accepts the instance's credentials"),
        (403, "the service refuses, or an address may not be called"),
        (404, "it is not there, or not yours"),
        (405, "there is such a thing, and it cannot do this"),
        (409, "it is in a state that does not allow this"),
        (413, "the request is larger than the server takes"),
        (502, "the service could not answer; the message says why"),
    )
}
"""What any operation may answer beside success."""


def describe(api: FastAPI) -> None:
    """Have an app show its document as it is: FastAPI's own 422 is never answered here."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = get_openapi(
                title=api.title,
                version=api.version,
                summary=api.summary,
                description=DESCRIPTION,
                routes=api.routes,
            )
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
                    if path not in _OPEN:
                        operation["security"] = [{"secrets": []}]
            components = document.setdefault("components", {})
            components["securitySchemes"] = {"secrets": _SECRETS}
            for name in ("HTTPValidationError", "ValidationError"):
                components.get("schemas", {}).pop(name, None)
            api.openapi_schema = document
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]
