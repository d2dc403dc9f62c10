"""The Eloqua sandbox answers as Eloqua documents it."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from openbulk.sandbox import eloqua

ANN = {"Authorization": aiohttp.encode_basic_auth("Acme\\ann", "secret")}
FIELDS = {"email": "{{Contact.Field(C_EmailAddress)}}", "name": "{{Contact.Field(C_FirstName)}}"}
IMPORT = {
    "name": "test",
    "fields": FIELDS,
    "identifierFieldName": "email",
    "isSyncTriggeredOnImport": False,
}


class Eloqua:
    """Calls a sandbox, signed in as Ann."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self.url = url

    async def __call__(
        self, method: str, path: str, json: Any = None, **more: Any
    ) -> tuple[int, Any]:
        headers = more.pop("headers", ANN)
        async with self._http.request(
            method, self.url + path, json=json, headers=headers, **more
        ) as answer:
            return answer.status, await answer.json(
                content_type=None
            ) if await answer.read() else None

    async def define_import(self, **changes: Any) -> str:
        """The path of a new import definition."""
        status, made = await self("POST", "/api/bulk/2.0/contacts/imports", {**IMPORT, **changes})
        assert status == 201, made
        return f"/api/bulk/2.0{made['uri']}"

    async def wait_for_end(self, sync: dict[str, Any]) -> dict[str, Any]:
        """The ended sync."""
        for _ in range(1_000):
            _, sync = await self("GET", f"/api/bulk/2.0{sync['uri']}")
            if sync["status"] not in {"pending", "active"}:
                return sync
            await asyncio.sleep(0.005)
        raise AssertionError("the sync did not end")

    async def import_batches(self, *batches: list[Any], **changes: Any) -> dict[str, Any]:
        """The ended sync of a new import definition with these batches."""
        definition = await self.define_import(**changes)
        for batch in batches:
            assert await self("POST", f"{definition}/data", batch) == (204, None)
        status, sync = await self.start_sync(definition)
        assert (status, sync["status"]) == (201, "pending")
        return await self.wait_for_end(sync)

    async def start_sync(self, definition: str, **more: str) -> tuple[int, Any]:
        """Start a sync."""
        start = {"syncedInstanceUri": definition.removeprefix("/api/bulk/2.0"), **more}
        return await self("POST", "/api/bulk/2.0/syncs", start)

    async def entries_of(self, sync: dict[str, Any], what: str) -> list[dict[str, Any]]:
        """The logs or rejects of a sync."""
        _, page = await self("GET", f"/api/bulk/2.0{sync['uri']}/{what}")
        assert page["totalResults"] == page["count"] == len(page["items"])
        return list(page["items"])

    async def rejects_of(self, *records: Any, **changes: Any) -> list[tuple[int, str, list[str]]]:
        """Import records; the index, code and fields of each reject."""
        rejects = await self.entries_of(
            await self.import_batches(list(records), **changes), "rejects"
        )
        return [(one["recordIndex"], one["statusCode"], one["invalidFields"]) for one in rejects]


async def start_sandbox(
    http: aiohttp.ClientSession, options: eloqua.Options
) -> tuple[web.AppRunner, Eloqua]:
    runner = web.AppRunner(eloqua.make_app(options), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, Eloqua(http, f"http://127.0.0.1:{runner.addresses[0][1]}")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def call(http: aiohttp.ClientSession) -> AsyncIterator[Eloqua]:
    runner, made = await start_sandbox(http, eloqua.Options())
    yield made
    await runner.cleanup()


async def test_paths_are_the_same_in_any_case(call: Eloqua) -> None:
    one = await call("GET", "/API/Bulk/2.0/contacts/fields?limit=2")
    assert one == await call("GET", "/api/bulk/2.0/contacts/fields?limit=2")
    assert (one[1]["count"], one[1]["hasMore"]) == (2, True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"fields": {}}, "fields"),
        ({"fields": {str(n): FIELDS["email"] for n in range(101)}}, "fields"),
        ({"fields": {"email": "{{Contact.Field(C_Nonsense)}}"}}, "fields.email"),
        (
            {"fields": {"email": FIELDS["email"], "made": "{{Contact.Field(C_DateCreated)}}"}},
            "fields.made",
        ),
        ({"identifierFieldName": "phone"}, "identifierFieldName"),
        ({"identifierFieldName": ["email"]}, "identifierFieldName"),
        ({"fields": {"email": ["x"]}}, "fields.email"),
        ({"updateRule": "never"}, "updateRule"),
    ],
)
async def test_a_definition_that_is_wrong_is_refused_with_its_failures(
    call: Eloqua, change: dict[str, Any], field: str
) -> None:
    status, body = await call("POST", "/api/bulk/2.0/contacts/imports", {**IMPORT, **change})
    assert (status, body["failures"][0]["field"]) == (400, field)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("autoDeleteDuration", ["PT1H", "P30D"], ["PT59M", "soon", 3600]),
        ("dataRetentionDuration", ["PT1H", "P14D", "P2W"], ["PT0S", "P15D", ""]),
        ("isSyncTriggeredOnImport", [True, "false"], ["perhaps", 1]),
    ],
)
async def test_durations_and_switches_are_checked(
    call: Eloqua, name: str, good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        await call.define_import(**{name: value})
    for value in bad:
        status, body = await call("POST", "/api/bulk/2.0/contacts/imports", {**IMPORT, name: value})
        assert (status, body["failures"][0]["field"]) == (400, name), value


async def test_an_import_creates_and_updates_and_lists_rejects_by_their_index(
    call: Eloqua,
) -> None:
    first = await call.import_batches([{"email": "ann@example.com", "name": "Ann"}])
    batches: list[list[Any]] = [
        [{"email": "ANN@example.com", "name": "Anna"}, {"email": "nonsense", "name": "Bob"}],
        [{"email": "", "name": "Cara"}, {"email": "dan@example.com", "name": "Dan"}],
        [{"email": "dan@example.com", "name": "Dan again"}, "garbage", {"email": "", "name": ""}],
    ]
    second = await call.import_batches(*batches)
    assert (first["status"], second["status"]) == ("success", "warning")
    assert (
        first["createdAt"] <= first["syncStartedAt"] <= first["syncEndedAt"] <= second["createdAt"]
    )
    rejects = await call.entries_of(second, "rejects")
    codes = ["ELQ-00002", "ELQ-00061", "ELQ-00026", "ELQ-00032", "ELQ-00059"]
    found = [(one["recordIndex"], one["statusCode"]) for one in rejects]
    assert found == list(zip([2, 3, 5, 6, 7], codes, strict=True))
    assert rejects[0]["fieldValues"] == {"email": "nonsense", "name": "Bob"}
    counts = {one["statusCode"]: one["count"] for one in await call.entries_of(second, "logs")}
    totals = {"ELQ-00022": 1, "ELQ-00004": 1, "ELQ-00001": 7, "ELQ-00060": 5, "ELQ-00101": 0}
    assert counts == {**totals, **dict.fromkeys(codes, 1)}
    _, contacts = await call("GET", "/sandbox/contacts")
    assert [(one["C_EmailAddress"], one["C_FirstName"]) for one in contacts] == [
        ("ANN@example.com", "Anna"),
        ("dan@example.com", "Dan"),
    ]


async def test_values_that_do_not_fit_their_fields_are_rejected(call: Eloqua) -> None:
    fields = {**FIELDS, "revenue": "{{Contact.Field(C_Annual_Revenue1)}}"}
    ann, bob = {"email": "ann@example.com"}, {"email": "bob@example.com"}
    records = [{**ann, "revenue": "much"}, {**bob, "name": ["Bob"]}, {**bob, "revenue": "1e6"}]
    assert await call.rejects_of(*records, fields=fields) == [
        (1, "ELQ-00032", ["revenue"]),
        (2, "ELQ-00032", ["name"]),
    ]


async def test_an_e_mail_address_belongs_to_one_contact(call: Eloqua) -> None:
    await call.import_batches(
        [{"email": "ann@example.com", "name": "Ann"}, {"email": "bob@example.com", "name": "Bob"}]
    )
    changes = [
        {"email": "bob@example.com", "name": "Ann"},
        {"email": "b@example.com", "name": "Bob"},
    ]
    assert await call.rejects_of(*changes, identifierFieldName="name") == [
        (1, "ELQ-00011", ["email"])
    ]
    assert (
        await call.rejects_of(
            {"email": "ANN@example.com", "name": "Ann"}, identifierFieldName="name"
        )
        == []
    )
    assert await call.rejects_of({"email": "bob@example.com", "name": "Another Bob"}) == []
    _, contacts = await call("GET", "/sandbox/contacts")
    assert [one["C_EmailAddress"] for one in contacts] == [
        "ANN@example.com",
        "b@example.com",
        "bob@example.com",
    ]


async def test_rejects_come_in_pages(call: Eloqua) -> None:
    sync = await call.import_batches([{"email": str(n)} for n in range(1_500)])
    _, first = await call("GET", f"/api/bulk/2.0{sync['uri']}/rejects?limit=2000")
    _, second = await call("GET", f"/api/bulk/2.0{sync['uri']}/rejects?offset=1000")
    assert [(page["count"], page["hasMore"], page["totalResults"]) for page in (first, second)] == [
        (1000, True, 1500),
        (500, False, 1500),
    ]
    assert [page["items"][0]["recordIndex"] for page in (first, second)] == [1, 1001]


@pytest.mark.parametrize(
    ("rule", "name"), [("always", ""), ("ifNewIsNotNull", "Ann"), ("ifExistingIsNull", "Ann")]
)
async def test_the_update_rule_decides_what_an_empty_value_does(
    call: Eloqua, rule: str, name: str
) -> None:
    await call.import_batches([{"email": "ann@example.com", "name": "Ann"}])
    await call.import_batches([{"email": "ann@example.com", "name": ""}], updateRule=rule)
    assert (await call("GET", "/sandbox/contacts"))[1][0]["C_FirstName"] == name


async def test_data_that_is_staged_twice_is_imported_twice(call: Eloqua) -> None:
    row = {"email": "ann@example.com", "name": "Ann"}
    sync = await call.import_batches([row], [row])
    assert [one["statusCode"] for one in await call.entries_of(sync, "rejects")] == ["ELQ-00026"]


async def test_staged_data_starts_a_sync_if_the_definition_triggers_one(call: Eloqua) -> None:
    definition = await call.define_import(isSyncTriggeredOnImport=True)
    status, sync = await call("POST", f"{definition}/data", [{"email": "ann@example.com"}])
    assert status == 201
    assert (await call("POST", f"{definition}/data", [{"email": "bob@example.com"}]))[0] == 409
    assert (await call.wait_for_end(sync))["status"] == "success"
    assert len((await call("GET", "/sandbox/contacts"))[1]) == 1


async def test_csv_is_staged_too_and_fails_in_the_sync_without_its_identifier(
    call: Eloqua,
) -> None:
    csv, ends = {**ANN, "Content-Type": "text/csv"}, []
    lines = (
        'email,name\r\nann@example.com,"Smith, Ann"\r\nbob@example.com\r\nx@example.com,X,more\r\n'
    )
    for data in (b"\xef\xbb\xbf" + lines.encode(), b"E-Mail,name\nann@example.com,Ann\n"):
        definition = await call.define_import()
        assert (await call("POST", f"{definition}/data", data=data, headers=csv))[0] == 204
        sync = await call.wait_for_end((await call.start_sync(definition))[1])
        rejects = await call.entries_of(sync, "rejects")
        ends.append((sync["status"], [(one["recordIndex"], one["statusCode"]) for one in rejects]))
    assert ends == [("warning", [(3, "ELQ-00032")]), ("error", [])]
    assert [one["severity"] for one in await call.entries_of(sync, "logs")] == [
        "error",
        "information",
    ]
    assert [one.get("C_FirstName") for one in (await call("GET", "/sandbox/contacts"))[1]] == [
        "Smith, Ann",
        None,
    ]
    assert (await call("POST", f"{definition}/data", data=b"email\n\xff", headers=csv))[0] == 400


async def test_more_than_32_megabytes_are_not_found(call: Eloqua) -> None:
    definition = await call.define_import()
    for megabytes in (33, 65):
        big = [{"email": "ann@example.com", "name": "x" * megabytes * 1024 * 1024}]
        assert (await call("POST", f"{definition}/data", big))[0] == 404
    _, stats = await call("GET", "/sandbox/stats")
    assert stats["largest_data_post_bytes"] > 32 * 1024 * 1024


async def test_a_large_sync_lets_other_calls_through(call: Eloqua) -> None:
    """The sandbox answers them while the sync runs."""
    definition, answered = await call.define_import(), 0
    await call(
        "POST", f"{definition}/data", [{"email": f"p{n}@example.com"} for n in range(60_000)]
    )
    _, sync = await call.start_sync(definition)
    while sync["status"] in {"pending", "active"}:
        _, sync = await call("GET", f"/api/bulk/2.0{sync['uri']}")
        answered += sync["status"] == "active"
    assert sync["status"] == "success"
    assert answered > 5


async def test_a_definition_is_not_synced_twice_at_once_or_after_its_deletion(
    http: aiohttp.ClientSession,
) -> None:
    runner, call = await start_sandbox(http, eloqua.Options(sync_ms=500))
    definition = await call.define_import()
    status, sync = await call.start_sync(definition, callbackUrl="https://example.com/done")
    assert (status, sync["callbackUrl"]) == (201, "https://example.com/done")
    assert (await call.start_sync(definition))[0] == 409
    assert (await call("DELETE", definition))[0] == 204
    assert (await call("GET", definition))[0] == 404
    assert (await call.start_sync(definition))[0] == 400
    await runner.cleanup()


async def test_a_reset_forgets_everything_and_stops_syncs(http: aiohttp.ClientSession) -> None:
    runner, call = await start_sandbox(http, eloqua.Options(sync_ms=60_000))
    definition = await call.define_import(isSyncTriggeredOnImport=True)
    _, sync = await call("POST", f"{definition}/data", [{"email": "ann@example.com"}])
    await call("POST", "/api/rest/2.0/assets/campaign", {"name": "Spring"})
    async with asyncio.timeout(60):
        await call("POST", "/sandbox/reset")
    for gone in (definition, f"/api/bulk/2.0{sync['uri']}"):
        assert (await call("GET", gone))[0] == 404
    for what in ("contacts", "campaigns"):
        assert (await call("GET", f"/sandbox/{what}"))[1] == []
    assert (await call("GET", "/sandbox/stats"))[1]["data_posts"] == 0
    await runner.cleanup()


@pytest.mark.parametrize("path", ["assets/campaign", "assets/contact/list"])
async def test_campaigns_and_lists_are_made_changed_listed_and_deleted(
    call: Eloqua, path: str
) -> None:
    status, refused = await call("POST", f"/api/rest/2.0/{path}", {"description": "nameless"})
    assert (status, refused[0]["property"]) == (400, "name")
    for name in ("One", "Two", "Three"):
        assert (await call("POST", f"/api/rest/2.0/{path}", {"name": name}))[0] == 201
    _, page = await call("GET", f"/api/rest/2.0/{path}s?count=2&page=2")
    assert ([one["name"] for one in page["elements"]], page["total"]) == (["Three"], 3)
    assert (await call("PUT", f"/api/rest/2.0/{path}/1", {"name": "Uno"}))[1]["name"] == "Uno"
    assert (await call("DELETE", f"/api/rest/2.0/{path}/1"))[0] == 200
    assert (await call("GET", f"/api/rest/2.0/{path}/1"))[0] == 404


async def test_lists_are_searched_and_show_the_requested_depth(call: Eloqua) -> None:
    for name in ("Spring Sale", "Summer sale", "Autumn"):
        await call("POST", "/api/rest/2.0/assets/campaign", {"name": name, "budgetedCost": "5"})
    _, page = await call("GET", "/api/rest/2.0/assets/campaigns?search=name=*sale")
    assert [one["name"] for one in page["elements"]] == ["Spring Sale", "Summer sale"]
    assert "budgetedCost" not in page["elements"][0]
    _, page = await call("GET", "/api/rest/2.0/assets/campaigns?search=autumn&depth=complete")
    assert [(one["budgetedCost"], one["currentStatus"]) for one in page["elements"]] == [
        ("5", "Draft")
    ]
    _, found = await call("GET", '/api/bulk/2.0/contacts/fields?q="name=*phone"')
    assert [one["internalName"] for one in found["items"]] == ["C_BusPhone", "C_MobilePhone"]


async def test_contacts_and_their_activities_can_be_read(call: Eloqua) -> None:
    await call.import_batches([{"email": "ann@example.com", "name": "Ann"}])
    _, page = await call("GET", "/api/rest/1.0/data/contacts")
    number = page["elements"][0]["id"]
    assert (await call("GET", f"/api/rest/1.0/data/contact/{number}"))[1]["C_FirstName"] == "Ann"
    _, activities = await call("GET", f"/api/rest/1.0/data/activities/contact/{number}")
    assert [(one["activityType"], one["contact"]) for one in activities] == [("emailSend", number)]
    assert (await call("GET", f"/api/rest/1.0/data/activities/contact/{number}?type=webVisit"))[
        1
    ] == []


async def test_accounts_are_imported_and_read(call: Eloqua) -> None:
    fields = {"company": "{{Account.Field(M_CompanyName)}}"}
    body = {"name": "test", "fields": fields, "identifierFieldName": "company"}
    _, made = await call("POST", "/API/Bulk/2.0/accounts/imports", body)
    _, sync = await call("POST", f"/api/bulk/2.0{made['uri']}/data", [{"company": "Acme"}])
    logs = await call.entries_of(await call.wait_for_end(sync), "logs")
    assert {one["statusCode"]: one["count"] for one in logs}["ELQ-00005"] == 1
    _, page = await call("GET", "/api/rest/1.0/data/accounts")
    assert [one["M_CompanyName"] for one in page["elements"]] == ["Acme"]


async def test_a_quota_is_kept(http: aiohttp.ClientSession) -> None:
    runner, call = await start_sandbox(http, eloqua.Options(quota_per_minute=2))
    seen = [(await call("GET", "/api/bulk/2.0/contacts/fields"))[0] for _ in range(3)]
    assert seen == [200, 200, 429]
    await runner.cleanup()


async def test_faults_and_latency_are_those_of_the_options(http: aiohttp.ClientSession) -> None:
    runner, call = await start_sandbox(http, eloqua.Options(faults="error-503=1", latency_ms=50))
    began = time.monotonic()
    assert (await call("POST", "/api/rest/2.0/assets/campaign", {"name": "Spring"}))[0] == 503
    assert time.monotonic() - began >= 0.05
    await call("POST", "/sandbox/faults", {"spec": "drop-after=1"})
    with pytest.raises(aiohttp.ClientError):
        await call("POST", "/api/rest/2.0/assets/campaign", {"name": "Summer"})
    assert [one["name"] for one in (await call("GET", "/sandbox/campaigns"))[1]] == ["Summer"]
    await runner.cleanup()


async def test_the_page_shows_the_data_escaped(call: Eloqua, http: aiohttp.ClientSession) -> None:
    await call.import_batches([{"email": "ann@example.com", "name": "<script>alert(1)</script>"}])
    async with http.get(call.url) as answer:
        page = await answer.text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>" not in page


async def test_a_search_with_many_stars_takes_no_time(call: Eloqua) -> None:
    """A star is anything, as often as it stands there."""
    for name in ("a" * 5000, "Spring *", "spring sale"):
        await call("POST", "/api/rest/2.0/assets/campaign", {"name": name})
    path = "/api/rest/2.0/assets/campaigns?search="
    for criterion, found in (("*a" * 40 + "b", 0), ("S*g*", 2), ("*sale", 1), ("spring", 0)):
        assert (await call("GET", path + criterion))[1]["total"] == found, criterion


async def test_garbage_is_refused(call: Eloqua) -> None:
    assert (await call("POST", "/sandbox/faults", {"spec": ["slow=1"]}))[0] == 400
    assert (await call("POST", "/api/bulk/2.0/contacts/imports", data=b"{"))[0] == 400
    assert (await call("POST", "/api/bulk/2.0/contacts/imports", [1]))[0] == 400
    assert (await call("POST", "/api/rest/2.0/assets/campaign", data=b"{"))[0] == 400
    for number in ("x", "9" * 5_000, "\u0661"):
        assert (await call("GET", f"/api/bulk/2.0/syncs/{number}"))[0] == 404
    assert (
        await call("GET", "/api/rest/1.0/data/contacts", headers={"Authorization": "Basic \u00e4"})
    )[0] == 401
    assert (await call("GET", "/nowhere"))[0] == 404
    assert (await call("GET", "/api/bulk/2.0/contacts/fields?limit=x&offset=-3"))[0] == 200


# --- exports ---

EXPORT = {
    "name": "test",
    "fields": {**FIELDS, "id": "{{Contact.Id}}", "changed": "{{Contact.Field(C_DateModified)}}"},
}


async def export_page(call: Eloqua, query: str = "") -> Any:
    """A page of the records of a new export, after its sync."""
    status, made = await call("POST", "/api/bulk/2.0/contacts/exports", EXPORT)
    assert status == 201, made
    _, sync = await call("POST", "/api/bulk/2.0/syncs", {"syncedInstanceUri": made["uri"]})
    return (
        await call("GET", f"/api/bulk/2.0{(await call.wait_for_end(sync))['uri']}/data{query}")
    )[1]


async def test_an_export_holds_the_requested_fields(call: Eloqua) -> None:
    """They have the definition's names. An absent value is an empty text."""
    await call.import_batches(
        [{"email": "ann@example.com", "name": "Ann"}, {"email": "bob@example.com"}]
    )
    page = await export_page(call)
    assert [(one["id"], one["email"], one["name"]) for one in page["items"]] == [
        ("1", "ann@example.com", "Ann"),
        ("2", "bob@example.com", ""),
    ]
    assert page["items"][0]["changed"][:2] == "20"
    second = await export_page(call, "?limit=1&offset=1")
    assert ([one["id"] for one in second["items"]], second["hasMore"], second["totalResults"]) == (
        ["2"],
        False,
        2,
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"fields": {}}, "fields"),
        ({"fields": {"x": "{{Contact.Field(C_Nothing)}}"}}, "fields.x"),
        ({"fields": {"x": ["{{Contact.Id}}"]}}, "fields.x"),
        ({"filter": "'{{Contact.Field(C_Nothing)}}' = 'Bonn'"}, "filter"),
        ({"filter": "(" * 999}, "filter"),
        ({"filter": "NOT " * 249}, "filter"),
        ({"filter": "'{{Contact.Field(C_City)}}' = 'Bonn' AND"}, "filter"),
        ({"filter": "C_City = 'Bonn'"}, "filter"),
        ({"filter": "('{{Contact.Id}}' = '1'"}, "filter"),
        ({"dataRetentionDuration": "PT1M"}, "dataRetentionDuration"),
    ],
)
async def test_an_export_that_is_wrong_is_refused(
    call: Eloqua, change: dict[str, Any], field: str
) -> None:
    """The answer names the invalid field."""
    status, body = await call("POST", "/api/bulk/2.0/contacts/exports", {**EXPORT, **change})
    assert (status, body["failures"][0]["field"]) == (400, field)


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        ("'{{Contact.Field(C_EmailAddress)}}' = 'ANN@example.com '", ["1"]),
        ("'{{Contact.Id}}' != '1'", ["2"]),
        ("NOT ('{{Contact.Id}}' = '1' OR '{{Contact.Id}}' = '2')", []),
        ("'{{Contact.Field(C_DateModified)}}' >= '2020-01-01' AND '{{Contact.Id}}' >= '2'", ["2"]),
    ],
)
async def test_an_export_is_filtered_by_eloquas_expressions(
    call: Eloqua, chosen: str, ids: list[str]
) -> None:
    """Texts are equal in any case, and with any blanks at their end."""
    await call.import_batches(
        [{"email": "ann@example.com", "name": "Ann"}, {"email": "bob@example.com"}]
    )
    made = (await call("POST", "/api/bulk/2.0/contacts/exports", {**EXPORT, "filter": chosen}))[1]
    _, sync = await call("POST", "/api/bulk/2.0/syncs", {"syncedInstanceUri": made["uri"]})
    page = (await call("GET", f"/api/bulk/2.0{(await call.wait_for_end(sync))['uri']}/data"))[1]
    assert [one["id"] for one in page.get("items", [])] == ids


async def test_an_import_has_no_data_to_fetch(call: Eloqua) -> None:
    """Eloqua answers 400."""
    sync = await call.import_batches([{"email": "ann@example.com"}])
    assert (await call("GET", f"/api/bulk/2.0{sync['uri']}/data"))[0] == 400
