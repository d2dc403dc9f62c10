"""The OpenAPI document: parameters, answers, errors and credentials of every operation."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from openbulk.api.http.operations import permission_of
from openbulk.domain.access import Permission
from openbulk.threads import Threads

DESCRIPTION = """
Start here: press Authorize, enter `User <secret>, Organization <secret>`, create an instance, then
add `, Element <token>`.

Load thousands or millions of records from a file into a cloud service, and back, as jobs.

The calling instance is the one whose token is in the Authorization header. Paths for it exist with
and without the prefix `/hubs/{hub}`, which has no other meaning.

Success is always 200. Lists are bare arrays, and the header `elements-next-page-token` has the
token of the next page. HEAD is possible wherever GET is.
"""
_IN_A_HUB = "Paths with a hub prefix"
_TAGS = {
    "Authentication": "Signing in to openbulk with a password, for clients that begin with one.",
    "Organizations": "Organizations and their users, and what each may do.",
    "Sessions": "Where people are signed in, and how: passwords and second factors.",
    "Invitations": "Links with which people become users, or choose another password.",
    "Secrets": "Secrets of users and organizations, and API keys.",
    "Audit log": "Who did what, and whether an entry was changed since.",
    "Instances": "Accounts of services that openbulk works with.",
    "Transformations": "Objects and fields under names of your own.",
    "Mappings": "How the columns of files make fields, saved under names.",
    "Objects": "Objects of an instance and their fields.",
    "Bulk": "Jobs that upload files and download records.",
    "Files": "Files that are looked at before there is a job for them.",
    "Resources": "Single records, to check or correct what a job has written.",
    "Workflows": "Jobs that copy records from one instance into another.",
    "Schedules": "Requests that openbulk repeats.",
    "Elements": "Services that instances can be made of.",
    "Operation": "Operator endpoints are at the root.",
    _IN_A_HUB: "Every path above with the prefix `/hubs/{hub}`, which has no other meaning.",
}
_SECRETS = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "`User <secret>, Organization <secret>`, in any order. To call on behalf of an "
    "instance, add `, Element <token>`.",
}
NO_PERMISSION = "The role of the user, or the scopes of the key, do not give the permission."
_EXAMPLE_OF_REFUSAL = {
    "message": "this needs the permission 'load', which your role 'viewer' does not have; an "
    "administrator of your organization can give you the role 'operator'",
    "requestId": "4f0e3a5b9d9c4f5d8f0f4dfb1f2a9a55",
}
_REF = "#/components/schemas/"


class Problem(BaseModel):
    """Why a request failed."""

    message: str = Field(
        description="What is wrong, and what would be right.",
        examples=["there is no bulk job '7'"],
    )
    requestId: str = Field(  # noqa: N815 - the wire's name
        description="Id of the request, equal to the header elements-request-id.",
        examples=["4f0e3a5b9d9c4f5d8f0f4dfb1f2a9a55"],
    )
    providerMessage: str | None = Field(  # noqa: N815 - the wire's name
        None, description="Error message of the service."
    )


_PROBLEMS: dict[int, dict[str, Any]] = {
    400: {"description": "The request is invalid. The message says what would be right."},
    401: {
        "description": "Secrets are missing or wrong, or the service no longer accepts the "
        "credentials of the instance."
    },
    403: {"description": "The service does not allow the operation."},
    404: {"description": "It does not exist, or belongs to another organization."},
    405: {
        "description": "The operation is not possible here.",
        "headers": {
            "Allow": {"description": "Methods that are possible.", "schema": {"type": "string"}}
        },
    },
    409: {
        "description": "The current state does not allow the operation, or the Idempotency-Key "
        "belongs to another request."
    },
    413: {"description": "The request is too large."},
    429: {
        "description": "Too many wrong secrets came from this address, or too many jobs or "
        "workflows are under way.",
        "headers": {
            "Retry-After": {
                "description": "Seconds until you may try again.",
                "schema": {"type": "integer"},
            }
        },
    },
    502: {"description": "The service did not carry out the request. The message says why."},
    507: {"description": "The disk of the server is full. Nothing was done; try again later."},
}
_THREADS = Threads("document", 1)
OF_THE_SERVICE = (401, 403, 502, 507)
"""Problems of an operation that calls the service. 507: the ledger counts the calls."""


def answers(shape: Any, *problems: int) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation: 200 with this shape, and these problems."""
    return {200: {"model": shape, "description": "Success."}, **may_answer(*problems)}


def may_answer(*problems: int) -> dict[int | str, dict[str, Any]]:
    """The problems of an operation, by their statuses. Secrets that are wrong may be guesses."""
    if 401 in problems:
        problems = (*problems, 429)
    return {
        status: {"model": Problem, **_PROBLEMS[status], "content": _example_of(status)}
        for status in problems
    }


_PROBLEM_EXAMPLES = {
    400: ("the body is missing; send a JSON object",),
    401: (
        "the user secret is missing; "
        "send the header 'Authorization: User <secret>, Organization <secret>'",
    ),
    403: (
        "the sign-in does not allow writing events; sign in again with the default scopes",
        "Request had insufficient authentication scopes.",
    ),
    404: ("there is no bulk job '7'",),
    405: ("/elements/api-v2/bulk/jobs does not take TRACE; it takes GET, HEAD",),
    409: ("job 7 is RUNNING; fetch its records once it is finished",),
    413: ("the body is larger than 1048576 bytes",),
    429: ("too many wrong secrets came from your address; wait, and send the right one",),
    502: ("the service answered 503 with a body that is not JSON",),
    507: (
        "the disk of the server is full: it has no space for the database. Nothing was lost; send "
        "the request again once the operator of the server has freed space",
    ),
}
"""A message of each status, and the service's own message if the status is the service's."""


def _example_of(status: int) -> dict[str, Any]:
    example = dict(zip(("message", "providerMessage"), _PROBLEM_EXAMPLES[status], strict=False))
    request_id = "4f0e3a5b9d9c4f5d8f0f4dfb1f2a9a55"
    return {"application/json": {"example": {**example, "requestId": request_id}}}


def describe(api: FastAPI) -> None:
    """Make an app serve this document. It lacks FastAPI's 422, which openbulk never sends."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _document(api)
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]


async def document_of(api: FastAPI) -> dict[str, Any]:
    """The document of an app. It is made once, in a thread: that takes a second."""
    return await _THREADS.run(api.openapi)


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
    for method, path, operation in _operations(document):
        operation["responses"].pop("422", None)
        _name_permission(operation, permission_of(method, path))
        if "/hubs/{hub}/" in path and not path.endswith("/elements"):
            operation["tags"] = [_IN_A_HUB]
        _show_examples(operation, schemas)
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), path, operation


def _name_permission(operation: dict[str, Any], needed: Permission | None) -> None:
    """Say which permission an operation needs, and that it may be missing; None for an open one."""
    if needed is None:
        return
    operation["security"] = [{"secrets": [str(needed)]}]
    operation["description"] = f"{operation['description']}\n\nPermission: `{needed}`."
    known = operation["responses"].get("403")
    if known is None:
        operation["responses"]["403"] = {
            "description": NO_PERMISSION,
            "content": {
                "application/json": {
                    "schema": {"$ref": f"{_REF}Problem"},
                    "example": _EXAMPLE_OF_REFUSAL,
                }
            },
        }
    else:
        known["description"] = f"{known['description']} {NO_PERMISSION}"


# --- examples ---


def _show_examples(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Compose examples of parameters, request and answer from the examples of their schemas."""
    for parameter in operation.get("parameters", ()):
        if parameter.get("required") and "example" not in parameter:
            parameter["example"] = _examples(parameter["schema"], schemas)[0]
    for body in (operation.get("requestBody", {}), operation["responses"]["200"]):
        for content in body.get("content", {}).values():
            content["schema"] = _without_vague_keys(content["schema"])
            if "example" not in content and "examples" not in content:
                content.update(_as_content(_examples(content["schema"], schemas)))


def _as_content(examples: list[Any]) -> dict[str, Any]:
    """Examples under OpenAPI's key: `example` for one, `examples` for several."""
    if len(examples) == 1:
        return {"example": examples[0]}
    return {"examples": {str(number): {"value": one} for number, one in enumerate(examples, 1)}}


def _without_vague_keys(schema: Any) -> Any:
    """A schema without the less precise keys that FastAPI adds from a handler's annotation."""
    if not isinstance(schema, dict):
        return schema
    for precise in ("$ref", "anyOf"):
        if precise in schema:
            return {precise: schema[precise]}
    plain = {key: value for key, value in schema.items() if key != "title"}
    if "items" in plain:
        plain["items"] = _without_vague_keys(plain["items"])
    return plain


def _examples(schema: dict[str, Any], schemas: dict[str, Any]) -> list[Any]:
    """The examples of a schema. An object's example has those keys that have one themselves.

    A key that may be missing, and whose value is an object of any keys, has none.
    """
    if "$ref" in schema:
        return _examples(schemas[schema["$ref"].removeprefix(_REF)], schemas)
    if "examples" in schema:
        return list(schema["examples"])
    if "anyOf" in schema:
        return [example for one in schema["anyOf"] for example in _examples(one, schemas)]
    if schema.get("type") == "array":
        return [[example] for example in _examples(schema["items"], schemas)[:1]]
    if schema.get("type") == "object":
        properties = schema.get("properties", {}).items()
        examples = {name: _examples(one, schemas) for name, one in properties}
        needed = schema.get("required", ())
        shown = {name: values[0] for name, values in examples.items() if values}
        return [{name: one for name, one in shown.items() if name in needed or one != {}}]
    return []
