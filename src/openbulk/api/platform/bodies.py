"""JSON bodies about instances: what they say, and how much of it is read."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Message

from openbulk.api.http.multipart import body_of


class BoundedRoute(APIRoute):
    """A route whose body is small: one that is larger than `MAX_FIELD_BYTES` is answered with 413.

    FastAPI alone reads a body whole, whatever its size, and before it asks who is calling.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own, handed a body that was read already."""
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            body = await body_of(request)

            async def receive() -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            return await handle(Request(request.scope, receive))

        return bounded


class ElementKey(BaseModel):
    """Which service an instance is made of."""

    key: str = Field(description="its key, or its number", examples=["googlecalendar"])


Configuration = Annotated[
    dict[str, str | bool | int | float | None],
    Field(description="entries by their keys", examples=[{"quota.user.minute": "600"}]),
]


class EntryBody(BaseModel):
    """A new value of one entry of an instance's configuration."""

    propertyValue: str | bool | int | float | None = Field(  # noqa: N815 - the wire contract's name
        description="the new value; null leaves the entry as it is", examples=["600"]
    )


class SignInBody(BaseModel):
    """What `GET /elements/{key}/oauth/url` has in its address."""

    model_config = ConfigDict(extra="ignore")

    # The names are the wire contract's.
    apiKey: str = Field("", description="the application's id", examples=["client"])  # noqa: N815
    apiSecret: str = Field("", description="its secret", examples=["secret"])  # noqa: N815
    callbackUrl: str = Field(  # noqa: N815
        "", description="where it leads back to", examples=["https://example.com/back"]
    )
    scope: str = Field("", description="what may be done")
    state: str = Field("", description="comes back with the code", examples=["choir"])
    pkce: bool = Field(False, description="whether the code is for this server alone")
    siteAddress: str = Field("", description="a proxy of the service")  # noqa: N815


class InstanceBody(BaseModel):
    """What a caller says of an instance. On a change, what is left out stays as it is."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"examples": [{"element": {"key": "memory"}, "name": "For trying"}]},
    )

    element: ElementKey | None = Field(
        None, description="the service; in the path, where that names it"
    )
    name: str | None = Field(None, max_length=500, description="what its owner calls it")
    configuration: Configuration | None = Field(
        None, description="what the service asks for: /elements/{key} says it"
    )
    providerData: dict[str, str] | None = Field(  # noqa: N815 - the wire contract's name
        None, description="the code that a person's sign-in came back with, and the state"
    )
    tags: list[str] | None = Field(None, description="words to find it by")
    disabled: bool | None = Field(None, description="whether its jobs wait")


class ChangedInstance(InstanceBody):
    """What is to be different about an instance. What is left out stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Calendar of the choir", "tags": ["choir", "weekly"]}]
        }
    )
