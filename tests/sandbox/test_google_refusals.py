"""Calls that Google refuses: the sandbox refuses them too, with the same reason."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from openbulk.sandbox import google
from sandbox.test_google import CLIENT, EVENTS, Caller, ann, event, reason
from sandbox.test_google_sign_in import JWT_BEARER, assertion, consent, exchange

__all__ = ["ann"]


@pytest.mark.parametrize(
    "start",
    [
        {"dateTime": "2026-03-01T09:00Z"},
        {"dateTime": "2026-03-01 09:00:00Z"},
        {"dateTime": "2026-02-30T09:00:00Z"},
        {"dateTime": "03/01/2026 09:00"},
        {"dateTime": 1772355600},
    ],
)
async def test_a_start_that_is_not_a_time_is_refused(ann: Caller, start: dict[str, Any]) -> None:
    status, body = await ann.insert(start=start)
    assert (status, reason(body)) == (400, "badRequest")


@pytest.mark.parametrize(
    "day", ["20260301", "2026-W09-7", "2026-02-30", "2026-03-01T09:00:00Z", 20260301]
)
async def test_a_start_that_is_not_a_date_is_refused(ann: Caller, day: object) -> None:
    status, body = await ann.insert(start={"date": day}, end={"date": "2026-03-02"})
    assert (status, reason(body)) == (400, "badRequest")


@pytest.mark.parametrize("zone", ["America", "../UTC", 5, ["UTC"]])
async def test_a_time_zone_that_is_none_is_refused(ann: Caller, zone: object) -> None:
    status, body = await ann.insert(start={"dateTime": "2026-03-01T09:00:00Z", "timeZone": zone})
    assert (status, reason(body)) == (400, "invalid")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"summary": {}}, "badRequest"),
        ({"recurrence": [7]}, "badRequest"),
        ({"sequence": True}, "badRequest"),
        ({"extendedProperties": {"private": {"key": 1}}}, "badRequest"),
        ({"status": "bogus"}, "invalid"),
        ({"attendees": [{"displayName": "Bob"}]}, "required"),
        ({"attendees": [{"email": "bob @example.com"}]}, "invalid"),
        ({"id": "abc01", "iCalUID": "1@example.com"}, "invalid"),
        ({"start": {"date": "2026-03-01", "dateTime": "2026-03-01T09:00:00Z"}}, "invalid"),
        ({"originalStartTime": {"dateTime": "2026-03-01"}}, "badRequest"),
        ({"originalStartTime": {"timeZone": "UTC"}}, "required"),
        ({"sequence": 2**31}, "badRequest"),
        ({"attendees": [None]}, "required"),
        ({"attendees": [{"email": "b@x.y", "responseStatus": "maybe"}]}, "invalid"),
        ({"attendees": [{"email": "b@x.y", "optional": "yes"}]}, "badRequest"),
        ({"attendees": [{"email": "b@x.y", "additionalGuests": "2"}]}, "badRequest"),
        ({"eventType": "fromGmail"}, "invalid"),
        ({"visibility": "secret"}, "invalid"),
        ({"colorId": "12"}, "invalid"),
        ({"colorId": "khaki"}, "invalid"),
        ({"source": {"url": "ftp://example.com"}}, "invalid"),
        ({"attachments": [{"title": "Plan"}]}, "required"),
        ({"attachments": [{"fileUrl": "https://x"}] * 26}, "invalid"),
        ({"description": "x" * 8193}, "invalid"),
        ({"extendedProperties": {"shared": {f"n{n}": "" for n in range(301)}}}, "invalid"),
        ({"extendedProperties": {"private": {f"n{n}": "x" * 999 for n in range(33)}}}, "invalid"),
    ],
)
async def test_a_field_with_an_invalid_value_is_refused(
    ann: Caller, fields: dict[str, Any], expected: str
) -> None:
    status, body = await ann.insert(**fields)
    assert (status, reason(body)) == (400, expected)
    assert await ann.list_events() == []


def with_overrides(*overrides: object, **more: object) -> dict[str, object]:
    return {"reminders": {"useDefault": False, "overrides": [*overrides], **more}}


POPUP = {"method": "popup", "minutes": 10}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (with_overrides({**POPUP, "minutes": 40321}), "invalid"),
        (with_overrides({**POPUP, "minutes": -1}), "invalid"),
        (with_overrides({**POPUP, "minutes": 1.5}), "badRequest"),
        (with_overrides({**POPUP, "method": "sms"}), "invalid"),
        (with_overrides({"minutes": 10}), "required"),
        (with_overrides({"method": "popup"}), "required"),
        (with_overrides(None), "required"),
        (with_overrides(*[POPUP] * 6), "invalid"),
        (with_overrides(POPUP, useDefault=True), "cannotUseDefaultRemindersAndSpecifyOverride"),
        (with_overrides(POPUP, useDefault=None), "cannotUseDefaultRemindersAndSpecifyOverride"),
    ],
)
async def test_reminders_beyond_googles_bounds_are_refused(
    ann: Caller, fields: dict[str, Any], expected: str
) -> None:
    """In a new event, and in one that is changed: there, the fields that stay count, too."""
    status, body = await ann.insert(**fields)
    assert (status, reason(body)) == (400, expected)
    await ann.insert(id="abc01", reminders={"useDefault": fields["reminders"]["useDefault"]})
    status, body = await ann.call("PATCH", f"{EVENTS}/abc01", json=fields)
    assert (status, reason(body)) == (400, expected)


async def test_reminders_within_googles_bounds_are_taken(ann: Caller) -> None:
    fields = with_overrides(*[{"method": "email", "minutes": n} for n in (0, 1, 60, 1440, 40320)])
    assert (await ann.insert(id="abc01", **fields))[1]["reminders"] == fields["reminders"]
    status, body = await ann.call(
        "PATCH", f"{EVENTS}/abc01", json={"reminders": {"useDefault": True}}
    )
    assert (status, body["error"]["errors"][0]["domain"]) == (400, "calendar")


async def test_extended_properties_are_dropped_and_cut_as_google_documents(ann: Caller) -> None:
    """Without a word: keys of more than 44 characters, and what a value has after 1024."""
    properties = {"k" * 44: "x" * 1024, "k" * 45: "x", "v": "é" * 1025}
    _, made = await ann.insert(extendedProperties={"private": properties})
    assert made["extendedProperties"]["private"] == {"k" * 44: "x" * 1024, "v": "é" * 1024}


async def test_nested_fields_that_google_does_not_know_are_ignored(ann: Caller) -> None:
    _, made = await ann.insert(
        attendees=[{"email": "b@x.y", "mail": "b@x.y"}],
        start={"dateTime": "2026-03-01T09:00:00Z", "date_time": "x"},
    )
    assert made["attendees"] == [{"email": "b@x.y"}]
    assert made["start"] == {"dateTime": "2026-03-01T09:00:00Z"}


async def test_unknown_fields_and_nulls_are_ignored(ann: Caller) -> None:
    status, made = await ann.insert(unheard="of", location=None, status=None)
    assert status == 200
    assert not {"unheard", "location"} & made.keys()
    assert made["status"] == "confirmed"


async def test_an_event_nested_too_deeply_to_be_answered_is_not_kept(ann: Caller) -> None:
    await ann.insert(id="abc01")
    start = b'{"start":{"date":"2026-03-01"},"end":{"date":"2026-03-02"},"gadget":'
    for depth in (300, 1000):
        data = start + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
        for method, path in (
            ("POST", EVENTS),
            ("PATCH", f"{EVENTS}/abc01"),
            ("PUT", f"{EVENTS}/abc01"),
        ):
            assert (await ann.call(method, path, data=data))[0] == 400, (method, depth)
    assert [item["summary"] for item in await ann.list_events()] == ["Stand-up"]


async def test_patch_merges_nested_objects_and_a_null_clears(ann: Caller) -> None:
    await ann.insert(
        id="abc01", location="Room 7", extendedProperties={"private": {"a": "1", "b": "2"}}
    )
    change = {"location": None, "extendedProperties": {"private": {"b": None, "c": "3"}}}
    _, patched = await ann.call("PATCH", f"{EVENTS}/abc01", json=change)
    assert patched["extendedProperties"] == {"private": {"a": "1", "c": "3"}}
    assert "location" not in patched
    all_day = {"start": {"date": "2026-03-01"}, "end": {"date": "2026-03-02"}}
    status, body = await ann.call("PATCH", f"{EVENTS}/abc01", json=all_day)
    assert (status, reason(body)) == (400, "invalid")
    cleared = {name: {**place, "dateTime": None} for name, place in all_day.items()}
    assert (await ann.call("PATCH", f"{EVENTS}/abc01", json=cleared))[1]["start"] == {
        "date": "2026-03-01"
    }


async def test_the_sequence_counts_changes_of_the_schedule(ann: Caller) -> None:
    await ann.insert(id="abc01")
    _, renamed = await ann.call("PATCH", f"{EVENTS}/abc01", json={"summary": "Later"})
    _, moved = await ann.call(
        "PATCH", f"{EVENTS}/abc01", json={"end": {"dateTime": "2026-03-01T11:00:00Z"}}
    )
    assert (renamed["sequence"], moved["sequence"]) == (0, 1)


async def test_an_import_takes_its_id_from_its_uid(ann: Caller) -> None:
    path = f"{EVENTS}/import"
    assert (await ann.call("POST", path, json=event()))[0] == 400
    status, made = await ann.call("POST", path, json=event(iCalUID="040000008200E00074C5"))
    # The beginning of the id under which Google keeps an event of Outlook (odoo/odoo#18180).
    assert (status, made["id"]) == (200, "_60q30c1g60o30e1i60o4ac1g60rj8gpl")
    assert (await ann.call("POST", path, json=event(iCalUID="040000008200E00074C5")))[0] == 409
    assert (await ann.insert(iCalUID="1@example.com"))[1]["iCalUID"] == "1@example.com"


async def test_a_list_holds_every_constraint_and_refuses_an_empty_range(ann: Caller) -> None:
    await ann.insert(id="abc01", extendedProperties={"private": {"a": "1", "b": "2"}})
    both = [("privateExtendedProperty", "a=1"), ("privateExtendedProperty", "b=3")]
    assert (await ann.call("GET", EVENTS, params=both))[1]["items"] == []
    empty = {"timeMin": "2026-03-02T00:00:00Z", "timeMax": "2026-03-01T00:00:00Z"}
    status, body = await ann.call("GET", EVENTS, params=empty)
    assert (status, body["error"]["errors"][0]["domain"]) == (400, "calendar")
    await ann.call("DELETE", f"{EVENTS}/abc01")
    week = (datetime.now(UTC) - timedelta(days=7)).isoformat()
    assert len(await ann.list_events(updatedMin=week)) == 1
    status, body = await ann.call("GET", EVENTS, params={"updatedMin": "2020-01-01T00:00:00Z"})
    assert (status, body["error"]["errors"][0]["reason"]) == (410, "updatedMinTooLongAgo")


async def test_lists_that_google_refuses_are_refused(ann: Caller) -> None:
    for query in (
        {"orderBy": "startTime"},
        {"maxResults": "0"},
        {"maxResults": "many"},
        {"pageToken": "?"},
        {"timeMin": "2026-03-01"},
        {"syncToken": "any", "q": "x"},
        {"singleEvents": "yes"},
        {"orderBy": "summary"},
        {"showDeleted": ""},
        {"timeZone": "Mars"},
        {"eventTypes": "party"},
    ):
        assert (await ann.call("GET", EVENTS, params=query))[0] == 400, query


async def test_hostile_numbers_are_refused(ann: Caller) -> None:
    nines = "9" * 5000
    acl, entries = "/calendar/v3/calendars/primary/acl", "/calendar/v3/users/me/calendarList"
    for path in (EVENTS, acl, entries):
        for query in ({"maxResults": nines}, {"maxResults": "²"}, {"pageToken": f"p{nines}.1"}):
            assert (await ann.call("GET", path, params=query))[0] == 400, (path, query)
    assert (await ann.call("GET", acl, params={"pageToken": nines}))[0] == 400
    assert (await ann.call("GET", EVENTS, params={"syncToken": nines}))[0] == 410


@pytest.mark.parametrize(
    "body", [[], [1], "x", 7, {"user": ["ann"]}, {"user": ""}, {"expires_in": "soon"}]
)
async def test_tokens_for_tests_are_for_a_user(ann: Caller, body: object) -> None:
    status, answer = await ann.call("POST", "/sandbox/tokens", json=body)
    assert (status, reason(answer)) == (400, "badRequest")


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_a_body_is_read_before_anything_is_looked_up(ann: Caller, method: str) -> None:
    for path in (f"{EVENTS}/abc01", "/calendar/v3/calendars/x", "/calendar/v3/calendars/x/acl/y"):
        status, body = await ann.call(method, path, data=b"{")
        assert (status, reason(body)) == (400, "parseError"), path
        assert (await ann.call(method, path, data=b"{", headers={"Authorization": "x"}))[0] == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("acl", {"scope": {"type": ["user"]}, "role": "reader"}),
        ("acl", {"scope": {"type": "user", "value": 7}, "role": "reader"}),
        ("acl", {"scope": {"type": "default"}, "role": ["reader"]}),
        ("acl", {"scope": "user:bob@example.com", "role": "reader"}),
        ("events", {"summary": "x", "start": "2026-03-01", "end": "2026-03-02"}),
    ],
)
async def test_a_value_of_another_type_is_refused(ann: Caller, path: str, body: object) -> None:
    status, _ = await ann.call("POST", f"/calendar/v3/calendars/primary/{path}", json=body)
    assert status == 400


async def test_an_unknown_method_is_not_found(ann: Caller) -> None:
    status, body = await ann.call("DELETE", EVENTS)
    assert (status, reason(body)) == (404, "notFound")


async def test_hostile_sign_ins_are_refused(ann: Caller) -> None:
    code = (await consent(ann, code_challenge="c" * 43, code_challenge_method="plain"))["code"]
    assert (await exchange(ann, code, code_verifier="é" * 43))[0] == 400
    for claims in ({"aud": ["a"]}, {"iat": "now"}, {"exp": None}):
        form = {"grant_type": JWT_BEARER, "assertion": assertion(f"{ann.url}/token", **claims)}
        assert (await ann.call("POST", "/token", data=form))[0] == 400
    form = {"grant_type": JWT_BEARER, "assertion": "WzFd.WzFd.WzFd"}
    assert (await ann.call("POST", "/token", data=form))[0] == 400
    assert (await ann.call("POST", "/token", data={**CLIENT, "grant_type": "password"}))[0] == 400


@pytest.mark.parametrize(
    "address", ["", "javascript:alert(1)", "http://x/\r\nSet-Cookie: a=b", "http://["]
)
async def test_nobody_is_sent_to_an_address_that_is_none(ann: Caller, address: str) -> None:
    parameters = {
        "client_id": "client",
        "scope": "a",
        "response_type": "code",
        "redirect_uri": address,
    }
    assert (await ann.call("GET", "/o/oauth2/v2/auth", params=parameters))[0] == 400
    status, _ = await ann.call(
        "POST", "/o/oauth2/v2/auth", data={**parameters, "decision": "allow"}
    )
    assert status == 400


def test_a_seed_that_is_no_number_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="seed"):
        google.make_app(google.Options(faults="seed=x"))
