"""What cannot be meant as it is written is answered at once, and names what would be right."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from support.harness import Processes, Reply, Server, multipart

EVENT = b"summary,start.date\nChoir,2026-06-04\n"


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("asked")) as started:
        yield started


@pytest.fixture(scope="module")
def root(processes: Processes) -> Server:
    return processes.server()


@pytest.fixture
def memory(root: Server, request: pytest.FixtureRequest) -> Server:
    """An instance without records."""
    return root.instance("memory", {"space": request.node.name})


@pytest.fixture(scope="module")
def google(processes: Processes, root: Server) -> Server:
    return root.google(processes.sandbox("google"))


def files_of(server: Server) -> set[str]:
    folder = server.process.output.parent / "data" / "files"
    return {path.name for path in folder.iterdir() if path.is_dir()}


def refusal(reply: Reply) -> str:
    assert reply.status == 400, reply.body
    message: str = reply.json["message"]
    return message


def rows_of(server: Server, path: str = "/records") -> list[Any]:
    found: list[Any] = server.call("GET", path).json
    return found


# --- uploads ---


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"calendarIdd": "x"}, "metaData takes no key 'calendarIdd'; did you mean 'calendarId'?"),
        ({"acton": "delete"}, "did you mean 'action'?"),
        ({"sendUpdate": "all"}, "did you mean 'sendUpdates'?"),
        ({"sendUpdates": "everybody"}, "metaData.sendUpdates 'everybody' is not known"),
        ({"updateRule": "always"}, "metaData.updateRule has no effect; the options of Google"),
        ({"firstRow": 3}, "metaData takes no key 'firstRow'"),
    ],
)
def test_a_key_of_metadata_that_nobody_reads_makes_no_job(
    google: Server, metadata: dict[str, Any], says: str
) -> None:
    before = files_of(google)
    assert says in refusal(google.upload("events", EVENT, metadata))
    assert files_of(google) == before
    assert rows_of(google, "/events") == []


def test_a_key_in_another_case_means_what_it_says(google: Server) -> None:
    made = google.call("POST", "/calendars", json_body={"summary": "Second"}).json["id"]
    status = google.done("events", EVENT, {"Action": "CREATE", "calendarID": made})
    assert status["metadata"] == {"action": "create", "calendarId": made}
    assert "infoMessage" not in status
    assert [one["summary"] for one in rows_of(google, f"/calendars/{made}/events")] == ["Choir"]
    assert rows_of(google, "/events") == []


def test_keys_without_an_effect_are_taken_and_named(memory: Server) -> None:
    """Those of the wire contract, and those of another format."""
    metadata = {"bulkUploadRecordSize": 1, "concurrency": "serial", "Sheet": "Sheet1"}
    status = memory.done("records", b"name\nAnn\n", metadata)
    assert status["infoMessage"] == (
        "metaData.bulkUploadRecordSize, metaData.concurrency, metaData.sheet have no effect on "
        "this job"
    )
    status = memory.done("records", b"name\nAnn\n", {"path": "/x"})
    assert status["infoMessage"] == "metaData.path has no effect on this job"


def test_the_other_name_of_the_identifier_identifies(memory: Server) -> None:
    for _ in range(2):
        memory.done("records", b"name\nAnn\n", {"action": "upsert", "primaryKeyName": "name"})
    assert len(rows_of(memory)) == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"action": "upsert"}, "the form takes no part 'action'; it can be file, metaData"),
        ({"meta": "{}"}, "did you mean 'metaData'?"),
        ({"metaData": "{}", "METADATA": "{}"}, "the form has the part 'metaData' twice"),
        ({"": "x"}, "the form takes no part ''"),
    ],
)
def test_a_part_that_nobody_reads_makes_no_job(
    memory: Server, fields: dict[str, str], says: str
) -> None:
    before = files_of(memory)
    body, kind = multipart(b"name\nAnn\n", fields)
    reply = memory.call("POST", "/bulk/records", body=body, headers={"Content-Type": kind})
    assert says in refusal(reply)
    assert (files_of(memory), rows_of(memory)) == (before, [])


def test_a_part_in_another_case_means_what_it_says(memory: Server) -> None:
    metadata = '{"action": "upsert", "identifierFieldName": "name"}'
    for _ in range(2):
        body, kind = multipart(b"name\nAnn\n", {"metadata": metadata})
        body = body.replace(b'name="file"', b'name="File"')
        reply = memory.call("POST", "/bulk/records", body=body, headers={"Content-Type": kind})
        assert memory.finished(reply.json["id"])["recordsCount"] == 1
    assert len(rows_of(memory)) == 1


def test_options_in_the_address_of_an_upload_are_refused(memory: Server) -> None:
    """They belong into metaData. So is any other parameter: somebody counts on it."""
    for query in ("?action=upsert", "?Encoding=utf-8", "?calendarid=x"):
        assert "is a key of metaData" in refusal(memory.upload("records", b"a\n1\n", query=query))
    assert "did you mean 'metaData'" in refusal(
        memory.upload("records", b"a\n1\n", query="?meta_data=%7B%7D")
    )
    for query in ("?preview=true", "?dryRun=true"):
        assert "is not known; the address of an upload takes" in refusal(
            memory.upload("records", b"a\n1\n", query=query)
        )
    assert "did you mean 'plan'" in refusal(memory.upload("records", b"a\n1\n", query="?Plan=true"))
    assert memory.call("GET", "/records").json == []
    for query in ("?path=/sample.csv", "?_=17", "?where="):
        assert memory.upload("records", b"a\n1\n", query=query).status == 200


# --- configuration ---


@pytest.mark.parametrize(
    ("entry", "nearest"),
    [
        ("event.notification.signature.kye", "event.notification.signature.key"),
        ("bulk.json.line", "bulk.json.lines"),
        ("spaces", "space"),
        ("event.notification.enable", "event.notification.enabled"),
    ],
)
def test_an_entry_of_the_configuration_that_nobody_reads_is_refused(
    memory: Server, root: Server, entry: str, nearest: str
) -> None:
    says = f"the configuration takes no entry {entry!r}; did you mean {nearest!r}?"
    body = {"element": {"key": "memory"}, "configuration": {entry: "x"}}
    before = len(root.call("GET", "/instances").json)
    assert refusal(root.call("POST", "/instances", json_body=body)) == says
    assert len(root.call("GET", "/instances").json) == before
    change = {"configuration": {entry: "x"}}
    assert refusal(memory.call("PATCH", "/instances", json_body=change)) == says
    own = max(one["id"] for one in root.call("GET", "/instances").json)
    path = f"/instances/{own}/configuration"
    assert refusal(root.call("PATCH", path, json_body={entry: "x"})) == says
    value = {"propertyValue": "x"}
    assert refusal(root.call("PATCH", f"{path}/{entry}", json_body=value)) == says


def test_entries_of_the_live_service_are_taken_and_said_to_have_no_effect(root: Server) -> None:
    entries = {"event.notification.enabled": False, "Pagination.Max": 200, "SPACE": "mine"}
    body = {"element": {"key": "memory"}, "configuration": entries}
    made = root.call("POST", "/instances", json_body=body).json
    assert made["configuration"] == {
        "event.notification.enabled": "false",
        "pagination.max": "200",
        "space": "mine",
    }
    listed = root.call("GET", f"/instances/{made['id']}/configuration").json
    (entry,) = [one for one in listed if one["key"] == "pagination.max"]
    assert "no effect here" in entry["description"]


def test_a_value_that_an_entry_does_not_take_is_refused(root: Server) -> None:
    for entry, says in (
        ({"bulk.json.lines": "yes"}, "bulk.json.lines is 'yes'; it can be true, false"),
        ({"keep": "flase"}, "keep is 'flase'; it can be true, false"),
    ):
        body = {"element": {"key": "memory"}, "configuration": entry}
        assert refusal(root.call("POST", "/instances", json_body=body)) == says
    taken: tuple[dict[str, Any], ...] = ({"bulk.json.lines": True}, {"keep": "TRUE"}, {"keep": ""})
    for one in taken:
        body = {"element": {"key": "memory"}, "configuration": one}
        assert root.call("POST", "/instances", json_body=body).status == 200


def test_a_header_with_a_typo_is_refused(memory: Server) -> None:
    """A job whose callback is never called would look fine."""
    for name, nearest in (
        ("Element-Async-Callback-Url", "elements-async-callback-url"),
        ("Elements-Callback-Url", "elements-async-callback-url"),
        ("Idempotency-Keys", "idempotency-key"),
    ):
        reply = memory.upload("records", b"a\n1\n", headers={name: "https://example.com/x"})
        assert f"did you mean {nearest!r}?" in refusal(reply)
    headers = {"Elements-Formula-Instance-Id": "7", "Elements-Trace-Id": "x", "X-Element": "y"}
    assert memory.upload("records", b"a\n1\n", headers=headers).status == 200


def test_a_key_of_an_instance_with_a_typo_is_refused(root: Server) -> None:
    body = {"element": {"key": "memory"}, "configurations": {"space": "x"}}
    message = refusal(root.call("POST", "/instances", json_body=body))
    assert "takes no key 'configurations'; did you mean 'configuration'?" in message
    whole = {
        "element": {"key": "memory"},
        "valid": True,
        "cachingEnabled": False,
        "user": {"id": 1},
    }
    assert root.call("POST", "/instances", json_body=whole).status == 200


# --- downloads ---


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"qeury": "select * from records"}, "the request takes no key 'qeury'"),
        ({"query": "select * from records", "form": "2026"}, "did you mean 'from'?"),
        (
            {"query": "select * from records", "metaData": {"showDeletd": True}},
            "'records' takes no parameter 'showDeletd'; there is none",
        ),
        ({"query": "select a,, b from records"}, "something is missing next to a comma"),
        ({"query": "select * from records limt"}, "not understood at 'limt'"),
    ],
)
def test_a_query_with_a_key_that_nobody_reads_makes_no_job(
    memory: Server, body: dict[str, Any], says: str
) -> None:
    assert says in refusal(memory.call("POST", "/bulk/query", json_body=body))
    assert memory.call("GET", "/bulk/jobs").json == []


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"selectField": "name"}, "the body takes no key 'selectField'; did you mean 'selectFi"),
        ({"filterNulls": "no"}, "filterNulls is 'no'; it must be true or false"),
        ({"selectFields": ["name"]}, 'selectFields ["name"] is not understood; it must be a text'),
        ({"query": {"x": 1}}, "'records' takes no parameter 'x'"),
    ],
)
def test_a_download_with_a_key_that_nobody_reads_makes_no_job(
    memory: Server, more: dict[str, Any], says: str
) -> None:
    body = {"objectName": "records", **more}
    assert says in refusal(memory.call("POST", "/bulk/download", json_body=body))
    assert memory.call("GET", "/bulk/jobs").json == []


def test_a_parameter_in_another_case_and_true_go_to_the_service(google: Server) -> None:
    """As Google spells them: `showDeleted=true`."""
    made = google.call("POST", "/calendars", json_body={"summary": "Deleted"}).json["id"]
    path = f"/calendars/{made}/events"
    event = {"summary": "Gone", "start": {"date": "2026-06-04"}, "end": {"date": "2026-06-05"}}
    gone = google.call("POST", path, json_body=event).json["id"]
    google.call("DELETE", f"{path}/{gone}")
    for body, counted in (
        ({"metaData": {"SHOWDELETED": True, "calendarID": made}}, 1),
        ({"metaData": {"calendarId": made}}, 0),
    ):
        sent = {"query": "select * from events", **body}
        job = google.call("POST", "/bulk/query", json_body=sent).json["id"]
        assert google.finished(job)["recordsCount"] == counted
    parameters = {"showDeleted": True, "calendarId": made}
    sent = {"objectName": "events", "query": parameters}
    job = google.call("POST", "/bulk/download", json_body=sent).json["id"]
    assert google.finished(job)["recordCount"] == 1
    assert len(rows_of(google, f"/events?calendarid={made}&showDeleted=true")) == 1


def test_a_parameter_with_a_typo_is_refused_and_a_stray_one_ignored(memory: Server) -> None:
    memory.done("records", b"name\nAnn\nBob\n")
    query = f"q={quote('select * from records')}"
    for path, nearest in (
        (f"POST /bulk/query?{query}&form=2026-01-01", "from"),
        (f"POST /bulk/query?{query}&fileformatt=json", "fileFormat"),
        ("GET /bulk/jobs?pagesize=1", "pageSize"),
        ("GET /records?field=name", "fields"),
        ("GET /instances?searchtext=x", "searchText"),
    ):
        method, _, address = path.partition(" ")
        assert f"did you mean {nearest!r}?" in refusal(memory.call(method, address))
    stray = memory.call("POST", f"/bulk/query?{query}&where=name%3D1").json["id"]
    assert memory.finished(stray)["infoMessage"] == "where has no effect on this job"
    for path in (f"POST /bulk/query?{query}&where=&stray=1", "GET /records?hydrate=true"):
        method, _, address = path.partition(" ")
        assert memory.call(method, address).status == 200


def test_a_continued_job_takes_what_differs_or_says_that_it_cannot(memory: Server) -> None:
    memory.done("records", b"name,city\n" + b"".join(b"N%d,\n" % n for n in range(10)))
    first = {"objectName": "records", "selectFields": "name,city", "limit": 4, "pageSize": 4}
    job_id = memory.call("POST", "/bulk/download", json_body=first).json["id"]
    memory.finished(job_id)
    go_on = {"continueFromJobId": int(job_id)}
    for more, says in (
        ({"objectName": "records", "where": "name = 'N5'"}, "continues the query of job"),
        ({"where": "name = 'N5'"}, "continues the query of job"),
        ({"query": {"x": 1}}, "other parameters than x=1"),
    ):
        reply = memory.call("POST", "/bulk/download", json_body={**go_on, **more})
        assert says in refusal(reply)
    body = {**go_on, "filterNulls": False, "limit": 2, "pageSize": 3}
    second = memory.call("POST", "/bulk/download", json_body=body).json["id"]
    assert memory.finished(second)["recordCount"] == 2
    # It ended in the middle of a page of three.
    body = {"continueFromJobId": int(second), "pageSize": 5}
    assert "ended in the middle of a page of 3" in refusal(
        memory.call("POST", "/bulk/download", json_body=body)
    )
    rest = memory.call("POST", "/bulk/download", json_body={"continueFromJobId": int(second)})
    memory.finished(rest.json["id"])
    found = memory.call("GET", f"/bulk/{rest.json['id']}/records/data").json
    assert [one["name"] for one in found] == ["N6", "N7"]
    assert all(one["city"] is None for one in found), "filterNulls of the continued job"


# --- single records ---


def test_a_misspelt_option_of_a_single_call_writes_nothing(google: Server) -> None:
    event = {"summary": "Mail", "start": {"date": "2026-06-04"}, "end": {"date": "2026-06-05"}}
    for query, nearest in (("sendUpdate=all", "sendUpdates"), ("calendar=x", "calendarId")):
        message = refusal(google.call("POST", f"/events?{query}", json_body=event))
        assert f"did you mean {nearest!r}?" in message
    assert "can be none, all" in refusal(
        google.call("POST", "/events?sendUpdates=some", json_body=event)
    )
    made = google.call("POST", "/calendars", json_body={"summary": "Mine"}).json["id"]
    own = urlencode({"calendarID": made})
    created = google.call("POST", f"/events?{own}", json_body=event).json
    assert created["summary"] == "Mail"
    assert google.call("GET", f"/events/{created['id']}?{own}").json["summary"] == "Mail"
    change = google.call("PATCH", f"/events/{created['id']}?{own}", json_body={"summary": "New"})
    assert change.json["summary"] == "New"
    assert google.call("DELETE", f"/events/{created['id']}?{own}").status == 200
    assert "Mail" not in [one["summary"] for one in rows_of(google, "/events")]


@pytest.mark.parametrize(
    "query",
    [
        "where=name = 'Ann' limit 5",
        "where=name = 'Ann' order by name",
        "fields=name,, city",
        "fields=name,",
        "orderBy=name limit 5",
        "orderBy=name,,city",
    ],
)
def test_a_part_of_a_query_that_brings_more_is_refused(memory: Server, query: str) -> None:
    name, _, text = query.partition("=")
    reply = memory.call("GET", f"/records?{name}={quote(text)}")
    assert "it looks like" in refusal(reply)


# --- outcomes ---


def test_outcomes_are_counted_by_kind_beside_the_keys_of_the_contract(memory: Server) -> None:
    by_name = {"action": "upsert", "identifierFieldName": "name"}
    memory.done("records", b"name,city\nAnn,Bern\nBob,Basel\n", by_name)
    upsert = memory.done(
        "records", b"name,city,fail\nAnn,Bern,\nBob,Genf,\nCid,Bern,\nDan,,no\n", by_name
    )
    detail = memory.call("GET", f"/bulk/{upsert['id']}").json
    outcomes = detail.pop("outcomes")
    more = {"recordsTotal": 4, "paused": False, "priority": 0, "createdBy": 1}
    assert detail == {**upsert, **more}, "the status has the keys of the contract alone"
    none = dict.fromkeys(
        ("created", "updated", "upserted", "unchanged", "deleted"), 0
    ) | dict.fromkeys(("notFound", "failed", "unknown", "notReached"), 0)
    assert outcomes == {**none, "created": 1, "updated": 1, "unchanged": 1, "failed": 1}
    gone = memory.done("records", b"name\nAnn\nNobody\nNoone\n", {**by_name, "action": "delete"})
    assert (gone["recordsCount"], gone["recordsFailedCount"]) == (3, 0)
    assert gone["infoMessage"] == (
        "2 records to delete could not be found at the service: they may have been deleted "
        "before, or the identifier is wrong"
    )
    assert memory.errors(gone["id"]) == []
    detail = memory.call("GET", f"/bulk/{gone['id']}").json
    assert detail["outcomes"] == {**none, "deleted": 1, "notFound": 2}
    text = memory.metrics()
    assert 'openbulk_records_total{outcome="not_found"} 2.0' in text


def test_a_download_has_no_outcomes(memory: Server) -> None:
    job_id = memory.call("POST", "/bulk/query?q=select%20*%20from%20records").json["id"]
    status = memory.finished(job_id)
    assert memory.call("GET", f"/bulk/{job_id}").json == status
