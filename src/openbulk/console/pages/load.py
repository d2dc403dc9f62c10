"""Load a file, a step a page: the file, where to, its columns, and then the plan, which is a job.

The address of a page holds all that was chosen before it: a reload, the back button or a second tab
lose nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from openbulk.console.api_calls import ApiCalls, ApiRefusal, object_path, path_of
from openbulk.console.field_choices import FieldChoice, choices_of, mapping_of
from openbulk.console.pages.instances import list_instances
from openbulk.console.visits import Visit

PREVIEW_ROWS = 8
ACTIONS = ("create", "update", "upsert", "delete")
_ANSWER = "answer:"
_CHOSEN = ("instance", "object", "action", "key", "calendar")
_EVENTS, _CALENDARS = "events", "calendar-list"
"""Objects of a service with calendars: what is in one of them, and which there are."""
_CAN_WRITE = frozenset({"owner", "writer", "writerWithoutPrivateAccess"})
MAX_CALENDARS = 250


async def start(visit: Visit) -> Response:
    """Ask for a file."""
    files = await visit.api.get("/files", pageSize=10)
    return visit.page("load.html", files=files, problem="")


async def receive(visit: Visit) -> Response:
    """Take a file as it arrives."""
    try:
        file = await visit.api.upload("/files", {})
    except ApiRefusal as error:
        files = await visit.api.get("/files", pageSize=10)
        return visit.page("load.html", error.status, files=files, problem=error.message)
    return visit.go_to(f"/load/{file['id']}")


async def file(visit: Visit) -> Response:
    """What is in the file, and what it leaves open."""
    return await _file_page(visit)


async def answer(visit: Visit) -> Response:
    """Read the file as the person says."""
    form = await visit.form()
    path = path_of("files", visit.request.path_params["file"])
    body = {"metaData": {str(form.get("key", "")): str(form.get("value", ""))}}
    try:
        await visit.api.send("PATCH", path, body)
    except ApiRefusal as error:
        return await _file_page(visit, error)
    return visit.go_to(f"/load/{visit.request.path_params['file']}")


async def _file_page(visit: Visit, refusal: ApiRefusal | None = None) -> Response:
    found, rows = await asyncio.gather(_file_of(visit), _first_rows(visit))
    return visit.page(
        "load_file.html",
        200 if refusal is None else refusal.status,
        file=found,
        rows=rows,
        problem=refusal.message if refusal else "",
    )


async def where(visit: Visit) -> Response:
    """Choose where the file goes, and what is to be done with its rows."""
    found, instances = await asyncio.gather(_file_of(visit), list_instances(visit))
    chosen = _choices_in(visit.query)
    if not chosen["instance"] and len(instances) == 1:
        chosen["instance"] = str(instances[0]["id"])
    objects: Sequence[str] = ()
    calendars: Sequence[Mapping[str, Any]] = ()
    problem = ""
    if chosen["instance"]:
        try:
            api = await visit.api_of(chosen["instance"])
            objects = await api.get("/objects")
            calendars = await _calendars_of(api, objects)
        except ApiRefusal as error:
            problem = error.message
    return visit.page(
        "load_where.html",
        file=found,
        instances=instances,
        objects=objects,
        calendars=calendars,
        actions=ACTIONS,
        chosen=chosen,
        problem=problem,
    )


async def columns(visit: Visit) -> Response:
    """Choose which column makes which field: what is sure is chosen already."""
    chosen = _choices_in(visit.query)
    if not chosen["instance"] or not chosen["object"]:
        return visit.go_to(f"/load/{visit.request.path_params['file']}/where", **chosen)
    api = await visit.api_of(chosen["instance"])
    return await _columns_page(visit, api, chosen)


async def plan(visit: Visit) -> Response:
    """Make the plan, and show it."""
    fields = await visit.fields()
    chosen = _choices_in(fields)
    if not chosen["instance"] or not chosen["object"]:
        return visit.go_to(f"/load/{visit.request.path_params['file']}/where", **chosen)
    api = await visit.api_of(chosen["instance"])
    meta = {
        "fileId": visit.request.path_params["file"],
        "action": chosen["action"],
        "mapping": mapping_of(fields),
        **_answers_of(fields),
    }
    if chosen["calendar"] and chosen["object"] == _EVENTS:
        meta["calendarId"] = chosen["calendar"]
    if chosen["key"]:
        meta["identifierFieldName"] = chosen["key"]
    try:
        if name := fields.get("save", "").strip():
            saved = {"name": name, "object": chosen["object"], "mapping": meta["mapping"]}
            await api.send("POST", "/mappings", saved)
        job = await api.send(
            "POST", "/bulk" + object_path(chosen["object"]), {"metaData": meta}, plan="true"
        )
    except ApiRefusal as error:
        return await _columns_page(visit, api, chosen, fields, error)
    return visit.go_to(f"/jobs/{job['id']}")


def _answers_of(fields: Mapping[str, str]) -> dict[str, str]:
    """What the person says of what the file leaves open, by key of `metaData`."""
    return {
        name.removeprefix(_ANSWER): value
        for name, value in fields.items()
        if name.startswith(_ANSWER) and value
    }


async def _columns_page(
    visit: Visit,
    api: ApiCalls,
    chosen: Mapping[str, str],
    fields: Mapping[str, str] | None = None,
    refusal: ApiRefusal | None = None,
) -> Response:
    number = visit.request.path_params["file"]
    found, proposal, metadata = await asyncio.gather(
        _file_of(visit),
        api.get(
            path_of("files", number, "mapping"), object=chosen["object"], action=chosen["action"]
        ),
        api.get("/objects" + object_path(chosen["object"]) + "/metadata"),
    )
    known = [one for one in metadata["fields"] if not one.get("vendorReadOnly")]
    choices = choices_of(proposal) if fields is None else choices_of_form(fields)
    return visit.page(
        "load_columns.html",
        200 if refusal is None else refusal.status,
        file=found,
        chosen=chosen,
        choices=choices,
        fields=known,
        proposal=proposal,
        given=fields or {},
        problem=refusal.message if refusal else "",
    )


def choices_of_form(fields: Mapping[str, str]) -> Sequence[FieldChoice]:
    """The choices as the person has made them."""
    return choices_of({"mapping": mapping_of(fields), "fields": []})


async def _file_of(visit: Visit) -> Mapping[str, Any]:
    found: Mapping[str, Any] = await visit.api.get(
        path_of("files", visit.request.path_params["file"])
    )
    return found


async def _first_rows(visit: Visit) -> Sequence[Mapping[str, Any]]:
    path = path_of("files", visit.request.path_params["file"], "rows")
    try:
        rows: Sequence[Mapping[str, Any]] = await visit.api.get(path, limit=PREVIEW_ROWS)
    except ApiRefusal:  # the file itself says what is wrong with it
        return ()
    return rows


async def _calendars_of(api: ApiCalls, objects: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """The calendars that events can be written to, the main one first; none without calendars."""
    if _EVENTS not in objects or _CALENDARS not in objects:
        return ()
    found = await api.get(f"/{_CALENDARS}", pageSize=MAX_CALENDARS)
    writable = (one for one in found if one.get("accessRole") in _CAN_WRITE)
    return sorted(writable, key=lambda one: (not one.get("primary"), one.get("summary", "")))


def _choices_in(given: Mapping[str, str]) -> dict[str, str]:
    chosen = {name: given.get(name, "") for name in _CHOSEN}
    if chosen["action"] not in ACTIONS:
        chosen["action"] = "create"
    return chosen
