"""Get data out: choose records, and have them in a file, once or again and again."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from starlette.responses import Response

from openbulk.console.api_calls import ApiRefusal, object_path
from openbulk.console.pages.downloads import FORMATS
from openbulk.console.pages.instances import list_instances
from openbulk.console.query_form import CONDITIONS, OPERATORS, query_of, selectable_fields
from openbulk.console.repetition import OWN, REPETITIONS, cron_of
from openbulk.console.visits import Visit

_OFFERED = ("xlsx", "csv", "jsonl", "json", "ics")


async def form(visit: Visit) -> Response:
    """Ask for a service, an object of it, and which records of that."""
    given = {name: visit.query.get(name, "") for name in ("instance", "object")}
    return await _page(visit, given, ())


async def begin(visit: Visit) -> Response:
    """Make the job, or the schedule."""
    fields = await visit.form()
    given = {name: str(value) for name, value in fields.items()}
    chosen = [str(name) for name in fields.getlist("select")]
    try:
        return await _submit(visit, given, chosen)
    except ApiRefusal as error:
        return await _page(visit, given, chosen, error)


async def _submit(visit: Visit, given: Mapping[str, str], chosen: Sequence[str]) -> Response:
    api = await visit.api_of(given.get("instance", ""))
    metadata = await api.get("/objects" + object_path(given.get("object", "")) + "/metadata")
    request = {
        "q": query_of(given, chosen, selectable_fields(metadata)),
        "fileFormat": given.get("format", "csv"),
    }
    if not given.get("every"):
        job = await api.send("POST", "/bulk/query", None, **request)
        return visit.go_to(f"/jobs/{job['id']}")
    if given.get("changes"):
        request["from"] = datetime.now(UTC).isoformat(timespec="seconds")
    body = {
        "name": given.get("name", "").strip(),
        "uri": "/bulk/query",
        "query": request,
        "trigger": {"cron": cron_of(given)},
    }
    made = await api.send("POST", "/jobs", body)
    return visit.go_to(f"/schedules/{made['id']}")


async def _page(
    visit: Visit,
    given: Mapping[str, str],
    selected: Sequence[str],
    refusal: ApiRefusal | None = None,
) -> Response:
    instances = await list_instances(visit)
    problem = refusal.message if refusal else ""
    chosen = dict(given)
    if not chosen.get("instance") and len(instances) == 1:
        chosen["instance"] = str(instances[0]["id"])
    objects: Sequence[str] = ()
    fields: Mapping[str, str] = {}
    try:
        if chosen.get("instance"):
            api = await visit.api_of(chosen["instance"])
            objects = await api.get("/objects")
            if chosen.get("object"):
                path = "/objects" + object_path(chosen["object"]) + "/metadata"
                fields = selectable_fields(await api.get(path))
    except ApiRefusal as error:
        problem = problem or error.message
    return visit.page(
        "get_out.html",
        200 if refusal is None else refusal.status,
        instances=instances,
        objects=objects,
        fields=fields,
        given=chosen,
        selected=selected,
        operators=OPERATORS,
        conditions=range(1, CONDITIONS + 1),
        repetitions=(*REPETITIONS, OWN),
        formats=[(name, FORMATS[name][0]) for name in _OFFERED],
        problem=problem,
    )
