"""What openbulk knows of a service that a custom connector describes. `export.py` reads it.

ENTRY      a value that each instance has in its configuration: `api.key`
VALUE      a text that may have entries in it: `Bearer ${configuration.api.key}`
CALL       one method of one path at the service
OBJECT     the calls that read and write one kind of record
LEFT OUT   what an export has and openbulk does not do, with the reason
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from openbulk.connectors.custom.json_parts import Steps

BASE_URL = "base.url"
ACCESS_TOKEN = "oauth.user.token"  # noqa: S105 - the name of an entry


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part of an export that has no effect here."""

    place: str
    """Where it is in the export: `resources[3].hooks[0]`."""
    reason: str
    """Why it has no effect, in a sentence."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the configuration of each instance."""

    key: str
    help: str
    name: str = ""
    """As people know it; empty if the export does not say."""
    default: str | None = None
    is_required: bool = False
    is_secret: bool = False
    names_host: bool = False
    """It is part of an address that secrets are sent to."""


_REFERENCE = re.compile(r"\$\{configuration\.(?P<key>[^{}]{1,200})\}")


@dataclass(frozen=True, slots=True)
class Value:
    """A text with entries in it."""

    template: str
    """Entries look like `${configuration.api.key}`."""

    @classmethod
    def of_entry(cls, key: str) -> "Value":
        """The value of one entry."""
        return cls(f"${{configuration.{key}}}")

    @property
    def keys(self) -> frozenset[str]:
        """The entries in it."""
        return frozenset(match["key"] for match in _REFERENCE.finditer(self.template))

    def text(self, configuration: Mapping[str, str]) -> str | None:
        """The text for an instance; None if an entry has no value."""
        if any(not configuration.get(key) for key in self.keys):
            return None
        return _REFERENCE.sub(lambda match: configuration[match["key"]], self.template)


class Operation(StrEnum):
    """What a call does with the records of an object."""

    LIST = "list"
    GET = "get"
    CREATE = "create"
    UPDATE = "update"
    """Changes the given fields."""
    REPLACE = "replace"
    """Puts the given fields in place of all."""
    DELETE = "delete"


class PagingKind(StrEnum):
    """How a service shows a list in pages."""

    PAGE = "page"
    OFFSET = "offset"
    CURSOR = "cursor"


@dataclass(frozen=True, slots=True)
class NextKey:
    """Where in an answer the next page is named."""

    header: str = ""
    """A header; empty if it is in the body."""
    steps: Steps = ()
    parameter: str = ""
    """The query parameter to take from an address that stands there; empty for all of it."""


@dataclass(frozen=True, slots=True)
class Paging:
    """The pages of a list."""

    kind: PagingKind
    position: str = ""
    """The query parameter for the number, the offset or the cursor."""
    size: str = ""
    """The query parameter for the number of records in a page; empty if there is none."""
    max_size: int = 200
    start: int = 1
    """The number of the first page."""
    next_key: NextKey = NextKey()


@dataclass(frozen=True, slots=True)
class Call:
    """One method of one path."""

    method: str
    path: str
    """Below the base URL, with `{name}` where a value goes."""
    path_values: Mapping[str, Value | str] = field(default_factory=dict)
    """For each `{name}`: a value, or the name of a parameter that the caller gives."""
    id_name: str = ""
    """The parameter that is the record's id; empty if the call needs none."""
    query: Mapping[str, Value] = field(default_factory=dict)
    """Query parameters of every call."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Query parameters that the caller may give: their names here, and at the service."""
    headers: Mapping[str, Value] = field(default_factory=dict)
    fields: Mapping[str, Value] = field(default_factory=dict)
    """Fields of every body."""
    request_root: Steps = ()
    """Where the record is in a body that is sent."""
    response_root: Steps = ()
    """Where the record or the list is in an answer."""
    paging: Paging | None = None

    @property
    def path_parameters(self) -> frozenset[str]:
        """The parameters in the path that the caller gives."""
        return frozenset(name for name in self.path_values.values() if isinstance(name, str))


@dataclass(frozen=True, slots=True)
class ObjectDescription:
    """One kind of record, and its calls."""

    name: str
    path: str
    """Its path, with the parameters that say where its records are: `calendars/{id}/events`."""
    calls: Mapping[Operation, Call]
    schema: Mapping[str, Any]
    id_field: str | None
    takes_uploads: bool
    gives_downloads: bool
    changed: str | None = None
    """The field with the date of a record's last change."""
    sends_id: bool = False
    """Whether a new record may have an id of the caller's own."""
    lookups: tuple[str, ...] = ()
    """Fields that the list takes as query parameters, so that a record can be found by them."""

    @property
    def parents(self) -> tuple[str, ...]:
        """The parameters in its path."""
        return tuple(step.strip("{}") for step in self.path.split("/") if step.startswith("{"))


class SignInKind(StrEnum):
    """How an instance signs in."""

    NONE = "none"
    """By nothing, or by the keys that headers and query parameters hold."""
    BASIC = "basic"
    OAUTH2 = "oauth2"
    CLIENT_CREDENTIALS = "oauth2ClientCredentials"


@dataclass(frozen=True, slots=True)
class SignIn:
    """How instances sign in."""

    kind: SignInKind = SignInKind.NONE
    problem: str = ""
    """Why no instance can sign in, in a sentence; empty if they can."""
    token_header: str = "Authorization"  # noqa: S105 - the name of a header
    token_value: str = f"Bearer ${{configuration.{ACCESS_TOKEN}}}"


@dataclass(frozen=True, slots=True)
class Description:
    """A service, as its export describes it."""

    key: str
    name: str
    hub: str
    about: str
    base_url: str
    """With `{entry}` where the value of an entry goes."""
    entries: Mapping[str, Entry]
    authentication: str
    """The kind of sign-in, as the export spells it."""
    sign_in: SignIn
    objects: Mapping[str, ObjectDescription]
    check: Call | None
    """A call that shows whether the credentials work; None if there is none without a guess."""
    left_out: tuple[LeftOut, ...]
