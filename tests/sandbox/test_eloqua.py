"""The Eloqua sandbox answers as Eloqua documents it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from openbulk.sandbox import eloqua

ANN = {"Authorization": aiohttp.encode_basic_auth("Acme\\ann", "secret")}
FIELDS = {"email": "{{Contact.Field(C_EmailAddress)}}", "name": "{{Contact.Field(C_FirstName)}}"}
IMPORT = {"name": "test", "fields": FIELDS, "identifierFieldName": "email", "isSyncTriggeredOnImport": False}


class Eloqua:
    """Speaks to a sandbox."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self.url = url

    async def __call__(self, method: str, path: str, json: Any = None, **more: Any) -> tuple[int, Any]:
        headers = more.pop("headers", ANN)
        async with self._http.request(method, self.url + path, json=json, headers=headers, **more) as answer:
            return answer.status, await answer.json(content_type=None) if await answer.read() else None

    async def imported(self, *batches: list[Any], definition: dict[str, Any] | None = None) -> dict[str, Any]:
        """Define, stage each batch, and sync to the end."""
        status, made = await self("POST", "/api/bulk/2.0/contacts/imports", definition or IMPORT)
        assert status == 201, made
        for batch in batches:
            assert await self("POST", f"/api/bulk/2.0{made['uri']}/data", batch) == (204, None)
        status, sync = await self("POST", "/api/bulk/2.0/syncs", {"syncedInstanceUri": made["uri"]})
        assert (status, sync["status"]) == (201, "pending")
        for _ in range(200):
            _, sync = await self("GET", f"/api/bulk/2.0{sync['uri']}")
            if sync["status"] not in {"pending", "active"}:
                return dict(sync)
            await asyncio.sleep(0.01)
        raise AssertionError("the sync did not end")


async def started(http: aiohttp.ClientSession, options: eloqua.Options) -> tuple[web.AppRunner, Eloqua]:
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
    runner, made = await started(http, eloqua.Options())
    yield made
    await runner.cleanup()


async def test_id_says_where_the_apis_are_or_that_nobody_is_signed_in(call: Eloqua) -> None:
    assert (await call("GET", "/id"))[1]["urls"]["base"] == call.url
    assert await call("GET", "/id", headers={}) == (200, "Not authenticated.")
    wrong = {"Authorization": aiohttp.encode_basic_auth("Acme\\ann", "wrong")}
    assert await call("GET", "/id", headers=wrong) == (200, "Not authenticated.")
    assert (await call("GET", "/api/bulk/2.0/contacts/fields", headers=wrong))[0] == 401


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
        ({"fields": {"email": FIELDS["email"], "made": "{{Contact.Field(C_DateCreated)}}"}}, "fields.made"),
        ({"identifierFieldName": "phone"}, "identifierFieldName"),
        ({"updateRule": "never"}, "updateRule"),
    ],
)
async def test_a_definition_that_is_wrong_is_refused_with_its_failures(
    call: Eloqua, change: dict[str, Any], field: str
) -> None:
    status, body = await call("POST", "/api/bulk/2.0/contacts/imports", {**IMPORT, **change})
    assert (status, body["failures"][0]["field"]) == (400, field)


async def test_an_import_creates_and_updates_and_tells_of_rejects_by_their_index(call: Eloqua) -> None:
    first = await call.imported([{"email": "ann@example.com", "name": "Ann"}])
    batches: list[list[Any]] = [
        [{"email": "ANN@example.com", "name": "Anna"}, {"email": "nonsense", "name": "Bob"}],
        [{"email": "", "name": "Cara"}, {"email": "dan@example.com", "name": "Dan"}],
        [{"email": "dan@example.com", "name": "Dan again"}, "garbage", {"email": "", "name": ""}],
    ]
    second = await call.imported(*batches)
    assert (first["status"], second["status"]) == ("success", "warning")
    _, rejects = await call("GET", f"/api/bulk/2.0{second['uri']}/rejects?limit=1000")
    assert [(one["recordIndex"], one["statusCode"]) for one in rejects["items"]] == [
        (2, "ELQ-00002"),
        (3, "ELQ-00061"),
        (5, "ELQ-00026"),
        (6, "ELQ-00032"),
        (7, "ELQ-00059"),
    ]
    assert rejects["items"][0]["fieldValues"] == {"email": "nonsense", "name": "Bob"}
    _, logs = await call("GET", f"/api/bulk/2.0{second['uri']}/logs")
    counts = {one["statusCode"]: one["count"] for one in logs["items"]}
    assert counts == {"ELQ-00022": 1, "ELQ-00004": 1, "ELQ-00001": 7, "ELQ-00060": 5}
    _, contacts = await call("GET", "/sandbox/contacts")
    assert [(one["C_EmailAddress"], one["C_FirstName"]) for one in contacts] == [
        ("ANN@example.com", "Anna"),
        ("dan@example.com", "Dan"),
    ]


@pytest.mark.parametrize(("rule", "name"), [("always", ""), ("ifNewIsNotNull", "Ann"), ("ifExistingIsNull", "Ann")])
async def test_the_update_rule_decides_what_an_empty_value_does(call: Eloqua, rule: str, name: str) -> None:
    await call.imported([{"email": "ann@example.com", "name": "Ann"}])
    await call.imported([{"email": "ann@example.com", "name": ""}], definition={**IMPORT, "updateRule": rule})
    assert (await call("GET", "/sandbox/contacts"))[1][0]["C_FirstName"] == name


async def test_data_that_is_staged_twice_is_imported_twice(call: Eloqua) -> None:
    row = {"email": "ann@example.com", "name": "Ann"}
    sync = await call.imported([row], [row])
    _, rejects = await call("GET", f"/api/bulk/2.0{sync['uri']}/rejects")
    assert [one["statusCode"] for one in rejects["items"]] == ["ELQ-00026"]


async def test_more_than_32_megabytes_are_too_many(call: Eloqua) -> None:
    _, made = await call("POST", "/api/bulk/2.0/contacts/imports", IMPORT)
    big = [{"email": "ann@example.com", "name": "x" * 33 * 1024 * 1024}]
    assert (await call("POST", f"/api/bulk/2.0{made['uri']}/data", big))[0] == 413
    _, stats = await call("GET", "/sandbox/stats")
    assert stats["largest_data_post_bytes"] > 32 * 1024 * 1024


async def test_a_definition_is_not_synced_twice_at_once_and_not_after_it_is_gone(
    http: aiohttp.ClientSession,
) -> None:
    runner, call = await started(http, eloqua.Options(sync_ms=500))
    _, made = await call("POST", "/api/bulk/2.0/contacts/imports", IMPORT)
    start = {"syncedInstanceUri": made["uri"]}
    assert (await call("POST", "/api/bulk/2.0/syncs", start))[0] == 201
    assert (await call("POST", "/api/bulk/2.0/syncs", start))[0] == 409
    assert (await call("DELETE", f"/api/bulk/2.0{made['uri']}"))[0] == 204
    assert (await call("GET", f"/api/bulk/2.0{made['uri']}"))[0] == 404
    assert (await call("POST", "/api/bulk/2.0/syncs", start))[0] == 400
    await runner.cleanup()


@pytest.mark.parametrize("path", ["assets/campaign", "assets/contact/list"])
async def test_campaigns_and_lists_are_made_changed_listed_and_deleted(call: Eloqua, path: str) -> None:
    status, refused = await call("POST", f"/api/rest/2.0/{path}", {"description": "nameless"})
    assert (status, refused[0]["property"]) == (400, "name")
    for name in ("One", "Two", "Three"):
        assert (await call("POST", f"/api/rest/2.0/{path}", {"name": name}))[0] == 201
    _, page = await call("GET", f"/api/rest/2.0/{path}s?count=2&page=2")
    assert ([one["name"] for one in page["elements"]], page["total"]) == (["Three"], 3)
    assert (await call("PUT", f"/api/rest/2.0/{path}/1", {"name": "Uno"}))[1]["name"] == "Uno"
    assert (await call("DELETE", f"/api/rest/2.0/{path}/1"))[0] == 200
    assert (await call("GET", f"/api/rest/2.0/{path}/1"))[0] == 404


async def test_contacts_and_what_they_did_can_be_read(call: Eloqua) -> None:
    await call.imported([{"email": "ann@example.com", "name": "Ann"}])
    _, page = await call("GET", "/api/rest/1.0/data/contacts")
    number = page["elements"][0]["id"]
    assert (await call("GET", f"/api/rest/1.0/data/contact/{number}"))[1]["C_FirstName"] == "Ann"
    _, activities = await call("GET", f"/api/rest/1.0/data/activities/contact/{number}")
    assert activities[0]["type"] == "emailSend"


async def test_a_quota_is_kept(http: aiohttp.ClientSession) -> None:
    runner, call = await started(http, eloqua.Options(quota_per_minute=2))
    seen = [(await call("GET", "/api/bulk/2.0/contacts/fields"))[0] for _ in range(3)]
    assert seen == [200, 200, 429]
    await runner.cleanup()


async def test_what_it_holds_is_shown_on_a_page_and_harms_nobody(call: Eloqua, http: aiohttp.ClientSession) -> None:
    await call.imported([{"email": "ann@example.com", "name": "<script>alert(1)</script>"}])
    async with http.get(call.url) as answer:
        page = await answer.text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>" not in page


async def test_garbage_is_refused(call: Eloqua) -> None:
    assert (await call("POST", "/api/bulk/2.0/contacts/imports", data=b"{"))[0] == 400
    assert (await call("POST", "/api/bulk/2.0/contacts/imports", [1]))[0] == 400
    assert (await call("POST", "/api/rest/2.0/assets/campaign", data=b"{"))[0] == 400
    assert (await call("GET", "/api/bulk/2.0/syncs/x"))[0] == 404
    assert (await call("GET", "/nowhere"))[0] == 404
    assert (await call("GET", "/api/bulk/2.0/contacts/fields?limit=x&offset=-3"))[0] == 200
