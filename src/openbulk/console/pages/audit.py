"""The audit log, for administrators: who did what, with filter, check and export."""

from datetime import datetime

from starlette.responses import Response

from openbulk.console.visits import Visit
from openbulk.domain.audit import AuditOutcome
from openbulk.domain.epoch import milliseconds_of

PAGE_SIZE = 100
FILTERS = ("user", "action", "target", "outcome", "from", "to")


async def entries(visit: Visit) -> Response:
    """The entries that the person wants, newest first."""
    wanted = _filter_of(visit)
    page = await visit.api.page(
        "/audit", **wanted, pageSize=PAGE_SIZE, nextPage=visit.query.get("page", "")
    )
    for entry in page.body:
        entry["moment"] = milliseconds_of(datetime.fromisoformat(entry["time"]))
    check = None
    if visit.query.get("check"):
        check = await visit.api.get("/audit/verification")
    return visit.page(
        "audit.html",
        entries=page.body,
        next_page=page.next_page,
        wanted=wanted,
        outcomes=list(AuditOutcome),
        check=check,
    )


async def export(visit: Visit) -> Response:
    """The file with these entries."""
    return await visit.api.download("/audit", {**_filter_of(visit), "format": "jsonl"})


def _filter_of(visit: Visit) -> dict[str, str]:
    given = {name: visit.query.get(name, "").strip() for name in FILTERS}
    return {name: value for name, value in given.items() if value}
