"""Clients in other languages: one in Node, and one that breaks on any key that it does not know.

The second is shaped as a Java client with Jackson's defaults. Its classes have the keys of the wire
contract; strict mode also refuses a number that is written as a text, and the other way round.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import GenericAlias, NoneType
from typing import Any, Literal, get_args

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from support.harness import Processes, Reply, Server, multipart, request

PASSWORD = "correct horse battery"
NODE_CLIENT = Path(__file__).parent / "clients" / "node_client.mjs"


class Strict(BaseModel):
    """A class of the client: an unknown key, or a value of another type, breaks it."""

    model_config = ConfigDict(extra="forbid", strict=True)


def shape(name: str, /, **keys: Any) -> type[Strict]:
    """A class with these keys. One whose type has None may be missing."""
    fields: dict[str, Any] = {
        key: (kind, None if NoneType in get_args(kind) else ...) for key, kind in keys.items()
    }
    return create_model(name, __base__=Strict, **fields)


def list_of(kind: type[Strict]) -> Any:
    """A JSON array of such objects."""
    return GenericAlias(list, kind)


SignedIn = shape(
    "SignedIn",
    token=str,
    twoFactor=bool,
    registeredForTwoFactor=bool,
)
Secrets = shape(
    "Secrets",
    userSecret=str,
    organizationSecret=str,
)
ElementOfInstance = shape(
    "ElementOfInstance",
    id=int,
    name=str,
    key=str,
    hub=str,
)
User = shape(
    "User",
    id=int,
    emailAddress=str,
    firstName=str,
    lastName=str,
)
Instance = shape(
    "Instance",
    id=int,
    name=str,
    token=str,
    element=ElementOfInstance,
    configuration=dict[str, str],
    tags=list[str],
    provisionInteractions=list[Any],
    valid=bool,
    disabled=bool,
    createdDate=str,
    user=User,
    maxCacheSize=int,
    cacheTimeToLive=int,
    cachingEnabled=bool,
)
Entry = shape(
    "Entry",
    id=int,
    key=str,
    propertyValue=str | None,
    description=str | None,
)
Created = shape(
    "Created",
    id=str,
    status=Literal["CREATED"],
    instanceId=int,
)
BulkStatus = shape(
    "BulkStatus",
    id=str,
    status=str,
    instanceId=int | None,
    object_name=str | None,
    job_direction=str | None,
    recordsCount=int,
    recordsFailedCount=int,
    fileFormat=str | None,
    fileSize=int | None,
    metadata=Any | None,
    vendorJobId=Any | None,
    requestId=str | None,
    bulk_start_time=Any | None,
    bulk_finish_time=Any | None,
    infoMessage=str | None,
    message=str | None,
    error=str | None,
)
DownloadStatus = shape(
    "DownloadStatus",
    id=int,
    status=str,
    instanceId=int | None,
    recordCount=int,
    objectName=str,
    metaData=dict[str, Any] | None,
    jobDirection=Literal["DOWNLOAD", "UPLOAD"],
    jobStatus=str,
    statusMessage=str | None,
    createdDate=int,
    vendorJobId=Any | None,
    errorCount=int,
    notificationUrl=str | None,
    defaultSelectFields=Any | None,
    completionTime=int | None,
    fileFormat=Literal["JSON", "CSV", "JSONL"],
    jobCriteria=dict[str, Any],
    native=bool,
)
JobInList = shape(
    "JobInList",
    id=int,
    job_id=str | int | None,
    instanceId=int,
    status=str,
    job_status=str | None,
    object_name=str,
    job_direction=str,
    job_query=str | None,
    job_state=str | None,
    job_reset_attempt=int | None,
    record_count=int,
    error_count=int,
    fileFormat=str,
    notification_url=str | None,
    createdDate=int,
    completion_time=int | None,
)
Problem = shape(
    "Problem",
    message=str,
    requestId=str,
    providerMessage=str | None,
)
Field = shape(
    "Field",
    vendorPath=str,
    type=str,
    mask=str | None,
    format=str | None,
    vendorDisplayName=str,
    vendorReadOnly=bool,
    vendorRequired=bool,
    description=str | None,
    custom=bool,
)
Fields = shape(
    "Fields",
    fields=list_of(Field),
)
Ping = shape(
    "Ping",
    endpoint=str,
    dateTime=str,
    valid=bool,
)
Trigger = shape(
    "Trigger",
    id=str,
    cron=str,
    state=str,
    startTime=int,
    previousFireTime=int | None,
    nextFireTime=int,
)
Schedule = shape(
    "Schedule",
    id=str,
    name=str,
    description=str,
    instanceId=int,
    disallowConcurrent=bool,
    data=dict[str, Any],
    schedule=str,
    trigger=Trigger,
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("live")) as processes:
        yield processes.server(
            OPENBULK_COMPATIBILITY="live",
            OPENBULK_USER="ann@example.com",
            OPENBULK_PASSWORD=PASSWORD,
        )


def parsed(kind: Any, reply: Reply, status: int = 200) -> Any:
    """The answer as the client's class has it. Raises for any key that it does not know."""
    assert reply.status == status, reply.body
    return TypeAdapter(kind).validate_json(reply.body)


def test_a_client_that_breaks_on_any_unknown_key(live: Server) -> None:
    """A whole session: it signs in, makes an instance, loads, reads, lists, schedules, deletes."""
    base = f"{live.process.url}/elements/api-v2"
    body: Any = {"username": "ann@example.com", "password": PASSWORD}
    signed_in = parsed(SignedIn, request("POST", f"{base}/authentication", json_body=body))
    headers = {"Authorization": f"Bearer {signed_in.token}"}
    parsed(Secrets, request("GET", f"{base}/authentication/secrets", headers=headers))

    body = {"element": {"key": "memory"}, "name": "Mine", "configuration": {"space": "strict"}}
    made = parsed(Instance, live.call("POST", "/instances", json_body=body))
    mine = Server(live.process, made.token)
    path = f"/instances/{made.id}"
    assert parsed(Instance, live.call("GET", path)) == made
    assert made in parsed(list_of(Instance), live.call("GET", "/elements/memory/instances"))
    parsed(Instance, live.call("PATCH", path, json_body={"tags": ["weekly"]}))
    parsed(list_of(Entry), mine.call("GET", "/instances/configuration"))
    parsed(Ping, mine.call("GET", "/ping"))
    parsed(Fields, mine.call("GET", "/objects/records/metadata"))

    form, kind = multipart(b"name,fail\nAnn,\nBob,no Bobs here\n", {})
    sent = {"Content-Type": kind}
    upload = parsed(Created, mine.call("POST", "/bulk/records", body=form, headers=sent))
    mine.finished(upload.id)
    status = parsed(BulkStatus, mine.call("GET", f"/bulk/{upload.id}/status"))
    assert (status.status, status.recordsCount, status.recordsFailedCount) == ("COMPLETED", 2, 1)
    query = parsed(Created, mine.call("POST", "/bulk/query?q=select%20*%20from%20records"))
    body = {"objectName": "records", "format": "txt/csv", "from": "2026-01-01T00:00:00Z"}
    download = parsed(Created, mine.call("POST", "/bulk/download", json_body=body))
    for job in (query, download):
        mine.finished(job.id)
    parsed(BulkStatus, mine.call("GET", f"/bulk/{query.id}/status"))
    version_3 = parsed(DownloadStatus, mine.call("GET", f"/bulk/{download.id}/status"))
    assert (version_3.jobStatus, version_3.recordCount) == ("COMPLETED", 1)
    assert len(parsed(list_of(JobInList), mine.call("GET", "/bulk/jobs"))) == 3

    body = {"uri": "/bulk/query", "query": {"q": "select * from log"}}
    body |= {"method": "POST", "trigger": {"cron": "0 0 12 ? * *"}}
    schedule = parsed(Schedule, mine.call("POST", "/jobs", json_body=body))
    assert parsed(list_of(Schedule), live.call("GET", "/jobs")) == [schedule]
    parsed(Problem, mine.call("GET", "/circus"), 404)
    parsed(Problem, live.call("GET", f"/elements/eloqua{path}"), 404)
    for path_of_one in (f"/jobs/{schedule.id}", path):
        assert live.call("DELETE", path_of_one, body=b"null").json == {}


@pytest.fixture
def node() -> str:
    """Node's program. Without it the test is skipped; in CI it fails."""
    program = shutil.which("node")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Node is not installed")
        pytest.skip("Node is not installed")
    return program


def test_a_client_in_node(live: Server, node: str) -> None:
    """It knows nothing but the address and a password, and every answer is 200 till the end."""
    command = [node, str(NODE_CLIENT), live.process.url, "ann@example.com", PASSWORD]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["upload"]["recordsCount"], seen["errors"], seen["ping"]) == (3, [], True)
    assert seen["csv"] == "name\nBob\nCara\n"
    assert seen["json"] == [{"name": "Bob"}, {"name": "Cara"}]
    assert seen["pages"] == [["Ann", "Bob"], ["Cara"]]
    assert (seen["instance"], seen["gone"], seen["after"]) == (seen["made"], {}, 401)
    assert sorted(seen["statuses"]) == [200, 401]
    assert "memory" in seen["keys"]
