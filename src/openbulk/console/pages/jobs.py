"""Jobs: what runs, what came of it, and what a person can do about it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from openbulk.console.api_calls import ApiCalls, ApiRefusal, path_of
from openbulk.console.job_filter import JobFilter
from openbulk.console.pages.downloads import values_of_download
from openbulk.console.pages.found_jobs import ENDED, MENDABLE, PLANS, find_job
from openbulk.console.pages.instances import names_of_instances
from openbulk.console.pages.week import first_day
from openbulk.console.visits import Visit

PAGE_SIZE = 50
_ACTIONS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "pause": ("PUT", "pause", {}),
    "resume": ("PUT", "resume", {}),
    "cancel": ("PUT", "cancel", {}),
    "callback": ("POST", "status/callback", {}),
    "retry": ("POST", "retry", {}),
    "verify": ("POST", "verify", {}),
    "plan-undo": ("POST", "undo", {"plan": "true"}),
}
"""What a button does: the method, the end of the API's path, and its parameters."""
_MAKE_JOBS = frozenset({"retry", "verify", "plan-undo"})
MAX_NUMBER = 18
"""Digits of a number in a form."""


async def jobs(visit: Visit) -> Response:
    """Jobs, newest first: all, or those that the person looks for."""
    chosen = JobFilter.of(visit.query)
    page, names = await asyncio.gather(
        visit.api.page(
            "/bulk/jobs",
            where=chosen.condition(visit.texts.zone),
            pageSize=PAGE_SIZE,
            nextPage=visit.query.get("page", ""),
        ),
        names_of_instances(visit),
    )
    return visit.page(
        "jobs.html",
        jobs=page.body,
        names=names,
        next_page=page.next_page,
        chosen=chosen,
        parameters=chosen.as_parameters(),
    )


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
    path = path_of("bulk", job_id, *end.split("/"))
    try:
        answer = await visit.api.send(method, path, **parameters)
    except ApiRefusal as error:
        return await job_page(visit, error.message, error.status)
    shown = answer["id"] if action in _MAKE_JOBS else job_id
    return visit.go_to(f"/jobs/{shown}")


async def set_pace(visit: Visit) -> Response:
    """Let a job make fewer calls a minute, or as many as the service takes."""
    job_id = visit.request.path_params["id"]
    calls = str((await visit.form()).get("calls", "")).strip()
    api, _ = await find_job(visit)
    pace = {"callsPerMinute": int(calls) if calls.isascii() and calls.isdecimal() else calls}
    try:
        await api.send("PATCH", path_of("bulk", job_id), {"pace": pace if calls else None})
    except ApiRefusal as error:
        return await job_page(visit, error.message, error.status)
    return visit.go_to(f"/jobs/{job_id}")


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
    api, found = await find_job(visit)
    if found.get("job_direction") != "UPLOAD":
        raise HTTPException(404)
    kind, form = visit.query.get("kind", ""), visit.query.get("format", "xlsx")
    # No spreadsheet opens lines of JSON, so nothing there is a formula.
    guard = "" if form == "jsonl" else "true"
    return await api.download(
        path_of("bulk", found["id"], "results"), {"kind": kind, "format": form, "guard": guard}
    )


async def mend_group(visit: Visit) -> Response:
    """Mend one column in all rows that failed for one cause."""
    _, found = await find_job(visit)
    fields = await visit.fields()
    change: Mapping[str, Any] = {"set": fields.get("to") or None}
    if fields.get("how") == "replace":
        change = {"replace": [fields.get("from", ""), fields.get("to", "")]}
    body = {"group": fields.get("group", ""), "column": fields.get("column", ""), **change}
    try:
        answer = await visit.api.send("POST", path_of("bulk", found["id"], "rows", "mend"), body)
    except ApiRefusal as error:
        return await job_page(visit, error.message, error.status)
    text = visit.texts.ngettext(
        "%(num)s row has another value now. Send it again below.",
        "%(num)s rows have another value now. Send them again below.",
        answer["changed"],
    ) % {"num": visit.texts.number(answer["changed"])}
    return visit.page("job.html", **await _values_of(visit, said=text))


async def _values_of(visit: Visit, problem: str = "", said: str = "") -> dict[str, Any]:
    api, found = await find_job(visit)
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
        "has_week": plan is not None
        and found["status"] == "PLANNED"
        and bool(await first_day(api, found, plan)),
        "verification": verification,
        "groups": groups,
        "columns": await _columns_of(api, found, groups),
        "is_over": found["status"] in ENDED,
        "callback": await _callback_of(api, found),
        **await values_of_download(api, found),
        "can_mend": any(found.get("outcomes", {}).get(kind) for kind in MENDABLE),
        "problem": problem,
        "said": said,
    }


async def _callback_of(api: ApiCalls, found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The callback of a job that is over; None if it has none."""
    if found["status"] not in ENDED:
        return None
    try:
        callback: Mapping[str, Any] = await api.get(
            path_of("bulk", found["id"], "status", "callback")
        )
    except ApiRefusal:
        return None
    return callback


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


def _number_in(text: str) -> int | str:
    """A number in a form; the text if it is none, for the API to refuse."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_NUMBER
    return int(text) if is_number else text
