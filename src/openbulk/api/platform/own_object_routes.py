"""Routes of objects under names of the caller's own, which exist twice for an instance."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Request

from openbulk.api.http.callers import SignedInUser, identify_caller, require_instance
from openbulk.api.http.openapi import answers
from openbulk.api.platform.instances import find_instance
from openbulk.api.services import ServicesOfApp
from openbulk.domain.instance import CallingInstance

_INSTANCE_IN_PATH = {
    "name": "instance_id",
    "in": "path",
    "required": True,
    "description": "Number of the instance.",
    "schema": {"type": "string", "examples": ["1"]},
}
ObjectName = Annotated[
    str, Path(description="Your name of the object.", examples=["meetings"], max_length=1_000)
]


def body_like(example: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request in the OpenAPI document."""
    schema = {"type": "object", "examples": [example]}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


Handler = TypeVar("Handler", bound=Callable[..., Awaitable[dict[str, Any]]])


def of_instance(
    router: APIRouter,
    path: str,
    method: str,
    summary: str,
    *,
    shape: Any,
    problems: tuple[int, ...] = (),
    body: Any = None,
) -> Callable[[Handler], Handler]:
    """Routes a handler below `/instances/{id}`, and below `/instances` for the calling instance."""
    extra = {} if body is None else {"requestBody": body}
    # The calling instance exists; what the path names below it may not.
    may_be_missing = "{object_name}" in path and method != "POST"

    def add(handler: Handler) -> Handler:
        for prefix, suffix, parameters in (
            ("/instances", " of the calling instance", []),
            ("/instances/{instance_id}", "", [_INSTANCE_IN_PATH]),
        ):
            router.add_api_route(
                f"{prefix}{path}",
                handler,
                methods=[method],
                summary=f"{summary}{suffix}",
                openapi_extra={**extra, "parameters": parameters},
                responses=answers(
                    shape, *((404,) if parameters or may_be_missing else ()), *problems
                ),
            )
        return handler

    return add


async def _find_instance(
    request: Request, services: ServicesOfApp, user: SignedInUser
) -> CallingInstance:
    """The instance in the path; without one, the one whose token the request has."""
    text = request.path_params.get("instance_id")
    if text is None:
        return await require_instance(await identify_caller(request, services))
    instance = await find_instance(services, user, text)
    return CallingInstance(instance.id, instance.organization_id, instance.element)


AnInstance = Annotated[CallingInstance, Depends(_find_instance)]
