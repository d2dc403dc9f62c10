"""The calendar week of a plan: what will be there, with what is new, changed or deleted."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from openbulk.console.api_calls import ApiCalls, ApiRefusal, object_path, path_of
from openbulk.console.calendar_week import DAYS, monday_of, week_of
from openbulk.console.pages.found_jobs import find_job
from openbulk.console.visits import Visit

MAX_SHOWN = 500
"""Rows of the plan in one week, and events that are there."""
MAX_PAGES = 10
"""A page of the API looks at 20,000 rows of the plan."""
_WITH_ENTRY = ("created", "updated", "deleted")


async def week(visit: Visit) -> Response:
    """Show a week: the one of the address, else that of the first event of the plan."""
    api, job = await find_job(visit)
    monday = monday_of(visit.query.get("of", ""))
    if monday is None:
        plan = await api.get(path_of("bulk", job["id"], "plan"))
        monday = monday_of(await first_day(api, job, plan)) or monday_of(_today())
    assert monday is not None
    rows, is_whole = await _rows_of(api, job, monday)
    there, problem = await _events_there(api, job, monday)
    step = datetime.timedelta(days=DAYS)
    return visit.page(
        "week.html",
        job=job,
        days=week_of(monday, rows, there),
        is_whole=is_whole,
        problem=problem,
        before=(monday - step).isoformat(),
        behind=(monday + step).isoformat(),
    )


async def first_day(api: ApiCalls, job: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """When the first event of a plan is; "" if it is no plan of events."""
    for kind in _WITH_ENTRY:
        if plan["counts"][kind]:
            path = path_of("bulk", job["id"], "plan", "rows")
            found = await api.get(path, kind=kind, pageSize=1)
            if found and "entry" in found[0]:
                return str(found[0]["entry"]["start"])
    return ""


async def _rows_of(
    api: ApiCalls, job: Mapping[str, Any], monday: datetime.date
) -> tuple[Sequence[Mapping[str, Any]], bool]:
    """The rows of the plan in a week, and whether these are all."""
    path = path_of("bulk", job["id"], "plan", "calendar")
    last = monday + datetime.timedelta(days=DAYS - 1)
    rows: list[Mapping[str, Any]] = []
    token: str | None = ""
    for _ in range(MAX_PAGES):
        parameters = {"from": monday.isoformat(), "to": last.isoformat(), "nextPage": token}
        page = await api.page(path, pageSize=MAX_SHOWN, **parameters)
        rows += page.body
        token = page.next_page
        if token is None or len(rows) >= MAX_SHOWN:
            break
    return rows, token is None


async def _events_there(
    api: ApiCalls, job: Mapping[str, Any], monday: datetime.date
) -> tuple[Sequence[Mapping[str, Any]], str]:
    """The events that the service has in a week, and why they cannot be had."""
    # Days of time zones begin up to half a day earlier or later.
    first = monday - datetime.timedelta(days=1)
    last = monday + datetime.timedelta(days=DAYS + 1)
    parameters = {
        "calendarId": job["metadata"].get("calendarId", ""),
        "singleEvents": "true",
        "timeMin": f"{first.isoformat()}T00:00:00Z",
        "timeMax": f"{last.isoformat()}T00:00:00Z",
    }
    try:
        page = await api.page(object_path(job["object_name"]), pageSize=MAX_SHOWN, **parameters)
    except ApiRefusal as error:
        return (), error.message
    return page.body, ""


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
