"""`metaData`: what a job does not read is refused, or named as without effect."""

from functools import partial
from typing import Any

import pytest

from openbulk.api.bulk.metadata import (
    UsedOptions,
    parse_metadata,
    parse_target,
    spell_upload_options,
    use_download_options,
    use_upload_options,
)
from openbulk.connectors import providers
from openbulk.connectors.targets import ResolvedObject
from openbulk.domain.errors import BadInput
from openbulk.domain.records import Action, Target
from openbulk.formats import FORMATS
from openbulk.notify.egress import allowed_address

PROVIDERS = providers(partial(allowed_address, allowed=()), None, has_memory=True)


def use(
    given: dict[str, Any],
    element: str = "googlecalendar",
    object: str = "events",
    file_format: str = "csv",
    **path: str,
) -> UsedOptions:
    options = spell_upload_options(given, PROVIDERS)
    resolved = ResolvedObject(object, path)
    return use_upload_options(options, PROVIDERS[element], FORMATS[file_format], resolved)


def test_every_key_that_is_read_is_taken() -> None:
    given = {
        "action": "upsert",
        "identifierFieldName": "ref",
        "format": "csv",
        "encoding": "utf-8",
        "delimiter": "comma",
        "calendarId": "second",
        "sendUpdates": "none",
        "timeZone": "Europe/Berlin",
        "callback-payload": {"any": ["json"]},
    }
    assert use(given) == UsedOptions(given)


def test_keys_that_differ_in_case_only_are_taken() -> None:
    used = use({"Action": "Upsert", "calendarID": "x", "SENDUPDATES": "ALL", "dateorder": "dmy"})
    assert used.values == {
        "action": "upsert",
        "calendarId": "x",
        "sendUpdates": "all",
        "dateOrder": "DMY",
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"acton": "upsert"}, "metaData takes no key 'acton'; did you mean 'action'?"),
        ({"calendar": "x"}, "did you mean 'calendarId'?"),
        ({"identifierField": "x"}, "did you mean 'identifierFieldName'?"),
        ({"dateOrdr": "DMY"}, "did you mean 'dateOrder'?"),
        ({"callbackPayload": 1}, "did you mean 'callback-payload'?"),
        ({"zzz": 1}, "metaData takes no key 'zzz'; it can be action, bulkUploadRecordSize, "),
        ({"firstRow": 2}, "metaData takes no key 'firstRow'"),
        ({"mappings": {}}, "metaData takes no key 'mappings'; did you mean 'mapping'?"),
        ({"fileNumber": 2}, "metaData takes no key 'fileNumber'"),
        ({"plan": "yes"}, "metaData.plan 'yes' is not known; it can be true, false"),
        ({"sendUpdates": True}, "metaData.sendUpdates 'true' is not known; it can be none, all"),
        ({"calendarId": ["a"]}, "metaData.calendarId '[\"a\"]' is not a text"),
        ({"path": "/calendar/x"}, "metaData.path '/calendar/x' names no calendar; it looks like"),
        ({"timeZone": "Mars/Base"}, "metaData.timeZone 'Mars/Base' is not the name of a time zone"),
        ({"action": "explode"}, "metaData.action 'explode' is not known; it can be create, update"),
    ],
)
def test_a_key_or_value_that_is_not_known_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as refused:
        use(given)
    assert says in refused.value.message


@pytest.mark.parametrize(
    ("given", "element", "object", "says"),
    [
        ({"calendarId": "x"}, "memory", "records", "metaData.calendarId has no effect for"),
        ({"updateRule": "always"}, "googlecalendar", "events", "the options of Google Calendar"),
        ({"sendNotifications": True}, "googlecalendar", "events", "calendarId, path, sendUpdates"),
        ({"sendUpdates": "all"}, "googlecalendar", "access-control-list", "sendNotifications"),
        ({"updateRule": "always"}, "eloqua", "campaign", "the options of Oracle Eloqua are: none"),
    ],
)
def test_an_option_of_another_service_or_object_is_refused(
    given: dict[str, Any], element: str, object: str, says: str
) -> None:
    with pytest.raises(BadInput) as refused:
        use(given, element, object)
    assert says in refused.value.message


def test_a_zone_that_a_database_does_not_know_is_refused() -> None:
    with pytest.raises(BadInput, match="'Mars/Base' is not a time zone"):
        use({"timeZone": "Mars/Base"}, "postgresql", "people")


def test_an_option_that_contradicts_the_path_is_refused() -> None:
    with pytest.raises(BadInput, match=r"the path says calendarId 'a', and metaData.calendarId"):
        use({"calendarId": "b"}, calendarId="a")
    assert use({"calendarId": "a"}, calendarId="a").values == {"calendarId": "a"}


@pytest.mark.parametrize(
    "key",
    [
        "bulkUploadRecordSize",
        "campaignId",
        "concurrency",
        "fileName",
        "listId",
        "path",
        "programName",
        "programStatus",
        "source",
    ],
)
def test_a_key_of_the_contract_is_taken_and_named(key: str) -> None:
    used = use({key: "x"}, "memory", "records")
    assert used == UsedOptions({key: "x"}, (f"metaData.{key}",))


def test_a_key_of_another_format_is_taken_and_named() -> None:
    assert use({"sheet": "Sheet1", "encoding": "utf-8"}).unused == ("metaData.sheet",)
    assert use({"delimiter": "comma"}, file_format="json").unused == ("metaData.delimiter",)


@pytest.mark.parametrize(
    ("given", "query", "column"),
    [
        ({}, {}, None),
        ({"identifierFieldName": "a"}, {}, "a"),
        ({"primaryKeyName": "a"}, {}, "a"),
        ({}, {"identifierFieldName": "a"}, "a"),
        ({"primaryKeyName": "a", "identifierFieldName": "a"}, {"identifierFieldName": "a"}, "a"),
        ({"primaryKeyName": "", "identifierFieldName": None}, {}, None),
    ],
)
def test_the_identifier_has_three_names(
    given: dict[str, Any], query: dict[str, str], column: str | None
) -> None:
    target = parse_target("events", use(given), query)
    assert (target.identifier_field, target.action) == (column, Action.CREATE)


def test_two_identifiers_are_refused() -> None:
    with pytest.raises(BadInput, match="two columns are to identify records, 'a' and 'b'"):
        parse_target("x", use({"identifierFieldName": "a", "primaryKeyName": "b"}), {})
    with pytest.raises(BadInput, match="'a' and 'b'"):
        parse_target("x", use({"identifierFieldName": "a"}), {"identifierFieldName": "b"})


def test_the_target_has_what_is_used_and_names_the_rest() -> None:
    target = parse_target("events", use({"Action": "DELETE", "source": "crm"}), {})
    options = {"action": "delete", "source": "crm"}
    assert target == Target(
        "events", Action.DELETE, None, options, unused_options=("metaData.source",)
    )


@pytest.mark.parametrize(
    "text", ['{"action": "create", "action": "delete"}', '{"a": {}, "b": 1, "a": {}}']
)
def test_a_key_that_is_there_twice_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"metaData has the key '(a|action)' twice"):
        parse_metadata(text)


def test_a_download_takes_its_own_keys_and_those_of_the_contract() -> None:
    used = use_download_options({"filename": "x", "Format": "csv", "showDeleted": True})
    assert used.values == {"fileName": "x", "format": "csv", "showDeleted": True}
    assert used.unused == ("metaData.format",)
