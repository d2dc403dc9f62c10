"""Records under the caller's names, and back: every field in its place, and none changed."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbulk.domain.field_paths import field_path_text, paired_paths, parse_field_path
from openbulk.domain.renamed_schemas import schema_from_service, schema_to_service
from openbulk.domain.renaming import PathTaken
from openbulk.domain.transformation import MappedField, Transformation, transformation_of


def transformation(
    pairs: dict[str, str], *, sends_others: bool = True, shows_others: bool = True
) -> Transformation:
    """The transformation of `{path: vendorPath}`."""
    fields = tuple(
        MappedField(*paired_paths(parse_field_path(path), parse_field_path(vendor)))
        for path, vendor in pairs.items()
    )
    return Transformation("own", "theirs", fields, sends_others, shows_others)


MEETING = transformation(
    {
        "title": "summary",
        "when.from": "start.dateTime",
        "guests[*].mail": "attendees[*].email",
        "room": "rooms[0].name",
    }
)
EVENT = {
    "id": "1",
    "summary": "Choir",
    "start": {"dateTime": "d", "timeZone": "z"},
    "attendees": [{"email": "a", "self": True}, {"self": False}, {"email": "c"}],
    "rooms": [{"name": "Hall"}, {"name": "Attic"}],
}


def test_a_record_gets_the_callers_names_and_other_fields_stay() -> None:
    before = copy.deepcopy(EVENT)
    assert MEETING.from_service().apply(EVENT) == {
        "id": "1",
        "title": "Choir",
        "when": {"from": "d"},
        "start": {"timeZone": "z"},
        "guests": [{"mail": "a"}, {}, {"mail": "c"}],
        "attendees": [{"self": True}, {"self": False}, {}],
        "room": "Hall",
        "rooms": [{}, {"name": "Attic"}],
    }
    assert before == EVENT, "a service may keep the record that it has returned"


def test_what_came_from_a_service_goes_back_to_it() -> None:
    shown = MEETING.from_service().apply(EVENT)
    assert MEETING.to_service().apply(shown) == EVENT


def test_other_fields_are_removed_for_each_direction() -> None:
    shown = transformation({"title": "summary"}, shows_others=False)
    assert shown.from_service().apply(EVENT) == {"title": "Choir"}
    assert shown.to_service().apply({"title": "x", "id": 1}) == {"summary": "x", "id": 1}
    sent = transformation({"title": "summary"}, sends_others=False)
    assert sent.to_service().apply({"title": "x", "id": 1}) == {"summary": "x"}
    assert sent.to_service(always=["id"]).apply({"title": "x", "id": 1}) == {
        "summary": "x",
        "id": 1,
    }


def test_names_may_change_places_and_may_hide_a_field_of_the_service() -> None:
    swapped = transformation({"a": "b", "b": "a"})
    assert swapped.from_service().apply({"a": 1, "b": 2, "c": 3}) == {"b": 1, "a": 2, "c": 3}
    assert swapped.to_service().apply({"b": 1, "a": 2}) == {"a": 1, "b": 2}
    hiding = transformation({"name": "title"})
    assert hiding.from_service().apply({"name": 1, "title": 2}) == {"name": 2}
    assert hiding.from_service().apply({"name": 1}) == {"name": 1}


def test_a_field_with_two_values_is_refused_on_its_way_in() -> None:
    for record in ({"title": "x", "summary": "y"}, {"title": "x", "summary": "y", "when": {}}):
        with pytest.raises(PathTaken):
            MEETING.to_service().apply(record)


def test_a_list_may_have_a_name_and_its_items_fields_with_names() -> None:
    """As in the vendor's own tests: `transformation-array.json`."""
    users = transformation({"users": "Users[*]", "users[*].name": "Users[*].DisplayName"})
    theirs = {"Users": [{"DisplayName": "a", "x": 1}, {"x": 2}]}
    ours = {"users": [{"name": "a", "x": 1}, {"x": 2}]}
    assert users.from_service().apply(theirs) == ours
    assert users.to_service().apply(ours) == theirs
    values = transformation({"flags[*]": "list.items[*].on"}, shows_others=False)
    shown = values.from_service().apply({"list": {"items": [{"on": 1}, {}, {"on": 3}]}})
    assert shown == {"flags": [1, None, 3]}


def test_names_are_found_in_both_directions() -> None:
    assert MEETING.vendor_path_of(("guests", 3, "mail")) == ("attendees", 3, "email")
    assert MEETING.vendor_path_of(("other", "x")) == ("other", "x")
    assert list(MEETING.vendor_names_of("when")) == ["start.dateTime"]
    assert list(MEETING.vendor_names_of("guests")) == ["attendees"]
    assert list(MEETING.vendor_names_of("start.timeZone")) == ["start.timeZone"]
    assert list(MEETING.vendor_names_of("summary")) == []
    for vendor, own in (
        ("summary", "title"),
        ("start", "when"),
        ("attendees[2].email", "guests[2].mail"),
        ("location", "location"),
    ):
        assert MEETING.name_of(vendor) == own


def test_schemas_have_the_callers_names() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "readOnly": True},
            "summary": {"type": "string", "title": "Subject"},
            "start": {
                "type": "object",
                "properties": {
                    "dateTime": {"type": "string", "format": "date-time"},
                    "timeZone": {"type": "string"},
                },
            },
        },
        "required": ["summary"],
    }
    own = transformation({"title": "summary", "when.from": "start.dateTime", "gone": "removed"})
    shown = schema_from_service(own, schema)
    assert list(shown["properties"]) == ["title", "when", "id", "start"]
    assert shown["properties"]["when"]["properties"] == {
        "from": {"type": "string", "format": "date-time"}
    }
    assert shown["properties"]["start"]["properties"].keys() == {"timeZone"}
    assert shown["required"] == ["title"]
    sent = schema_to_service(own, schema)
    # The service's own names are taken, too; the title of a field belongs to its new name.
    assert list(sent["properties"]) == ["title", "when", "id", "summary", "start"]
    assert sent["properties"]["title"]["title"] == "Subject"
    assert "title" not in sent["properties"]["summary"]
    assert schema_to_service(own, {"type": "object"})["properties"].keys() == {
        "title",
        "when",
        "gone",
    }


@pytest.mark.parametrize(
    "text",
    ["", ".", "a..b", " a", "a .b", "a[", "[0]", "a[x]", "a[100]", "a[?(@.b==1)]", "x" * 501],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"path|longer"):
        parse_field_path(text)
    with pytest.raises(ValueError, match="steps"):
        parse_field_path(".".join("a" * 33))


def test_a_path_is_written_as_it_was_read() -> None:
    for text in ("a", "a.b", "a[*].b", "a[3].b[*].c", "a b.c"):
        assert field_path_text(parse_field_path(text)) == text
    assert field_path_text(parse_field_path("a[*]")) == "a[*]"


NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
VALUES = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(
    pairs=st.dictionaries(st.sampled_from(["v", "w.x", "w.y", "z"]), NAMES, max_size=4).filter(
        lambda pairs: len(set(pairs.values())) == len(pairs)
    ),
    record=st.dictionaries(NAMES, VALUES, max_size=5),
)
def test_any_record_comes_back_as_it_was(pairs: dict[str, str], record: dict[str, Any]) -> None:
    own = transformation(pairs)
    kept = copy.deepcopy(record)
    shown = own.from_service().apply(record)
    assert own.to_service().apply(shown) == kept == record
    assert transformation_of(own.as_json()) == own
