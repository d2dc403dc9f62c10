"""The parameters of a described call: what the service gets, from whom, and where it goes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from openbulk.connectors.custom.description import (
    ACCESS_TOKEN,
    Call,
    Entry,
    LeftOut,
    Operation,
    Value,
)
from openbulk.connectors.custom.json_parts import Undoable, flag_in, objects_in, text_in
from openbulk.connectors.custom.paging import PAGE_PARAMETERS
from openbulk.connectors.custom.templates import placeholders_in

MAX_PARAMETERS = 100
"""Of one resource, and of all of them."""
_ALWAYS_SENT = frozenset(
    {
        "body",
        "bodyfield",
        "configuration",
        "customvalue",
        "file",
        "form",
        "multipart",
        "prevbody",
        "prevbodyfield",
        "value",
    }
)
"""Sources of parameters that are part of each call, whether they are required or not."""
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,100}")
_HOP_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that say how a message gets to a service and back (RFC 9110, section 7.6.1): openbulk's
HTTP client sends those that it needs."""


@dataclass(slots=True)
class Draft:
    """A call while its parameters are read."""

    call: Call
    path_values: dict[str, Value | str] = field(default_factory=dict)
    query: dict[str, Value] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    headers: dict[str, Value] = field(default_factory=dict)
    fields: dict[str, Value] = field(default_factory=dict)
    paging: dict[str, str] = field(default_factory=dict)
    """The service's names of the parameters of pages."""

    def finish(self) -> Call:
        """The call."""
        return replace(
            self.call,
            path_values=dict(self.path_values),
            query=dict(self.query),
            parameters=dict(self.parameters),
            headers=dict(self.headers),
            fields=dict(self.fields),
        )


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A parameter as the export describes it."""

    given: Mapping[str, Any]
    place: str

    @property
    def name(self) -> str:
        """Its name, as callers write it."""
        return text_in(self.given, "name", self.place)

    @property
    def at_service(self) -> str:
        """Its name at the service."""
        return text_in(self.given, "vendorName", self.place) or self.name

    @property
    def source(self) -> str:
        """Where its value comes from: `query`, `path`, `header`."""
        return text_in(self.given, "type", self.place).lower()

    @property
    def target(self) -> str:
        """Where its value goes."""
        return text_in(self.given, "vendorType", self.place).lower() or self.source

    @property
    def is_required(self) -> bool:
        """Whether a call needs it."""
        return bool(flag_in(self.given, "required", self.place))

    def changes_nothing(self) -> bool:
        """Whether a call is the same without it."""
        match self.source, self.target:
            case ("no-op", _) | (_, "no-op") | ("body", "body"):
                return True
            case "bodyfield", "bodyfield":
                return self.name == self.at_service
            case _, "header":
                # HTTP itself says where a message goes and how long it is.
                return self.at_service.lower() in _HOP_HEADERS
        return False


class ParameterReader:
    """Reads the parameters of the calls of one export."""

    def __init__(self, entries: Mapping[str, Entry], left_out: list[LeftOut]) -> None:
        self._entries = entries
        self._left_out = left_out
        self._left_out_places: set[str] = set()

    def read(
        self, draft: Draft, owner: Mapping[str, Any], place: str, operation: Operation
    ) -> None:
        """Add the `parameters` of a resource, or of the whole export, to a call.

        Raises Undoable if the call cannot be made without one that openbulk cannot send.
        """
        for inner, one in objects_in(owner, "parameters", place, MAX_PARAMETERS):
            parameter = _Parameter(one, inner)
            try:
                if text_in(one, "source", inner).lower() == "response":
                    raise Undoable("openbulk does not change answers")
                self._place(draft, parameter, operation)
            except Undoable as problem:
                self._leave_out(parameter, str(problem))

    def fill_path(self, draft: Draft, given: Sequence[str]) -> None:
        """Find a value for each name in the path. Raises Undoable if there is none.

        `given` are the parameters in the path that callers use.
        """
        names = placeholders_in(draft.call.path)
        for name in names:
            if name in draft.path_values:
                continue
            if name in given:
                draft.path_values[name] = name
            elif name in self._entries:
                self._place_value(draft, Value.of_entry(name), "path", name)
            else:
                raise Undoable(f"no parameter fills {{{name}}} of its vendorPath")
        for name in draft.path_values.keys() - set(names):
            del draft.path_values[name]
        used = {*draft.path_values.values(), *draft.parameters}
        for name in given:
            # Without the id, a call would be about all records.
            if name not in used:
                raise Undoable(f"the service does not get {{{name}}} of its path")

    def _leave_out(self, parameter: _Parameter, reason: str) -> None:
        """Leave a parameter out. Raises Undoable if its call cannot be made without it."""
        name, place = parameter.name, parameter.place
        if parameter.is_required or parameter.source in _ALWAYS_SENT:
            raise Undoable(f"it needs the parameter {name!r} ({place}): {reason}")
        # A parameter of all resources is read for each of them.
        if place not in self._left_out_places:
            self._left_out_places.add(place)
            self._left_out.append(LeftOut(place, f"the parameter {name[:80]!r}: {reason}"))

    def _place(self, draft: Draft, parameter: _Parameter, operation: Operation) -> None:
        if parameter.changes_nothing():
            return
        name, source, target = parameter.name, parameter.source, parameter.target
        match source, target:
            case "configuration" | "value", _:
                self._place_value(draft, self._value(source, name), target, parameter.at_service)
            case "query", "query":
                _place_query(draft, parameter, operation)
            case "path" | "query", "path":
                draft.path_values[parameter.at_service] = name
            case "path", "query":
                draft.parameters[name] = parameter.at_service
            case _:
                raise Undoable(f"openbulk cannot send {source or 'nothing'!r} as {target!r}")

    def _value(self, source: str, name: str) -> Value:
        value = Value.of_entry(name) if source == "configuration" else Value(name)
        rest = re.sub(r"\$\{configuration\.[^{}]+\}", "", value.template)
        if "${" in rest:
            raise Undoable("openbulk knows ${configuration...} alone")
        unknown = value.keys - self._entries.keys() - {ACCESS_TOKEN}
        if unknown:
            raise Undoable(f"the configuration has no entry {min(unknown)!r}")
        return value

    def _place_value(self, draft: Draft, value: Value, target: str, name: str) -> None:
        if target == "header":
            _place_header(draft, value, name)
            return
        if ACCESS_TOKEN in value.keys:
            raise Undoable("openbulk sends access tokens in headers alone")
        places: Mapping[str, dict[str, Any]] = {
            "query": draft.query,
            "path": draft.path_values,
            "bodyfield": draft.fields,
        }
        if target not in places:
            raise Undoable(f"openbulk cannot send a value as {target!r}")
        is_secret = any(key in self._entries and self._entries[key].is_secret for key in value.keys)
        if target == "path" and is_secret:
            raise Undoable("it is a secret, and messages show paths")
        places[target][name] = value


def _place_header(draft: Draft, value: Value, name: str) -> None:
    if not _HEADER.fullmatch(name) or name.lower() == "content-encoding":
        raise Undoable(f"{name[:80]!r} is not a header that openbulk sends")
    if ACCESS_TOKEN not in value.keys:
        # Headers have no case (RFC 9110, section 5.1).
        draft.headers["Content-Type" if name.lower() == "content-type" else name] = value


def _place_query(draft: Draft, parameter: _Parameter, operation: Operation) -> None:
    name, at_service = parameter.name, parameter.at_service
    converter = text_in(parameter.given, "converter", parameter.place)
    if name in {"where", "fields"}:
        # openbulk applies conditions itself, and selects fields itself.
        return
    if converter or at_service.startswith("converter:"):
        raise Undoable(f"openbulk has no converter {(converter or at_service)[:80]!r}")
    if operation is Operation.LIST and name in PAGE_PARAMETERS:
        draft.paging[name] = at_service
        return
    default = text_in(parameter.given, "defaultValue", parameter.place)
    if default and parameter.is_required:
        draft.query[at_service] = Value(default)
    draft.parameters[name] = at_service
