"""The OpenAPI document: what every operation takes and answers, and with which secrets it is called."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

DESCRIPTION = """
Load thousands or millions of records from a file into a cloud service, and back, as jobs.

Every path of an instance exists with and without `/hubs/{hub}` before it: the hub is a prefix and nothing more.
Success is 200 everywhere. Lists are bare arrays; the header `elements-next-page-token` has the token of the next page.
"""
_IN_A_HUB = "The same, behind a hub"
_TAGS = {
    "Bulk": "files in, files out, and how the jobs stand",
    "Objects": "what an instance holds",
    "Resources": "single records: to look at, mend or delete what a job has written",
    "Workflows": "records that are carried over from one instance into another",
    "Schedules": "what is done again and again",
    "Instances": "services that were signed in to",
    "Elements": "services that instances can be made of",
    "Operation": "for those who run the server",
    _IN_A_HUB: "the hub is a prefix and nothing more",
}
_SECRETS = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "`User <secret>, Organization <secret>`, and for an instance `, Element <token>`, in any order",
}
_OPEN = ("/healthz", "/readyz", "/metrics")
_REF = "#/components/schemas/"


class Problem(BaseModel):
    """Why a request was not done."""

    message: str = Field(
        description="what is wrong, and what would be right", examples=["there is no bulk job '7'"]
    )
    requestId: str = Field(  # noqa: N815 - the wire's name
        description="the same as in the header elements-request-id",
        examples=["4f0e3a5b9d9c4f5d8f0f4dfb1f2a9a55"],
    )
    providerMessage: str | None = Field(None, description="what the service itself said")  # noqa: N815 - likewise


_PROBLEMS = {
    400: "the request makes no sense as it stands; the message says what would",
    401: "secrets are missing or wrong, or the service no longer accepts the instance's credentials",
    403: "the service refuses",
    404: "it is not there, or not yours",
    405: "there is such a thing, and it cannot do this",
    409: "it is in a state that does not allow this, or its Idempotency-Key stands for another request",
    413: "the request is larger than the server takes",
    502: "the service could not answer; the message says why",
    507: "the server's disk is full: nothing was done, and it can be sent again",
}
OF_THE_SERVICE = (401, 403, 502, 507)
"""What an operation may answer that calls the instance's service: calls are counted in the ledger."""


def answers(shape: Any, *problems: int) -> dict[int | str, dict[str, Any]]:
    """What an operation answers: with 200 something of this shape, and which problems it may have."""
    return {200: {"model": shape, "description": "it was done"}, **may_answer(*problems)}


def may_answer(*problems: int) -> dict[int | str, dict[str, Any]]:
    """The problems that an operation may have."""
    told = {
        405: {
            "headers": {
                "Allow": {"description": "the methods that it takes", "schema": {"type": "string"}}
            }
        }
    }
    return {
        status: {"model": Problem, "description": _PROBLEMS[status], **told.get(status, {})}
        for status in problems
    }


def describe(api: FastAPI) -> None:
    """Have an app show its document as it is: FastAPI's own 422 is never answered here."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _document(api)
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]


def _document(api: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=api.title,
        version=api.version,
        summary=api.summary,
        description=DESCRIPTION,
        routes=api.routes,
    )
    document["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
    components = document.setdefault("components", {})
    components["securitySchemes"] = {"secrets": _SECRETS}
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, operation in _operations(document):
        operation["responses"].pop("422", None)
        if path not in _OPEN:
            operation["security"] = [{"secrets": []}]
        if "/hubs/{hub}/" in path and not path.endswith("/elements"):
            operation["tags"] = [_IN_A_HUB]
            operation["responses"].setdefault(
                "404", operation["responses"]["401"] | {"description": _PROBLEMS[404]}
            )
        _show_examples(operation, schemas)
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            yield path, operation


# --- examples ---


def _show_examples(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Put together from those of the schemas, so that they stand in one place; where there are several, all of them."""
    for parameter in operation.get("parameters", ()):
        if parameter.get("required") and "example" not in parameter:
            parameter["example"] = _examples(parameter["schema"], schemas)[0]
    for told in (operation.get("requestBody", {}), operation["responses"]["200"]):
        for content in told.get("content", {}).values():
            content["schema"] = _plain(content["schema"])
            examples = _examples(content["schema"], schemas)
            if len(examples) == 1:
                content.setdefault("example", examples[0])
            elif "example" not in content and "examples" not in content:
                content["examples"] = {
                    f"{number}": {"value": one} for number, one in enumerate(examples, 1)
                }


def _plain(schema: Any) -> Any:
    """A schema without what a handler's annotation says more vaguely beside it: FastAPI merges the two."""
    if not isinstance(schema, dict):
        return schema
    for precise in ("$ref", "anyOf"):
        if precise in schema:
            return {precise: schema[precise]}
    return {
        key: _plain(value) if key == "items" else value
        for key, value in schema.items()
        if key != "title"
    }


def _examples(schema: dict[str, Any], schemas: dict[str, Any]) -> list[Any]:
    """The examples of a schema; of an object, one that has those keys for which a value is shown."""
    if "$ref" in schema:
        return _examples(schemas[schema["$ref"].removeprefix(_REF)], schemas)
    if "examples" in schema:
        return list(schema["examples"])
    if "anyOf" in schema:
        return [example for one in schema["anyOf"] for example in _examples(one, schemas)]
    if schema.get("type") == "array":
        return [[example] for example in _examples(schema["items"], schemas)[:1]]
    if schema.get("type") == "object":
        shown = {
            name: _examples(one, schemas) for name, one in schema.get("properties", {}).items()
        }
        return [{name: examples[0] for name, examples in shown.items() if examples}]
    return []
