"""What a download has read: its first records, and its file in several formats."""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from openbulk.console.api_calls import ApiCalls, ApiRefusal, object_path, path_of
from openbulk.console.cells import cells_of, columns_of
from openbulk.console.pages.found_jobs import COMPLETE, find_job
from openbulk.console.visits import Visit

SHOWN = 20
FORMATS: Mapping[str, tuple[str, str]] = {
    "xlsx": ("Excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "csv": ("CSV", "text/csv"),
    "jsonl": ("JSON Lines", "application/jsonl"),
    "json": ("JSON", "application/json"),
    "ics": ("iCalendar", "text/calendar"),
}
"""By name: what a person calls it, and its media type."""


async def file(visit: Visit) -> Response:
    """The file of a download, in a format."""
    api, job = await find_job(visit)
    name = visit.query.get("format", "csv")
    if job["job_direction"] != "DOWNLOAD" or name not in FORMATS:
        raise HTTPException(404)
    path = path_of("bulk", job["id"]) + object_path(job["object_name"])
    return await api.download(path, {}, accept=FORMATS[name][1])


async def values_of_download(api: ApiCalls, job: Mapping[str, Any]) -> dict[str, Any]:
    """What the page of a job shows of its records; nothing until it is complete."""
    if job["job_direction"] != "DOWNLOAD" or job["status"] not in COMPLETE:
        return {"formats": ()}
    path = path_of("bulk", job["id"]) + object_path(job["object_name"]) + "/data"
    try:
        page = await api.page(path, pageSize=SHOWN)
    except ApiRefusal:  # the file is deleted by now
        return {"formats": ()}
    columns = columns_of(page.body)
    return {
        "formats": _formats_of(job),
        "records": [cells_of(record, columns) for record in page.body],
        "record_columns": columns,
        "has_more_records": page.next_page is not None,
    }


def _formats_of(job: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The format that the job was made for comes first. A job of version 3 has no other."""
    own = job["fileFormat"].lower()
    names = [own] if "jobStatus" in job else [own, "xlsx", "csv", "jsonl"]
    return [(name, FORMATS[name][0]) for name in dict.fromkeys(names) if name in FORMATS]
