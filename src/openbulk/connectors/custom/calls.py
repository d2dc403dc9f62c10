"""The calls of an export: one for each entry of `resources` that openbulk can make as it stands."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from openbulk.connectors.custom.description import (
    Call,
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
from openbulk.connectors.custom.paging import Pages
from openbulk.connectors.custom.parameters import MAX_PARAMETERS, Draft, ParameterReader
from openbulk.connectors.custom.templates import is_path, placeholders_in
from openbulk.connectors.targets import OF_THE_PLATFORM, UNDER_BULK

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_OF_RECORDS = {
    "GET": Operation.GET,
    "GETBYID": Operation.GET,
    "PATCH": Operation.UPDATE,
    "PUT": Operation.REPLACE,
    "DELETE": Operation.DELETE,
}
_OF_OBJECTS = {"GET": Operation.LIST, "POST": Operation.CREATE}
_CALL_TYPES = frozenset({"", "api", "apinodocumentation"})
_VALIDATES = "provisionauthvalidation"


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

    parameters: ParameterReader
    pages: Pages
    shared: Mapping[str, Any]
    """The export itself, whose `parameters` and `hooks` are those of all resources."""
    left_out: list[LeftOut]
    check: Call | None = None
    """The call that shows whether credentials work, if the export names one."""

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
            self.parameters.read(draft, owner, where, operation)
        self.parameters.fill_path(draft, given)
        call = draft.finish()
        _require_json(call, operation)
        if operation is Operation.LIST:
            call = replace(call, paging=self.pages.of(resource, place, draft.paging))
        return call


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
