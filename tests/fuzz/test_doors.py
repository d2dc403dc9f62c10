"""Whatever JSON or raw parameter a caller sends: no answer is a 5xx, and everybody is still served.

Runs longer with `FUZZ_SECONDS`.
"""

import json
import os
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.harness import BASE_PATH, Processes, Reply, Server, multipart, request
from support.postgres import Postgres

SECONDS = float(os.environ.get("FUZZ_SECONDS", "10"))
EXAMPLES = max(60, int(SECONDS * 0.7))
STRIDE = 1 if SECONDS > 60 else 12
"""A short run sends every twelfth value through each door: all of them through some."""
T = TypeVar("T")
LISTINGS = (
    "/instances",
    "/jobs",
    "/jobs/executions",
    "/bulk/jobs",
    "/bulkloader",
    "/elements",
    "/records",
)

DEEP = [
    b"[" * levels + b"]" * levels for levels in (33, 64, 254, 255, 300, 1_000, 1_100, 100_000)
] + [b'{"a":' * levels + b"1" + b"}" * levels for levels in (33, 260, 300, 990, 5_000)]
ODD = [
    b'"\\ud800"',
    b'"\\udfff\\ud800"',
    b'"\\u0000"',
    b'"a\\u0000b"',
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-1e99999999",
    b"9" * 5_000,
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"0." + b"9" * 5_000,
    b'"' + b"a." * 1_000 + b'a"',
    b'"' + b"a->" * 1_000 + b'a"',
    b'"' + b"x" * 200_000 + b'"',
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b'"\xed\xa0\x80"',
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'{"a":1,"a":2}',
    b"-0",
    b'""',
    b"[null]",
]
VALUES = [*DEEP, *ODD]
TEXTS = [
    "\0",
    "a\0b",
    "9" * 5_000,
    str(2**63),
    str(2**64),
    "-1",
    "0",
    "1e5",
    "\u0663",
    "a." * 1_000 + "a",
    "a->" * 1_000 + "a",
    "a->'b'",
    "(" * 1_000 + "a = 1",
    "'" * 999,
    "a = " + "9" * 5_000,
    "a = 1e99999999",
    "a like '" + "%" * 2_000 + "'",
    "select " + "a." * 1_000 + "a from records",
    "select * from records where " + "a->" * 500 + "a = 1",
    "select * from " + "a/" * 1_000,
    "bm90IGEgdG9rZW4=",
    "WyJhYmMiLDBd",
    "W251bGwsOTk5OTk5OTk5OTk5OTk5OTk5OTk5OTld",
    "\ud7ff\ufffe",
    "/" * 500,
    "..",
    "%",
    "{" * 300,
    "[" * 300 + "]" * 300,
    '{"a":' * 300 + "1" + "}" * 300,
    '{"callback-payload": "\\ud800"}',
    '{"callback-payload": NaN}',
    "0 0 12 ? * " + "9" * 400,
    "2026-02-30",
    "99999-01-01T00:00:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
]


HOLE = "@"
"""Where a hostile value goes."""
TOKEN = "%TOKEN%"
CRON = {"cron": "0 0 12 ? * *"}
SQL = "select * from records"
SERVICE = {"base.url": "http://127.0.0.1:9"}
DATABASE = {"db.host": "127.0.0.1", "db.name": HOLE, "username": HOLE, "password": HOLE}


def made_of(element: Any, **more: Any) -> Any:
    return {"element": {"key": element}, **more}


def configured(element: str, **configuration: Any) -> Any:
    entries = {name.replace("_", "."): value for name, value in configuration.items()}
    return made_of(element, configuration=entries | (SERVICE if "db.host" not in entries else {}))


def holes(shape: Any, *keys: str) -> list[Any]:
    return [{**shape, key: HOLE} for key in keys]


def repeated(uri: str, body: Any, **more: Any) -> Any:
    return {"uri": uri, "body": body, "trigger": CRON, **more}


def copied(**target: Any) -> Any:
    return {"objectName": "records", "targetConfiguration": {"token": TOKEN, **target}}


DOORS: dict[tuple[str, str], list[Any]] = {
    ("POST", "/instances"): [
        *holes(made_of("memory"), "name", "tags", "configuration", "providerData", "disabled", "x"),
        made_of("memory", tags=[HOLE]),
        made_of("memory", configuration={"space": HOLE}),
        made_of(HOLE),
        made_of("postgresql", configuration={**DATABASE, "db.host": HOLE}),
        made_of("postgresql", configuration={**DATABASE, "db.host": "127.0.0.1.."}),
        made_of("postgresql", configuration={**DATABASE, "db.port": HOLE}),
        made_of("sqlite", configuration={"db.file": HOLE}),
        made_of("eloqua", configuration={"base.url": HOLE, "username": "a", "password": "b"}),
        configured("eloqua", username=HOLE, password=HOLE),
        configured("googlecalendar", oauth_api_key=HOLE, oauth_user_refresh__token=HOLE),
        configured("googlecalendar", service_account_key=HOLE),
        made_of(
            "googlecalendar",
            providerData={"code": HOLE, "state": HOLE},
            configuration={"oauth.api.key": "a", "oauth.callback.url": HOLE, **SERVICE},
        ),
    ],
    ("PATCH", "/instances"): [
        {"tags": [HOLE]},
        {"name": HOLE},
        {"configuration": {"event.notification.callback.headers": HOLE}},
    ],
    ("PATCH", "/instances/1/configuration/space"): [{"propertyValue": HOLE}],
    ("PATCH", "/instances/1/configuration"): [{"space": HOLE}],
    ("POST", "/elements/googlecalendar/oauth/url"): [
        {"apiKey": HOLE, "callbackUrl": HOLE, "state": HOLE, "pkce": True, "scope": HOLE}
    ],
    ("POST", "/jobs"): [
        *holes(
            repeated("/bulk/query", {"q": SQL}),
            *("name", "description", "query", "body", "headers", "instanceId", "uri", "trigger"),
        ),
        repeated("/bulk/query", {"q": HOLE}),
        repeated("/bulk/query", {"q": SQL, "metaData": {"callback-payload": HOLE}}),
        repeated("/bulk/download", {"objectName": "records", "query": {"a": HOLE}}),
        repeated("/bulk/query", {"q": SQL}, trigger={"cron": HOLE}),
        repeated("/bulk/query", {"q": SQL}, headers={"Elements-Async-Callback-Url": HOLE}),
        repeated("/bulk/workflows", [copied(objectName="records", metaData=HOLE)]),
    ],
    ("POST", "/bulk/workflows"): [
        HOLE,
        [copied(objectName="records", metaData=HOLE)],
        [{**copied(objectName="records"), "elementKey": HOLE}],
        [copied(objectName=HOLE)],
        [{"query": HOLE, "from": HOLE, "targetConfiguration": {"token": HOLE}}],
    ],
    ("POST", "/bulk/query"): holes(
        {"q": SQL}, "q", "query", "metaData", "from", "fileFormat", "continueFromJobId"
    ),
    ("POST", "/bulk/download"): holes(
        {"objectName": "records"},
        *("objectName", "format", "selectFields", "where", "limit", "pageSize", "apiLimit"),
        *("from", "filterDateField", "filterNulls", "continueFromJobId", "notificationUrl"),
        *("query", "fileName", "callback-payload"),
    ),
    ("POST", "/records"): [{"a": HOLE}, {"id": HOLE}, HOLE],
    ("PATCH", "/records/1"): [{"a": HOLE, "b.c.d": 1}],
}
BODIES = [
    (method, path, json.dumps(body).replace(f'"{HOLE}"', HOLE))
    for (method, path), shapes in DOORS.items()
    for body in shapes
]


METADATA = (
    b'{"callback-payload": @}',
    b'{"action": @}',
    b'{"format": @}',
    b"@",
    b'{"@": 1}',
    b'{"identifierFieldName": @}',
    b'{"listId": @}',
)
RAW = [
    ("GET", "/instances?{}", ("pageSize", "nextPage", "searchText", "tags[]")),
    ("GET", "/jobs?{}", ("pageSize", "nextPage")),
    ("GET", "/jobs/executions?{}", ("pageSize", "nextPage", "page")),
    ("GET", "/bulk/jobs?{}", ("where", "fields", "pageSize", "nextPage")),
    ("GET", "/bulkloader?{}", ("jobId", "parentBulkLoaderId", "page", "pageSize")),
    ("GET", "/bulk/1/errors?{}", ("pageSize", "nextPage", "page", "fields")),
    ("GET", "/bulk/2/records/data?{}", ("pageSize", "nextPage")),
    ("GET", "/records?{}", ("where", "fields", "orderBy", "pageSize", "nextPage", "x")),
    ("GET", "/objects?{}", ("x",)),
    (
        "GET",
        "/elements/googlecalendar/oauth/url?apiKey=a&callbackUrl=http://127.0.0.1&pkce=true&{}",
        ("state", "scope", "siteAddress", "base.url", "apiSecret"),
    ),
    (
        "POST",
        "/bulk/query?{}",
        ("q", "from", "to", "lastRunDate", "continueFromJobId", "fileFormat", "metaData"),
    ),
]
PATHS = [
    ("GET", "/instances/{}"),
    ("GET", "/instances/{}/configuration"),
    ("GET", "/instances/1/configuration/{}"),
    ("DELETE", "/instances/{}"),
    ("PUT", "/instances/{}/enabled"),
    ("GET", "/jobs/{}"),
    ("GET", "/jobs/{}/history"),
    ("PUT", "/jobs/{}/enable"),
    ("DELETE", "/jobs/{}"),
    ("GET", "/bulk/{}"),
    ("GET", "/bulk/{}/status"),
    ("GET", "/bulk/{}/errors"),
    ("PUT", "/bulk/{}/cancel"),
    ("GET", "/bulk/{}/records/data"),
    ("GET", "/bulk/2/{}"),
    ("GET", "/bulk/2/{}/data"),
    ("GET", "/elements/{}"),
    ("GET", "/elements/{}/metadata"),
    ("GET", "/hubs/{}"),
    ("GET", "/hubs/general/{}"),
    ("GET", "/objects/{}/metadata"),
    ("GET", "/{}"),
    ("GET", "/records/{}"),
    ("DELETE", "/records/{}"),
    ("POST", "/bulk/{}"),
]
HEADERS = (
    "Authorization",
    "Elements-Async-Callback-Url",
    "Elements-Schedule-Request",
    "Idempotency-Key",
    "Accept",
    "Content-Type",
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    env: dict[str, Any] = {}
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        env["OPENBULK_DATABASE_URL"] = postgres.url(postgres.new_database())
    folder = tmp_path_factory.mktemp("doors")
    with Processes(folder) as processes:
        started = processes.server(OPENBULK_SQLITE_FOLDER=str(folder), **env)
        made = started.instance("memory")
        made.done("records", b"name\nAnn\nBob\n")
        made.finished(made.call("POST", "/bulk/query?q=select%20*%20from%20records").json["id"])
        yield made
        require_all_served(made)


def share(values: Sequence[T], number: int) -> Sequence[T]:
    return values[number % min(STRIDE, len(values)) :: STRIDE]


def require_all_served(server: Server) -> None:
    for listing in LISTINGS:
        reply = server.call("GET", listing)
        assert reply.status == 200, (listing, reply.body)
    log = server.process.log()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]
    assert server.process.peak_memory_mb() < 500


def require_understood(reply: Reply, *sent: Any) -> None:
    # 502: the service of an instance does not answer.
    assert reply.status < 500 or reply.status == 502, (sent, reply.status, reply.body)
    if reply.status >= 400:
        assert len(reply.json["message"]) < 4_100, (sent, reply.body[:300])


def send(server: Server, method: str, path: str, body: bytes) -> None:
    body = body.replace(b"%TOKEN%", (server.element_token or "").encode())
    headers = {"Content-Type": "application/json"}
    reply = server.call(method, path, body=body, headers=headers, timeout=120)
    require_understood(reply, method, path, body[:300])


def test_every_json_is_taken_or_refused(server: Server) -> None:
    for number, (method, path, body) in enumerate(BODIES):
        for value in share(VALUES, number):
            send(server, method, path, body.encode().replace(HOLE.encode(), value))


def test_every_metadata_is_taken_or_refused(server: Server) -> None:
    for number, value in enumerate(VALUES):
        for shape in share(METADATA, number):
            text = shape.replace(b"@", value).decode("utf-8", "surrogateescape")
            body, kind = multipart(b"name\nAnn\n", {})
            part = b'Content-Disposition: form-data; name="metaData"\r\n\r\n' + text.encode(
                "utf-8", "surrogateescape"
            )
            boundary = kind.partition("boundary=")[2].encode()
            body = b"--" + boundary + b"\r\n" + part + b"\r\n" + body
            reply = server.call("POST", "/bulk/records", body=body, headers={"Content-Type": kind})
            require_understood(reply, text[:300])


def test_every_parameter_is_taken_or_refused(server: Server) -> None:
    for method, path, names in RAW:
        for name in names:
            for text in share(TEXTS, len(path) + len(name)):
                query = urllib.parse.urlencode({name: text})
                reply = server.call(method, path.format(query))
                require_understood(reply, method, path, name, text[:100])


def test_every_path_is_taken_or_refused(server: Server) -> None:
    for method, path in PATHS:
        for text in share(TEXTS, len(path)):
            for safe in ("", "/"):
                place = urllib.parse.quote(text, safe=safe)
                require_understood(
                    server.call(method, path.format(place)), method, path, text[:100]
                )


def test_every_header_is_taken_or_refused(server: Server) -> None:
    texts = ["\xff", "\x80" * 200, "x" * 5_000, "User \xed\xa0\x80, Organization \xff", "9" * 5_000]
    texts += [
        "multipart/form-data; boundary=" + "b" * 5_000,
        "multipart/form-data; boundary*=x''%ff",
    ]
    texts += [
        "multipart/form-data; boundary=\xff",
        "multipart/form-data; boundary=",
        "application/json; charset=\xff",
    ]
    texts += [
        "http://127.0.0.1..",
        "http://[::1",
        "http://\xff",
        "http://a" * 300,
        "application/json",
    ]
    doors = [
        ("POST", "/bulk/records"),
        ("POST", "/bulk/query"),
        ("POST", "/bulk/workflows"),
        ("POST", "/jobs"),
        ("GET", "/bulk/2/records"),
    ]
    for name in HEADERS:
        for number, text in enumerate(texts, len(name)):
            for method, path in share(doors, number):
                headers = {"Authorization": server.authorization, name: text}
                url = f"{server.process.url}{BASE_PATH}{path}"
                reply = request(
                    method, url, body=b"{}" if method == "POST" else None, headers=headers
                )
                require_understood(reply, method, path, name, text[:100])


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=()))
    | st.sampled_from(TEXTS)
)
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(door=st.sampled_from(BODIES), value=ANY_JSON)
def test_any_json_is_taken_or_refused(
    server: Server, door: tuple[str, str, str], value: Any
) -> None:
    method, path, body = door
    send(server, method, path, body.encode().replace(b"@", json.dumps(value).encode()))
