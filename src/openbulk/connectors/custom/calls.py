"""The calls of an export: one for each entry of `resources` that openbulk can make as it stands."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from openbulk.connectors.custom.description import (
    ACCESS_TOKEN,
    Call,
    Entry,
    LeftOut,
    Operation,
    Value,
)
from openbulk.connectors.custom.json_parts import (
    Steps,
    Undoable,
    flag_in,
    join,
    object_in,
    objects_in,
    steps_in,
    text_in,
)
from openbulk.connectors.custom.paging import PAGE_PARAMETERS, Pages
from openbulk.connectors.custom.templates import is_path, placeholders_in
from openbulk.connectors.targets import OF_THE_PLATFORM, UNDER_BULK

MAX_PARAMETERS = 100
"""Of one resource, and of all of them."""
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_OF_RECORDS = {
    "GET": Operation.GET,
    "GETBYID": Operation.GET,
    "PATCH": Operation.UPDATE,
    "PUT": Operation.REPLACE,
    "DELETE": Operation.DELETE,
}
_OF_OBJECTS = {"GET": Operation.LIST, "POST": Operation.CREATE}
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
_CALL_TYPES = frozenset({"", "api", "apinodocumentation"})
_VALIDATES = "provisionauthvalidation"
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
class DescribedCall:
    """A call, and where it belongs."""

    place: str
    path: str
    """The path of its object, as callers write it: `calendars/{calendarId}/events`."""
    operation: Operation
    call: Call
    resource: Mapping[str, Any]


@dataclass(slots=True)
class CallReader:
    """Reads the resources of one export."""

    entries: Mapping[str, Entry]
    pages: Pages
    shared: Mapping[str, Any]
    """The export itself, whose `parameters` and `hooks` are those of all resources."""
    left_out: list[LeftOut]
    check: Call | None = None
    """The call that shows whether credentials work, if the export names one."""
    _left_out_places: set[str] = field(default_factory=set)

    def read(self, resource: Mapping[str, Any], place: str) -> DescribedCall | None:
        """The call of a resource; None if it was left out. Raises BadInput."""
        method = text_in(resource, "method", place).upper() or "GET"
        label = f"{method} {text_in(resource, 'path', place)}"
        try:
            return self._read(resource, place, method)
        except Undoable as problem:
            self.left_out.append(LeftOut(place, f"{label}: {problem}"))
            return None

    def _read(self, resource: Mapping[str, Any], place: str, method: str) -> DescribedCall | None:
        kind = text_in(resource, "type", place).lower()
        _refuse_chains(resource, place, kind)
        self._refuse_scripts(resource, place)
        if kind == _VALIDATES:
            self._keep_check(resource, place)
            return None
        path, id_name = _object_path(text_in(resource, "path", place))
        operation = _operation(method, id_name)
        given = [*placeholders_in(path), *filter(None, [id_name])]
        if len(set(given)) < len(given):
            raise Undoable("two parts of its path have the same name")
        call = self._call(resource, place, operation, given)
        if path.split("/")[0] in OF_THE_PLATFORM or path in UNDER_BULK:
            if path == "ping" and self.check is None and not call.path_parameters:
                self.check = call
                return None
            raise Undoable("openbulk answers this path by itself")
        return DescribedCall(place, path, operation, call, resource)

    def _keep_check(self, resource: Mapping[str, Any], place: str) -> None:
        call = self._call(resource, place, Operation.LIST, [])
        if call.path_parameters:
            raise Undoable("a check of the sign-in cannot have values of its own in its path")
        self.check = replace(call, paging=None)

    def _refuse_scripts(self, resource: Mapping[str, Any], place: str) -> None:
        for owner, where in ((resource, place), (self.shared, "")):
            for hook_place, hook in objects_in(owner, "hooks", where, MAX_PARAMETERS):
                if text_in_script(hook):
                    name = text_in(hook, "type", hook_place) or "hook"
                    raise Undoable(
                        f"{hook_place} is a script ({name}), and without it the call would mean "
                        "something else; openbulk runs no scripts"
                    )

    # --- one call ---

    def _call(
        self,
        resource: Mapping[str, Any],
        place: str,
        operation: Operation,
        given: Sequence[str],
    ) -> Call:
        method = text_in(resource, "vendorMethod", place).upper()
        method = method or _vendor_method(text_in(resource, "method", place))
        path, query = _vendor_path(resource, place)
        _require_method(method, operation)
        request_root, response_root = _roots(resource, place, operation)
        draft = Draft(
            Call(
                method,
                path,
                id_name="" if operation in _OF_OBJECTS.values() else given[-1],
                request_root=request_root,
                response_root=response_root,
            ),
            query=query,
        )
        for owner, where in ((self.shared, ""), (resource, place)):
            for inner, one in objects_in(owner, "parameters", where, MAX_PARAMETERS):
                self._add_parameter(draft, one, inner, operation)
        self._fill_path(draft, given)
        call = draft.finish()
        _require_json(call, operation)
        if operation is Operation.LIST:
            call = replace(call, paging=self.pages.of(resource, place, draft.paging))
        return call

    def _fill_path(self, draft: Draft, given: Sequence[str]) -> None:
        """Find a value for each name in the path. Raises Undoable if there is none.

        `given` are the parameters in the path that callers use.
        """
        names = placeholders_in(draft.call.path)
        for name in names:
            if name in draft.path_values:
                continue
            if name in given:
                draft.path_values[name] = name
            elif name in self.entries:
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

    def _add_parameter(
        self, draft: Draft, one: Mapping[str, Any], place: str, operation: Operation
    ) -> None:
        if text_in(one, "source", place).lower() == "response":
            self._leave_parameter_out(one, place, "openbulk does not change answers")
            return
        source = text_in(one, "type", place).lower()
        target = text_in(one, "vendorType", place).lower() or source
        try:
            self._place_parameter(draft, one, place, operation, (source, target))
        except Undoable as problem:
            self._leave_parameter_out(one, place, str(problem))

    def _leave_parameter_out(self, one: Mapping[str, Any], place: str, reason: str) -> None:
        """Leave a parameter out. Raises Undoable if its call cannot be made without it."""
        name = text_in(one, "name", place)
        source = text_in(one, "type", place).lower()
        if flag_in(one, "required", place) or source in _ALWAYS_SENT:
            raise Undoable(f"it needs the parameter {name!r} ({place}): {reason}")
        # A parameter of all resources is read for each of them.
        if place not in self._left_out_places:
            self._left_out_places.add(place)
            self.left_out.append(LeftOut(place, f"the parameter {name[:80]!r}: {reason}"))

    def _place_parameter(
        self,
        draft: Draft,
        one: Mapping[str, Any],
        place: str,
        operation: Operation,
        kinds: tuple[str, str],
    ) -> None:
        source, target = kinds
        name = text_in(one, "name", place)
        at_service = text_in(one, "vendorName", place) or name
        if _changes_nothing(kinds, name, at_service):
            return
        if source in {"configuration", "value"}:
            self._place_value(draft, self._value(source, name), target, at_service)
        elif source == "query" and target == "query":
            _place_query(draft, one, place, operation, (name, at_service))
        elif source in {"path", "query"} and target == "path":
            draft.path_values[at_service] = name
        elif source == "path" and target == "query":
            draft.parameters[name] = at_service
        else:
            raise Undoable(f"openbulk cannot send {source or 'nothing'!r} as {target!r}")

    def _value(self, source: str, name: str) -> Value:
        value = Value.of_entry(name) if source == "configuration" else Value(name)
        rest = re.sub(r"\$\{configuration\.[^{}]+\}", "", value.template)
        if "${" in rest:
            raise Undoable("openbulk knows ${configuration...} alone")
        unknown = value.keys - self.entries.keys() - {ACCESS_TOKEN}
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
        is_secret = any(key in self.entries and self.entries[key].is_secret for key in value.keys)
        if target == "path" and is_secret:
            raise Undoable("it is a secret, and messages show paths")
        places[target][name] = value


def _changes_nothing(kinds: tuple[str, str], name: str, at_service: str) -> bool:
    """Whether a call is the same without a parameter."""
    if "no-op" in kinds or kinds == ("body", "body"):
        return True
    if kinds == ("bodyfield", "bodyfield"):
        return name == at_service
    # HTTP itself says where a message goes and how long it is.
    return kinds[1] == "header" and at_service.lower() in _HOP_HEADERS


def _place_header(draft: Draft, value: Value, name: str) -> None:
    if not _HEADER.fullmatch(name) or name.lower() == "content-encoding":
        raise Undoable(f"{name[:80]!r} is not a header that openbulk sends")
    if ACCESS_TOKEN not in value.keys:
        # Headers have no case (RFC 9110, section 5.1).
        draft.headers["Content-Type" if name.lower() == "content-type" else name] = value


def text_in_script(hook: Mapping[str, Any]) -> bool:
    """Whether a hook has a script that does anything."""
    return bool(str(hook.get("body") or "").strip())


def _refuse_chains(resource: Mapping[str, Any], place: str, kind: str) -> None:
    if flag_in(resource, "executable", place) is False:
        raise Undoable("it is not executable")
    if following := text_in(resource, "nextResource", place):
        raise Undoable(f"it is chained to {following!r}; openbulk makes single calls")
    if kind not in _CALL_TYPES and kind != _VALIDATES:
        raise Undoable(f"its type {kind!r} is not 'api'; openbulk has no use for such calls")


def _operation(method: str, id_name: str) -> Operation:
    known = _OF_RECORDS if id_name else _OF_OBJECTS
    operation = known.get(method)
    if operation is not None:
        return operation
    if id_name:
        raise Undoable(f"openbulk has no {method} on a single record; its object may be missing")
    raise Undoable(f"openbulk has no {method} on an object; a path to a record ends in {{id}}")


def _vendor_method(method: str) -> str:
    return "GET" if method.upper() in {"", "GETBYID"} else method.upper()


def _require_method(method: str, operation: Operation) -> None:
    if method not in _METHODS:
        raise Undoable(f"openbulk cannot send {method[:40]!r}; it can send {_list_of(_METHODS)}")
    is_read = operation in {Operation.LIST, Operation.GET}
    if is_read != (method == "GET"):
        raise Undoable(f"openbulk does not {operation} with {method}")


def _list_of(names: Sequence[str] | frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _object_path(path: str) -> tuple[str, str]:
    """The path of an object, and the parameter of the record's id if the path has one."""
    steps = [step for step in path.partition("?")[0].split("/") if step]
    if steps[:1] == ["hubs"]:
        steps = steps[2:]
    if not steps:
        raise Undoable("its path names no object")
    id_name = ""
    if is_parameter(steps[-1]):
        id_name = steps.pop().strip("{}")
    if not steps or is_parameter(steps[0]):
        raise Undoable("its path names no object")
    if not all(is_parameter(step) or _is_word(step) for step in steps):
        raise Undoable("its path has more in it than words and parameters")
    return "/".join(steps), id_name


def _is_word(step: str) -> bool:
    # Clients resolve dots (RFC 3986, section 5.2.4).
    return bool(re.fullmatch(r"[\w.~-]{1,100}", step)) and step not in {".", ".."}


def is_parameter(step: str) -> bool:
    """Whether a step of a path is a parameter: `{id}`."""
    return bool(re.fullmatch(r"\{[^{}]{1,100}\}", step))


def _vendor_path(resource: Mapping[str, Any], place: str) -> tuple[str, dict[str, Value]]:
    """The path at the service, and the query parameters that stand in it."""
    whole = text_in(resource, "vendorPath", place)
    path, _, query = whole.partition("?")
    if "://" in path or path.startswith("//"):
        raise Undoable(f"its vendorPath {path[:80]!r} is an address; openbulk calls base.url alone")
    path = f"/{path.strip('/')}" + ("/" if path.endswith("/") and path != "/" else "")
    path = "" if path == "/" else path
    if not is_path(path):
        raise Undoable(f"its vendorPath {path[:80]!r} is not a path")
    if placeholders_in(query):
        raise Undoable("its vendorPath has parameters behind a question mark; name them apart")
    return path, {name: Value(value) for name, value in parse_qsl(query, keep_blank_values=True)}


def _roots(resource: Mapping[str, Any], place: str, operation: Operation) -> tuple[Steps, Steps]:
    """Where the record is in a body that is sent, and in an answer.

    `rootKey` has both, with `|` between them. A key alone is that of the answer to a call that
    sends nothing, and of the body of one that does.
    """
    expressions = object_in(resource, "expressions", place)
    of_response = object_in(resource, "response", place)
    key = text_in(resource, "rootKey", place)
    request, bar, response = key.partition("|")
    if not bar and operation in {Operation.LIST, Operation.GET, Operation.DELETE}:
        request, response = "", key
    request = request or text_in(expressions, "requestBodyRoot", join(place, "expressions"))
    response = (
        response
        or text_in(of_response, "rootKey", join(place, "response"))
        or text_in(expressions, "responseBodyRoot", join(place, "expressions"))
    )
    return steps_in(request), steps_in(response)


def _place_query(
    draft: Draft,
    one: Mapping[str, Any],
    place: str,
    operation: Operation,
    names: tuple[str, str],
) -> None:
    name, at_service = names
    converter = text_in(one, "converter", place)
    if name in {"where", "fields"}:
        # openbulk applies conditions itself, and selects fields itself.
        return
    if converter or at_service.startswith("converter:"):
        raise Undoable(f"openbulk has no converter {(converter or at_service)[:80]!r}")
    if operation is Operation.LIST and name in PAGE_PARAMETERS:
        draft.paging[name] = at_service
        return
    default = text_in(one, "defaultValue", place)
    if flag_in(one, "required", place) and default:
        draft.query[at_service] = Value(default)
    draft.parameters[name] = at_service


def _require_json(call: Call, operation: Operation) -> None:
    """Raise Undoable for a call that sends or takes anything but JSON, and keep such headers out.

    The client sends `Content-Type` with each body by itself.
    """
    for name, value in call.headers.items():
        if name.lower() not in {"content-type", "accept"}:
            continue
        is_json = "json" in value.template.lower() or "*/*" in value.template
        reads = operation in {Operation.LIST, Operation.GET, Operation.DELETE}
        if not is_json and not (name.lower() == "content-type" and reads):
            raise Undoable(f"its {name} is {value.template[:80]!r}; openbulk speaks JSON alone")
