"""Jobs: what runs, what came of it, and what a person can do about it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from openbulk.console.api_calls import ApiRefusal, path_of
from openbulk.console.cells import changes_in, texts_of
from openbulk.console.pages.instances import names_of_instances
from openbulk.console.visits import Visit
from openbulk.domain.errors import BadInput

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
MAX_NUMBER = 18
"""Digits of a number in a form."""
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
    try:
        answer = await visit.api.send(method, path_of("bulk", job_id, end), **parameters)
    except ApiRefusal as error:
        return await job_page(visit, error.message, error.status)
    shown = answer["id"] if action in _MAKE_JOBS else job_id
    return visit.go_to(f"/jobs/{shown}")


async def carry_out(visit: Visit) -> Response:
    """Carry out a plan: all of it, or its first rows."""
    job_id = visit.request.path_params["id"]
    fields = await visit.fields()
    body: dict[str, Any] = {"plan": fields.get("digest", "")}
    if first := fields.get("first"):
        body["first"] = _number_in(first)
    try:
        await visit.api.send("PUT", path_of("bulk", job_id, "apply"), body)
    except ApiRefusal as error:
        return await job_page(visit, error.message, error.status)
    return visit.go_to(f"/jobs/{job_id}")


async def results(visit: Visit) -> Response:
    """The file with what became of each row, as a download."""
    found = await _find(visit)
    if found.get("job_direction") != "UPLOAD":
        raise HTTPException(404)
    kind, form = visit.query.get("kind", ""), visit.query.get("format", "xlsx")
    return await visit.api.download(
        path_of("bulk", found["id"], "results"), {"kind": kind, "format": form, "guard": "true"}
    )


async def rows(visit: Visit) -> Response:
    """The rows of a plan, or those that failed, page by page."""
    found = await _find(visit)
    after, kind = visit.query.get("page", ""), visit.query.get("kind", "")
    is_plan, group = found["status"] in PLANS, visit.query.get("group", "")
    has_kinds = (is_plan or "verifyOf" in found) and not group
    path: tuple[str, ...] = ("errors",)
    if has_kinds:
        path = ("plan" if is_plan else "verification", "rows")
    more = {"kind": kind} if has_kinds else {"group": group}
    page = await visit.api.page(
        path_of("bulk", found["id"], *path), pageSize=PAGE_SIZE, nextPage=after, **more
    )
    return visit.page(
        "rows.html",
        job=found,
        rows=page.body,
        kind=kind,
        group=group,
        next_page=page.next_page,
        has_kinds=has_kinds,
    )


async def row(visit: Visit) -> Response:
    """One row of a job, with cells to mend."""
    return visit.page("row.html", **await _row_of(visit))


async def mend_row(visit: Visit) -> Response:
    """Keep new values for a row."""
    shown = await _row_of(visit)
    path = path_of("bulk", shown["job"]["id"], "rows", visit.request.path_params["row"])
    fields = await visit.fields()
    try:
        if values := changes_in(shown["row"], fields):
            await visit.api.send("PATCH", path, {"values": values})
    except BadInput as error:
        problem = ApiRefusal(400, error.message, {})
    except ApiRefusal as error:
        problem = error
    else:
        return visit.go_to(f"/jobs/{shown['job']['id']}")
    shown |= {"cells": texts_of(shown["row"], fields), "problem": problem.message}
    return visit.page("row.html", problem.status, **shown)


async def mend_group(visit: Visit) -> Response:
    """Mend one column in all rows that failed for one cause."""
    found = await _find(visit)
    fields = await visit.fields()
    change: Mapping[str, Any] = {"set": fields.get("to") or None}
    if fields.get("how") == "replace":
        change = {"replace": [fields.get("from", ""), fields.get("to", "")]}
    body = {"group": fields.get("group", ""), "column": fields.get("column", ""), **change}
    try:
        answer = await visit.api.send("POST", path_of("bulk", found["id"], "rows", "mend"), body)
    except ApiRefusal as error:
        return await job_page(visit, error.message, error.status)
    text = visit.reader.texts.ngettext(
        "%(num)s row has another value now. Send it again below.",
        "%(num)s rows have another value now. Send them again below.",
        answer["changed"],
    ) % {"num": visit.reader.texts.number(answer["changed"])}
    return visit.page("job.html", **await _values_of(visit, said=text))


async def _find(visit: Visit) -> Mapping[str, Any]:
    """A job. Raises ApiRefusal."""
    found: Mapping[str, Any] = await visit.api.get(path_of("bulk", visit.request.path_params["id"]))
    return found


async def _values_of(visit: Visit, problem: str = "", said: str = "") -> dict[str, Any]:
    found = await _find(visit)
    names = await names_of_instances(visit)
    plan, approvals, verification, groups = None, None, None, []
    is_upload = found.get("job_direction") == "UPLOAD"
    if is_upload and found["status"] in PLANS:
        plan = await visit.api.get(path_of("bulk", found["id"], "plan"))
    if "approval" in found:
        approvals = await visit.api.get(path_of("bulk", found["id"], "approvals"))
    if "verifyOf" in found:
        verification = await visit.api.get(path_of("bulk", found["id"], "verification"))
    if is_upload and found.get("recordsFailedCount"):
        groups = await visit.api.get(path_of("bulk", found["id"], "errors", "groups"), pageSize=20)
    return {
        "job": found,
        "instance": names.get(found["instanceId"], ""),
        "plan": plan,
        "approvals": approvals,
        "verification": verification,
        "groups": groups,
        "columns": await _columns_of(visit, found, groups),
        "is_over": found["status"] in ENDED,
        "can_mend": any(found.get("outcomes", {}).get(kind) for kind in _MENDABLE),
        "problem": problem,
        "said": said,
    }


async def _columns_of(
    visit: Visit, found: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]
) -> Sequence[str]:
    """The columns of the job's file, as a row that failed shows them."""
    if not groups:
        return ()
    number = groups[0]["example"]["rowNum"]
    try:
        example = await visit.api.get(path_of("bulk", found["id"], "rows", number))
    except ApiRefusal:  # the file is deleted by now
        return ()
    return tuple(example.get("values", {}))


async def _row_of(visit: Visit) -> dict[str, Any]:
    found = await _find(visit)
    if found.get("job_direction") != "UPLOAD":
        raise HTTPException(404)
    number = visit.request.path_params["row"]
    shown = await visit.api.get(path_of("bulk", found["id"], "rows", number))
    return {"job": found, "row": shown, "cells": texts_of(shown), "problem": ""}


def _number_in(text: str) -> int | str:
    """A number in a form; the text if it is none, for the API to refuse."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_NUMBER
    return int(text) if is_number else text
