"""Bad input gets a clear error, and loses nothing."""

import asyncio
import http.client
import socket
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from openbulk.storage.database import open_ledger_engine
from support import people
from support.harness import (
    BASE_PATH,
    ORGANIZATION_SECRET,
    USER_SECRET,
    Processes,
    Server,
    multipart,
    request,
    until,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("bad-input")) as processes:
        yield processes.server(OPENBULK_MAX_UPLOAD_BYTES=str(5 * 1024 * 1024)).instance("memory")


def files_of(server: Server) -> set[str]:
    folder = server.process.output.parent / "data" / "files"
    return {path.name for path in folder.iterdir() if path.is_dir()}


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("", "the user secret is missing"),
        ("User ,Organization ", "the user secret is missing"),
        (f"User {USER_SECRET}", "the organization secret is missing"),
        (f"User wrong, Organization {ORGANIZATION_SECRET}", "the User secret is wrong"),
        (f"User {USER_SECRET}, Organization wrong", "the organization secret is not that of"),
        (
            f"User {USER_SECRET}, Organization {ORGANIZATION_SECRET}",
            "the instance's token is missing",
        ),
        (f"Element wrong, User {USER_SECRET}", "the Element token is not known"),
    ],
)
def test_no_or_wrong_secrets_are_401(server: Server, header: str, says: str) -> None:
    reply = request(
        "GET", f"{server.process.url}{BASE_PATH}/objects", headers={"Authorization": header}
    )
    assert reply.status == 401
    assert says in reply.json["message"]
    assert reply.json["requestId"] == reply.headers["elements-request-id"]


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b'{"element": }', "application/json", "the body is not JSON: error at character 13"),
        (b"", "application/json", "the body is missing; send a JSON object"),
        (b"[]", "application/json", "the body must be a JSON object"),
        (b"{}", "text/plain", "send the header 'Content-Type: application/json'"),
        (b'{"element": 5}', "application/json", "body.element must be a JSON object"),
        (b'{"element": {}}', "application/json", "the body names no element; add"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_in_plain_words(
    server: Server, body: bytes, kind: str, says: str
) -> None:
    headers = {"Authorization": server.authorization, "Content-Type": kind}
    url = f"{server.process.url}{BASE_PATH}/instances"
    reply = request("POST", url, body=body, headers=headers)
    assert (reply.status, says in reply.json["message"]) == (400, True), reply.body


def test_a_path_that_does_not_exist_is_404_and_says_where_paths_start(server: Server) -> None:
    reply = request("GET", f"{server.process.url}/instances")
    assert reply.status == 404
    assert reply.json["message"] == (
        "there is no GET /instances; paths start with /elements/api-v2, and /docs lists them"
    )


def test_a_callback_url_that_is_not_whole_is_named_with_its_header(server: Server) -> None:
    headers = {"Authorization": server.authorization, "Elements-Async-Callback-Url": "/done"}
    url = f"{server.process.url}{BASE_PATH}/bulk/query?q=select%20*%20from%20records"
    reply = request("POST", url, headers=headers)
    assert reply.status == 400
    assert reply.json["message"] == (
        "Elements-Async-Callback-Url '/done' is not a whole URL; "
        "write it like https://example.com/hooks/openbulk"
    )


@pytest.mark.parametrize("token", ["wrong", "null", "two words"])
@pytest.mark.parametrize(
    "path", ["/instances", "/elements", "/elements/memory/metadata", "/bulk/1", "/jobs"]
)
def test_a_wrong_element_token_is_401_also_where_none_is_needed(
    server: Server, path: str, token: str
) -> None:
    wrong = Server(server.process, token).call("GET", path)
    assert wrong.status == 401
    assert "the Element token is not known" in wrong.json["message"]
    assert Server(server.process).call("GET", path).status != 401


def test_formats_that_accept_can_name_are_listed_once(server: Server) -> None:
    job_id = server.call("POST", "/bulk/query?q=select%20*%20from%20records").json["id"]
    server.finished(job_id)
    headers = {"Authorization": server.authorization, "Accept": "text/nonsense"}
    url = f"{server.process.url}{BASE_PATH}/bulk/{job_id}/records"
    message = request("GET", url, headers=headers).json["message"]
    listed = message.partition("it can be ")[2].split(", ")
    assert "text/csv" in listed
    assert len(listed) == len(set(listed)), message


@pytest.mark.parametrize("order", ["{e}, {u}", "{u}, {e}", "{o}, {e}, {u}", "{e},{o},{u}"])
def test_secrets_come_in_any_order(server: Server, order: str) -> None:
    header = order.format(
        e=f"Element {server.element_token}",
        u=f"User {USER_SECRET}",
        o=f"Organization {ORGANIZATION_SECRET}",
    )
    reply = request(
        "GET", f"{server.process.url}{BASE_PATH}/objects", headers={"Authorization": header}
    )
    assert reply.json == ["records", "log"]


@pytest.mark.parametrize(
    ("file", "metadata", "says"),
    [
        (None, None, "the request has no file"),
        (b"", None, "the file is empty"),
        (b" \r\n", None, "the file is empty"),
        (b"name,age\n", None, "the file holds no record; a CSV has field names in its first line"),
        (b"name,,age\n1,2,3\n", None, "column 2 has no name in the header"),
        (b"name,age,name\n1,2,3\n", None, "column 1 and column 3 are both called 'name'"),
        (b"[]", None, "the file holds no record; a JSON file is an array of objects"),
        (b"PK\x03\x04rest", None, "the zip archive cannot be read"),
        (
            b"name\nAnn\n",
            "{not json",
            'metaData is not JSON: error at character 2; it looks like {"action": "create"}',
        ),
        (b"name\nAnn\n", "[1]", "metaData is not a JSON object"),
        (
            b"name\nAnn\n",
            {"action": "explode"},
            "metaData.action 'explode' is not known; it can be create, update",
        ),
        (b"name\nAnn\n", {"format": "xml"}, "metaData.format 'xml' is not known; it can be"),
        (b"name\nAnn\n", {"encoding": "ebcdic"}, "metaData.encoding 'ebcdic' is not known"),
        (
            b"name\nAnn\n",
            {"identifierFieldName": 7},
            "metaData.identifierFieldName is not a string",
        ),
    ],
)
def test_a_bad_upload_is_400_and_leaves_nothing(
    server: Server, file: bytes | None, metadata: dict[str, str] | str | None, says: str
) -> None:
    before = files_of(server)
    reply = server.upload("records", file, metadata)
    assert reply.status == 400, reply.body
    assert says in reply.json["message"]
    assert files_of(server) == before


def test_a_request_that_is_not_a_form_is_400(server: Server) -> None:
    reply = server.call(
        "POST", "/bulk/records", body=b"name\nAnn\n", headers={"Content-Type": "text/csv"}
    )
    assert (reply.status, "curl -F file=@sample.csv" in reply.json["message"]) == (400, True)


def test_a_file_that_is_too_large_is_413_and_leaves_nothing(server: Server) -> None:
    before = files_of(server)
    reply = server.upload("records", b"name\n" + b"x" * 6 * 1024 * 1024)
    assert (reply.status, files_of(server)) == (413, before)


def test_metadata_may_stand_before_the_file(server: Server) -> None:
    metadata = {"identifierFieldName": "name", "action": "upsert"}
    reply = server.upload("records", b"name\nAnn\n", metadata, metadata_first=True)
    assert server.finished(reply.json["id"])["metadata"] == metadata


HUGE = "9" * 5_000


@pytest.mark.parametrize(
    "path",
    [
        "/bulk/999999/status",
        "/bulk/abc/status",
        f"/bulk/{HUGE}/status",
        "/bulk/%D9%A1/status",
        "/bulk/999999/errors",
        "/instances/99",
        f"/instances/{HUGE}",
        "/instances/-1",
        f"/elements/{HUGE}/oauth/url",
    ],
)
def test_a_job_or_instance_that_does_not_exist_is_404(server: Server, path: str) -> None:
    assert server.call("GET", path).status == 404


@pytest.mark.parametrize(
    "query", [f"pageSize={HUGE}", "pageSize=0", "pageSize=x", "nextPage=-1", f"nextPage={HUGE}"]
)
def test_a_page_size_or_token_that_is_not_a_number_is_400(server: Server, query: str) -> None:
    job_id = server.upload("records", b"name\nAnn\n").json["id"]
    reply = server.call("GET", f"/bulk/{job_id}/errors?{query}")
    assert (reply.status, "it must be a whole number" in reply.json["message"]) == (400, True)


def test_a_query_that_is_refused_leaves_no_value_in_the_log(server: Server) -> None:
    for condition in ("a -> '$[hidden' = 1", "a = 1; call hidden()"):
        reply = server.call("GET", f"/records?where={urllib.parse.quote(condition)}")
        assert reply.status == 400
    assert "hidden" not in server.process.log()


def test_unknown_paths_hubs_and_methods_answer_in_the_contracts_shape(server: Server) -> None:
    for method, path, status in (
        ("GET", "/nothing/here", 404),
        ("GET", "/hubs/nonsense/objects/nonsense/metadata", 404),
        ("POST", "/objects", 405),
        ("GET", "/objects/nonsense/metadata", 404),
    ):
        reply = server.call(method, path)
        assert (reply.status, set(reply.json)) == (status, {"message", "requestId"}), path


def test_a_broken_file_loses_only_its_broken_rows(server: Server) -> None:
    lines = [f"Name {n},{n}" for n in range(1, 10_001)]
    lines[7_311] = '"Name 7312,7312'
    lines[7_999] = "Name 8000,8000,more"
    lines[8_999] = "Name 9000"
    data = b"name,age\n" + "\n".join(lines).encode() + b"\n"
    data = data.replace(b"Name 9500,", b"Name \xff,")
    status = server.done("records", data)
    assert (status["status"], status["recordsCount"], status["recordsFailedCount"]) == (
        "COMPLETE",
        10_000,
        4,
    )
    errors = server.errors(status["id"])
    assert [(error["rowNum"], error["lineNum"]) for error in errors] == [
        (7312, 7313),
        (8000, 8001),
        (9000, 9001),
        (9500, 9501),
    ]
    assert [error["error"].split(";")[0] for error in errors] == [
        "a quote is opened and not closed",
        "the row has 3 cells, the header has 2",
        "the row has 1 cell, the header has 2: the first missing is 'age'",
        "byte 0xFF at position 6 of the line is not UTF-8",
    ]


def test_failed_records_are_grouped_by_cause(server: Server) -> None:
    lines = ["Ann,1", "Bob", "Cara,3", "Dan,4,5", '"Eve,5', "Finn,6,7,8"]
    job_id = server.done("records", b"name,age\n" + "\n".join(lines).encode() + b"\n")["id"]
    largest, *others = server.call("GET", f"/bulk/{job_id}/errors/groups").json
    assert (largest["count"], largest["outcome"], largest["example"]["rowNum"]) == (2, "failed", 4)
    assert largest["error"].startswith("the row has … cells, the header has …; a text with")
    assert [(one["count"], one["example"]["lineNum"]) for one in others] == [(1, 3), (1, 6)]
    reply = server.call("GET", f"/bulk/{job_id}/errors?group={largest['id']}&fields=rowNum")
    assert reply.json == [{"rowNum": 4}, {"rowNum": 6}]
    first = server.call("GET", f"/bulk/{job_id}/errors/groups?pageSize=1")
    assert first.json == [largest]
    token = first.headers["elements-next-page-token"]
    assert server.call("GET", f"/bulk/{job_id}/errors/groups?nextPage={token}").json == others


def test_an_object_that_does_not_exist_is_refused_before_there_is_a_job(server: Server) -> None:
    before, jobs = files_of(server), server.call("GET", "/bulk/jobs").json
    reply = server.upload("bad", b"name\n" + b"Ann\n" * 37)
    assert (reply.status, reply.json["message"]) == (
        400,
        "there is no object 'bad'; the objects are: records, log",
    )
    near = server.upload("Record", b"name\nAnn\n").json["message"]
    assert near == "there is no object 'Record'; did you mean 'records'?"
    assert server.call("GET", "/bulk/jobs").json == jobs
    assert files_of(server) == before


def test_one_bad_record_does_not_sink_its_neighbours(server: Server) -> None:
    status = server.done(
        "records", b'[{"name": "Ann"}, {"fail": "no Bobs here"}, {"name": "Cara"}]'
    )
    assert (status["recordsCount"], status["recordsFailedCount"]) == (3, 1)
    assert [error["error"] for error in server.errors(status["id"])] == ["no Bobs here"]


def test_an_upload_whose_connection_is_cut_leaves_no_job_and_no_file(server: Server) -> None:
    before = files_of(server)
    last = int(server.upload("records", b"name\nAnn\n").json["id"])
    url = urllib.parse.urlsplit(server.process.url)
    body, content_type = multipart(b"name\n" + b"Ann\n" * 900_000, {})
    connection = http.client.HTTPConnection(str(url.hostname), url.port)
    connection.putrequest("POST", f"{BASE_PATH}/bulk/records")
    connection.putheader("Authorization", server.authorization)
    connection.putheader("Content-Type", content_type)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(body[: len(body) // 2])
    until(lambda: len(files_of(server)) == len(before) + 2, 120, "the file is being written")
    assert isinstance(connection.sock, socket.socket)
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    until(lambda: len(files_of(server)) == len(before) + 1, 120, "the complete upload's file alone")
    assert server.call("GET", f"/bulk/{last + 1}/status").status == 404


def test_an_upload_that_a_crash_cuts_off_leaves_no_file(
    processes: Processes, tmp_path: Path
) -> None:
    """The next start deletes it."""
    data = tmp_path / "data"
    orphan = data / "files" / "0123456789abcdef" / "blocks"
    orphan.mkdir(parents=True)
    (orphan / "00000000").write_bytes(b"sealed")
    assert files_of(processes.server(data_dir=data)) == set()


def test_jobs_and_instances_of_another_organization_are_404(server: Server) -> None:
    job_id = server.done("records", b"name\nAnn\n")["id"]
    ledger = server.process.output.parent / "data" / "ledger.db"
    add_organization(ledger, "other-organization", "other-user")
    stranger = {"Authorization": "User other-user, Organization other-organization"}
    instance = f"/instances/{server.instance_id}"
    assert server.call("GET", instance).status == 200
    for path in (f"/bulk/{job_id}/status", f"/bulk/{job_id}/errors", instance):
        assert (
            request("GET", f"{server.process.url}{BASE_PATH}{path}", headers=stranger).status == 404
        )
    reply = request("GET", f"{server.process.url}{BASE_PATH}/instances", headers=stranger)
    assert reply.json == []
    with_token = {"Authorization": f"User other-user, Element {server.element_token}"}
    assert (
        request("GET", f"{server.process.url}{BASE_PATH}/objects", headers=with_token).status == 401
    )


def test_the_token_of_one_instance_opens_the_jobs_of_that_instance_alone(server: Server) -> None:
    upload = server.done("records", b"name\nAnn\n")["id"]
    query = server.call("POST", "/bulk/query?q=select+*+from+records").json["id"]
    server.finished(query)
    other, without_token = server.instance("memory"), Server(server.process)
    calls = [
        ("GET", f"/bulk/{upload}"),
        ("GET", f"/bulk/{upload}/status"),
        ("GET", f"/bulk/{upload}/errors"),
        ("GET", f"/hubs/general/bulk/{upload}/status"),
        ("GET", f"/bulk/{query}/records"),
        ("GET", f"/bulk/{query}/records/data"),
        ("PUT", f"/bulk/{upload}/cancel"),
    ]
    for method, path in calls:
        refused = other.call(method, path)
        assert refused.status == 404, path
        assert "send the token of the job's instance" in refused.json["message"]
        assert without_token.call(method, path).status == 200, path
        assert server.call(method, path).status == 200, path


def add_organization(database: Path, organization_secret: str, user_secret: str) -> None:
    """Add a second organization to the ledger."""

    async def add() -> None:
        engine = open_ledger_engine(f"sqlite:///{database}")
        await people.add_organization(engine, organization_secret, "bob@example.com", user_secret)
        await engine.dispose()

    asyncio.run(add())
