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
    "undo": ("POST", "undo", {}),
}
"""What a button does: the method, the end of the API's path, and its parameters."""
_MAKE_JOBS = frozenset({"retry", "verify", "plan-undo", "undo"})


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
    return visit.page("job.html", **await _values_of(visit))


async def live(visit: Visit) -> Response:
    """The part of a job's page that changes while it runs."""
    return visit.page("job_state.html", **await _values_of(visit))


async def act(visit: Visit) -> Response:
    """Do what a button says, and show the job that it is about."""
    job_id, action = visit.request.path_params["id"], visit.request.path_params["action"]
    if action not in _ACTIONS:
        raise HTTPException(404)
    method, end, parameters = _ACTIONS[action]
    api, _ = await find_job(visit)
    try:
        answer = await api.send(method, path_of("bulk", job_id, *end.split("/")), **parameters)
    except ApiRefusal as error:
        return visit.page("job.html", error.status, **await _values_of(visit, error.message))
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
        return visit.page("job.html", error.status, **await _values_of(visit, error.message))
    return visit.go_to(f"/jobs/{job_id}")


async def carry_out(visit: Visit) -> Response:
    """Carry out a plan: all of it, or its first rows."""
    job_id = visit.request.path_params["id"]
    form = await visit.form()
    api, _ = await find_job(visit)
    body: dict[str, Any] = {"plan": str(form["digest"])}
    if form.get("first"):
        body["first"] = int(str(form["first"]))
    try:
        await api.send("PUT", path_of("bulk", job_id, "apply"), body)
    except ApiRefusal as error:
        return visit.page("job.html", error.status, **await _values_of(visit, error.message))
    return visit.go_to(f"/jobs/{job_id}")


async def results(visit: Visit) -> Response:
    """The file with what became of each row, as a download."""
    api, found = await find_job(visit)
    kind, form = visit.query.get("kind", ""), visit.query.get("format", "xlsx")
    # No spreadsheet opens lines of JSON, so nothing there is a formula.
    guard = "" if form == "jsonl" else "true"
    return await api.download(
        path_of("bulk", found["id"], "results"), {"kind": kind, "format": form, "guard": guard}
    )


async def mend_group(visit: Visit) -> Response:
    """Mend one column in all rows that failed for one cause."""
    api, found = await find_job(visit)
    form = await visit.form()
    change: Mapping[str, Any] = {"set": str(form.get("to", "")) or None}
    if form.get("how") == "replace":
        change = {"replace": [str(form.get("from", "")), str(form.get("to", ""))]}
    body = {"group": str(form["group"]), "column": str(form.get("column", "")), **change}
    try:
        answer = await api.send("POST", path_of("bulk", found["id"], "rows", "mend"), body)
    except ApiRefusal as error:
        return visit.page("job.html", error.status, **await _values_of(visit, error.message))
    text = visit.texts.ngettext(
        "%(num)s row has another value now. Send it again below.",
        "%(num)s rows have another value now. Send them again below.",
        answer["changed"],
    ) % {"num": visit.texts.number(answer["changed"])}
    return visit.page("job.html", **await _values_of(visit, said=text))


async def _values_of(visit: Visit, problem: str = "", said: str = "") -> dict[str, Any]:
    api, found = await find_job(visit)
    names = await names_of_instances(visit)
    plan, verification, groups = None, None, []
    is_upload = found.get("job_direction") == "UPLOAD"
    if is_upload and found["status"] in PLANS:
        plan = await api.get(path_of("bulk", found["id"], "plan"))
    if "verifyOf" in found:
        verification = await api.get(path_of("bulk", found["id"], "verification"))
    if is_upload and found.get("recordsFailedCount"):
        groups = await api.get(path_of("bulk", found["id"], "errors", "groups"), pageSize=20)
    return {
        "job": found,
        "instance": names.get(found["instanceId"], ""),
        "plan": plan,
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
