"""Rows of jobs: all that a file had, what a plan would do with them, how they compare."""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from openbulk.console.api_calls import ApiCalls, ApiRefusal, path_of
from openbulk.console.cells import MAX_COLUMNS, cells_of, columns_of, values_of
from openbulk.console.pages.found_jobs import MENDABLE, PLANS, find_job
from openbulk.console.row_form import changes_in, texts_of
from openbulk.console.visits import Visit
from openbulk.domain.errors import BadInput

PAGE_SIZE = 50


async def rows(visit: Visit) -> Response:
    """The rows of a job, page by page, by kind, and those that have a text."""
    api, job = await find_job(visit)
    if job.get("job_direction") != "UPLOAD":
        raise HTTPException(404)
    if job["status"] in PLANS or "verifyOf" in job:
        return await _compared_rows(visit, api, job)
    if visit.query.get("group"):
        return await _rows_of_cause(visit, api, job)
    return await _rows_of_file(visit, api, job)


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


async def _compared_rows(visit: Visit, api: ApiCalls, job: Mapping[str, Any]) -> Response:
    """The rows of a plan, or of a verification."""
    what = "plan" if job["status"] in PLANS else "verification"
    overview = await api.get(path_of("bulk", job["id"], what))
    page = await api.page(
        path_of("bulk", job["id"], what, "rows"),
        kind=visit.query.get("kind", ""),
        pageSize=PAGE_SIZE,
        nextPage=visit.query.get("page", ""),
    )
    values = {"rows": page.body, "counts": overview["counts"], "next_page": page.next_page}
    return visit.page("compared_rows.html", **values, job=job, **_choices_of(visit))


async def _rows_of_cause(visit: Visit, api: ApiCalls, job: Mapping[str, Any]) -> Response:
    """The rows that failed for one cause."""
    page = await api.page(
        path_of("bulk", job["id"], "errors"),
        group=visit.query.get("group", ""),
        pageSize=PAGE_SIZE,
        nextPage=visit.query.get("page", ""),
    )
    values = {"rows": page.body, "next_page": page.next_page}
    return visit.page("rows_of_cause.html", job=job, **values, **_choices_of(visit))


async def _rows_of_file(visit: Visit, api: ApiCalls, job: Mapping[str, Any]) -> Response:
    """The rows of the file, with what became of them."""
    chosen, problem, shown, next_page = _choices_of(visit), "", [], None
    try:
        page = await api.page(
            path_of("bulk", job["id"], "rows"),
            kind=chosen["kind"],
            search=chosen["search"],
            pageSize=PAGE_SIZE,
            nextPage=chosen["page"],
        )
        shown, next_page = page.body, page.next_page
    except ApiRefusal as error:
        problem = error.message
    columns = columns_of(row["values"] for row in shown)
    return visit.page(
        "rows.html",
        200 if not problem else 400,
        job=job,
        rows=[{**row, "cells": cells_of(values_of(row), columns)} for row in shown],
        columns=columns,
        is_wider=len(columns) == MAX_COLUMNS,
        counts=job["outcomes"],
        next_page=next_page,
        problem=problem,
        **chosen,
    )


def _choices_of(visit: Visit) -> dict[str, Any]:
    """What the person looks for. A page begins behind the row before the one to begin with."""
    first = visit.query.get("from", "").strip()
    page = str(max(int(first) - 1, 0)) if first.isascii() and first.isdecimal() else ""
    return {
        "kind": visit.query.get("kind", ""),
        "group": visit.query.get("group", ""),
        "search": visit.query.get("search", "").strip(),
        "page": page or visit.query.get("page", ""),
    }


async def _row_of(visit: Visit) -> dict[str, Any]:
    api, found = await find_job(visit)
    if found.get("job_direction") != "UPLOAD":
        raise HTTPException(404)
    number = visit.request.path_params["row"]
    shown = await api.get(path_of("bulk", found["id"], "rows", number))
    return {
        "job": found,
        "row": shown,
        "cells": texts_of(shown),
        "can_mend": shown["outcome"] in MENDABLE and "undoOf" not in found,
        "problem": "",
    }
