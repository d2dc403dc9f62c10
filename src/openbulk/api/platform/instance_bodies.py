"""JSON bodies of requests about instances."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from openbulk.api.http.bodies import ContractBody


class ElementKey(BaseModel):
    """The service of an instance."""

    model_config = ConfigDict(strict=True)

    key: str | None = Field(
        None, description="Key or number of the service.", examples=["googlecalendar"]
    )
    id: int | str | None = Field(None, description="Number of the service, if there is no key.")


MAX_TEXT = 20_000
"""Characters of a value: the key file of a service account has some 2,500."""
_MAX_TAGS = 100
_Text = Annotated[str, Field(max_length=MAX_TEXT)]
MAX_TAG = 200
_Tag = Annotated[str, Field(max_length=MAX_TAG)]
_Value = _Text | bool | int | float | dict[str, Any] | list[Any] | None
"""A JSON object or array is kept as its text: the key of a service account may be one."""
Configuration = Annotated[
    dict[str, _Value],
    Field(
        description="Configuration entries by their names.",
        examples=[{"quota.user.minute": "600"}],
    ),
]


class EntryBody(ContractBody):
    """A new value for one entry of an instance's configuration."""

    propertyValue: _Value = Field(  # noqa: N815 - the wire contract's name
        description="New value. Null leaves the entry unchanged.", examples=["600"]
    )


class SignInBody(ContractBody):
    """A request for a sign-in URL."""

    # The names are the wire contract's.
    apiKey: str = Field(  # noqa: N815
        "", description="Client id of your OAuth application.", examples=["client"]
    )
    apiSecret: str = Field(  # noqa: N815
        "", description="Client secret of your OAuth application.", examples=["secret"]
    )
    callbackUrl: str = Field(  # noqa: N815
        "",
        description="URL that the service redirects to after the sign-in.",
        examples=["https://example.com/back"],
    )
    scope: str = Field("", description="OAuth scopes to request, instead of the default ones.")
    state: str = Field(
        "", description="Value that the redirect returns with the code.", examples=["choir"]
    )
    pkce: bool = Field(
        False, description="Whether to bind the code to this server (PKCE, RFC 7636)."
    )
    siteAddress: str = Field(  # noqa: N815
        "", description="Base URL of the service, if you reach it through a proxy."
    )


class InstanceBody(ContractBody):
    """An instance to create."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"element": {"key": "memory"}, "name": "For trying"}]},
    )

    element: ElementKey | None = Field(
        None, description="Service of the instance. Not needed if the path names it."
    )
    name: str | None = Field(None, max_length=500, description="Name of the instance.")
    configuration: Configuration | None = Field(
        None, description="Settings of the service; `/elements/{key}` lists them."
    )
    providerData: dict[str, _Text] | None = Field(  # noqa: N815 - the wire contract's name
        None, description="`code` and `state` from the redirect after a sign-in."
    )
    tags: list[_Tag] | None = Field(
        None, max_length=_MAX_TAGS, description="Tags that find the instance in lists."
    )
    disabled: bool | None = Field(
        None, description="Whether the jobs of the instance wait until it is enabled."
    )


class ChangedInstance(InstanceBody):
    """Changes to an instance. Keys that are absent stay unchanged."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Calendar of the choir", "tags": ["choir", "weekly"]}]
        }
    )
