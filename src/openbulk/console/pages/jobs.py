"""Jobs: what runs, what came of it, and what a person can do about it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from openbulk.console.api_calls import ApiCalls, ApiRefusal, path_of
from openbulk.console.pages.instances import names_of_instances
from openbulk.console.visits import Visit

PAGE_SIZE = 50
PLANS = frozenset({"PLANNED", "PLANNING"})
ENDED = frozenset(
    {"COMPLETE", "COMPLETED", "FAILED", "ERROR", "CANCELLED", "PLANNED", "VERIFIED", "ABORTED"}
)
"""States in which a job stays until somebody does something."""
_ACTIONS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "pause": ("PUT", "pause", {}),
    "resume": ("PUT", "resume", {}),
    "cancel": ("PUT", "cancel", {}),
    "retry": ("POST", "retry", {}),
    "verify": ("POST", "verify", {}),
    "plan-undo": ("POST", "undo", {"plan": "true"}),
}
"""What a button does: the method, the end of the API's path, and its parameters."""
_MAKE_JOBS = frozenset({"retry", "verify", "plan-undo"})
_MENDABLE = ("failed", "unknown", "notReached")


async def jobs(visit: Visit) -> Response:
    """All jobs, newest first."""
    page, names = await asyncio.gather(
        visit.api.page("/bulk/jobs", pageSize=PAGE_SIZE, nextPage=visit.query.get("page", "")),
        names_of_instances(visit),
    )
    return visit.page("jobs.html", jobs=page.body, names=names, next_page=page.next_page)


async def job(visit: Visit) -> Response:
    """A job: while it runs, and after it."""
    return await job_page(visit)


async def job_page(visit: Visit, problem: str = "", status: int = 200) -> Response:
    """The page of the job in the address, with what the API has refused, if it has."""
    return visit.page("job.html", status, **await _values_of(visit, problem))


async def live(visit: Visit) -> Response:
    """The part of a job's page that changes while it runs."""
    return visit.page("job_state.html", **await _values_of(visit))


async def act(visit: Visit) -> Response:
    """Do what a button says, and show the job that it is about."""
    job_id, action = visit.request.path_params["id"], visit.request.path_params["action"]
    if action not in _ACTIONS:
        raise HTTPException(404)
    method, end, parameters = _ACTIONS[action]
    if action == "retry" and visit.session.caller.writes_by_plan_alone:
        parameters = {"plan": "true"}  # somebody approves it first
    api, _ = await _find(visit)
    try:
        answer = await api.send(method, path_of("bulk", job_id, end), **parameters)
    except ApiRefusal as error:
        return await job_page(visit, error.message, error.status)
    shown = answer["id"] if action in _MAKE_JOBS else job_id
    return visit.go_to(f"/jobs/{shown}")


async def carry_out(visit: Visit) -> Response:
    """Carry out a plan: all of it, or its first rows."""
    job_id = visit.request.path_params["id"]
    form = await visit.form()
    api, _ = await _find(visit)
    body: dict[str, Any] = {"plan": str(form["digest"])}
    if form.get("first"):
        body["first"] = int(str(form["first"]))
    try:
        await api.send("PUT", path_of("bulk", job_id, "apply"), body)
    except ApiRefusal as error:
        return await job_page(visit, error.message, error.status)
    return visit.go_to(f"/jobs/{job_id}")


async def results(visit: Visit) -> Response:
    """The file with what became of each row, as a download."""
    api, found = await _find(visit)
    kind, form = visit.query.get("kind", ""), visit.query.get("format", "xlsx")
    return await api.download(
        path_of("bulk", found["id"], "results"), {"kind": kind, "format": form, "guard": "true"}
    )


async def rows(visit: Visit) -> Response:
    """The rows of a plan, or those that failed, page by page."""
    api, found = await _find(visit)
    after, kind = visit.query.get("page", ""), visit.query.get("kind", "")
    is_plan = found["status"] in PLANS
    has_kinds = is_plan or "verifyOf" in found
    path = ("plan", "rows") if is_plan else ("verification", "rows") if has_kinds else ("errors",)
    more = {"kind": kind} if has_kinds else {"group": visit.query.get("group", "")}
    page = await api.page(
        path_of("bulk", found["id"], *path), pageSize=PAGE_SIZE, nextPage=after, **more
    )
    return visit.page(
        "rows.html",
        job=found,
        rows=page.body,
        kind=kind,
        group=visit.query.get("group", ""),
        next_page=page.next_page,
        has_kinds=has_kinds,
    )


async def row(visit: Visit) -> Response:
    """One row of a job, with cells to mend."""
    return visit.page("row.html", **await _row_of(visit))


async def mend_row(visit: Visit) -> Response:
    """Keep new values for a row."""
    api, found = await _find(visit)
    form, number = await visit.form(), visit.request.path_params["row"]
    shown = await api.get(path_of("bulk", found["id"], "rows", number))
    before = {**shown.get("values", {}), **shown.get("mended", {})}
    given = {name.removeprefix("cell:"): str(value) for name, value in form.items()}
    values = {
        name: value or None
        for name, value in given.items()
        if name in before and value != _text_of(before[name])
    }
    try:
        if values:
            await api.send(
                "PATCH", path_of("bulk", found["id"], "rows", number), {"values": values}
            )
    except ApiRefusal as error:
        return visit.page("row.html", error.status, **await _row_of(visit, error.message))
    return visit.go_to(f"/jobs/{found['id']}")


async def mend_group(visit: Visit) -> Response:
    """Mend one column in all rows that failed for one cause."""
    api, found = await _find(visit)
    form = await visit.form()
    change: Mapping[str, Any] = {"set": str(form.get("to", "")) or None}
    if form.get("how") == "replace":
        change = {"replace": [str(form.get("from", "")), str(form.get("to", ""))]}
    body = {"group": str(form["group"]), "column": str(form.get("column", "")), **change}
    try:
        answer = await api.send("POST", path_of("bulk", found["id"], "rows", "mend"), body)
    except ApiRefusal as error:
        return await job_page(visit, error.message, error.status)
    text = visit.reader.texts.ngettext(
        "%(num)s row has another value now. Send it again below.",
        "%(num)s rows have another value now. Send them again below.",
        answer["changed"],
    ) % {"num": visit.reader.texts.number(answer["changed"])}
    return visit.page("job.html", **await _values_of(visit, said=text))


async def _find(visit: Visit) -> tuple[ApiCalls, Mapping[str, Any]]:
    """A job, and the API for its instance. Raises ApiRefusal."""
    job_id = visit.request.path_params["id"]
    found: Mapping[str, Any] = await visit.api.get(path_of("bulk", job_id))
    return await visit.api_of(found["instanceId"]), found


async def _values_of(visit: Visit, problem: str = "", said: str = "") -> dict[str, Any]:
    api, found = await _find(visit)
    names = await names_of_instances(visit)
    plan, approvals, verification, groups = None, None, None, []
    is_upload = found.get("job_direction") == "UPLOAD"
    if is_upload and found["status"] in PLANS:
        plan = await api.get(path_of("bulk", found["id"], "plan"))
    if "approval" in found:
        approvals = await api.get(path_of("bulk", found["id"], "approvals"))
    if "verifyOf" in found:
        verification = await api.get(path_of("bulk", found["id"], "verification"))
    if is_upload and found.get("recordsFailedCount"):
        groups = await api.get(path_of("bulk", found["id"], "errors", "groups"), pageSize=20)
    return {
        "job": found,
        "instance": names.get(found["instanceId"], ""),
        "plan": plan,
        "approvals": approvals,
        "verification": verification,
        "groups": groups,
        "columns": await _columns_of(api, found, groups),
        "is_over": found["status"] in ENDED,
        "can_mend": any(found.get("outcomes", {}).get(kind) for kind in _MENDABLE),
        "problem": problem,
        "said": said,
    }


async def _columns_of(
    api: ApiCalls, found: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]
) -> Sequence[str]:
    """The columns of the job's file, as a row that failed shows them."""
    if not groups:
        return ()
    number = groups[0]["example"]["rowNum"]
    try:
        example = await api.get(path_of("bulk", found["id"], "rows", number))
    except ApiRefusal:  # the file is deleted by now
        return ()
    return tuple(example.get("values", {}))


async def _row_of(visit: Visit, problem: str = "") -> dict[str, Any]:
    api, found = await _find(visit)
    number = visit.request.path_params["row"]
    shown = await api.get(path_of("bulk", found["id"], "rows", number))
    cells = {**shown.get("values", {}), **shown.get("mended", {})}
    return {
        "job": found,
        "row": shown,
        "cells": {name: _text_of(value) for name, value in cells.items()},
        "problem": problem,
    }


def _text_of(value: object) -> str:
    return "" if value is None else str(value)
