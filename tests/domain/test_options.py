"""Options: every key that a part reads is declared, and no other gets through."""

import ast
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import openbulk
from openbulk.api.bulk.metadata import UPLOAD_OPTIONS
from openbulk.api.wire.elements import PLATFORM_ENTRIES
from openbulk.connectors import providers
from openbulk.connectors.custom.export import OF_OAUTH
from openbulk.domain.errors import BadInput
from openbulk.domain.options import Option, check_values, option_text, with_known_spelling
from openbulk.domain.spelling import known_spelling, likely_name, suggestion
from openbulk.formats import FORMATS
from openbulk.notify.egress import allowed_address

PACKAGE = Path(openbulk.__file__).parent
PROVIDERS = providers(partial(allowed_address, allowed=()), None, has_memory=True)
NAMES = ("calendarId", "action", "nullValue")


# --- names as people write them ---


@given(st.sampled_from(NAMES), st.data())
def test_a_key_in_any_case_is_taken(name: str, data: st.DataObject) -> None:
    letters = [data.draw(st.sampled_from([one.lower(), one.upper()])) for one in name]
    assert with_known_spelling({"".join(letters): 1}, NAMES, "metaData") == {name: 1}


@given(st.sampled_from(NAMES), st.data())
def test_a_key_with_a_typo_is_refused_with_the_right_one(name: str, data: st.DataObject) -> None:
    """One letter missing, doubled, or in the place of its neighbor."""
    place = data.draw(st.integers(1, len(name) - 2))
    typo = data.draw(
        st.sampled_from(
            [
                name[:place] + name[place + 1 :],
                name[:place] + name[place] + name[place:],
                name[:place] + name[place + 1] + name[place] + name[place + 2 :],
            ]
        )
    )
    if typo == name:
        return
    with pytest.raises(BadInput, match=f"metaData takes no key '{typo}'; did you mean '{name}'"):
        with_known_spelling({typo: 1}, NAMES, "metaData")
    assert likely_name(typo, NAMES) == name


def test_a_key_like_none_is_refused_with_all_that_there_are() -> None:
    with pytest.raises(BadInput, match="'zzz'; it can be action, calendarId, nullValue"):
        with_known_spelling({"zzz": 1}, NAMES, "metaData")
    assert suggestion("x", []) == "there is none"
    assert (known_spelling("x", NAMES), likely_name("zzz", NAMES)) == (None, None)


def test_a_key_in_two_cases_is_refused() -> None:
    with pytest.raises(BadInput, match="metaData has the key 'action' twice"):
        with_known_spelling({"action": "create", "Action": "delete"}, NAMES, "metaData")


# --- values ---

SEND = Option("sendUpdates", "who gets mail", choices=("none", "all", "externalOnly"))


@pytest.mark.parametrize(
    ("value", "kept"),
    [("all", "all"), ("ALL", "all"), ("ExternalOnly", "externalOnly"), (None, None), ("", "")],
)
def test_a_choice_is_taken_in_any_case(value: object, kept: object) -> None:
    assert check_values({"sendUpdates": value, "other": 1}, [SEND]) == {
        "sendUpdates": kept,
        "other": 1,
    }


@pytest.mark.parametrize("value", ["alle", True, 1, ["all"], {"all": True}])
def test_a_value_that_is_no_choice_is_refused(value: object) -> None:
    with pytest.raises(BadInput, match=r"metaData\.sendUpdates .*"):
        check_values({"sendUpdates": value}, [SEND])


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (7, "7"), ("True", "True")]
)
def test_a_value_becomes_text_as_json_writes_it(value: object, text: str) -> None:
    assert option_text(value) == text


def test_any_json_is_a_value_where_an_option_says_so() -> None:
    payload = Option("callback-payload", "any JSON", is_text=False)
    given_values = {"callback-payload": {"run": [1, None]}}
    assert check_values(given_values, [payload]) == given_values


# --- declarations ---

DECLARED = {
    *(option.name for option in UPLOAD_OPTIONS),
    *(option.name for one in FORMATS.values() for option in one.options),
    *(option.name for one in PROVIDERS.values() for option in one.options),
}
SETTINGS = {
    *(setting.name for setting in PLATFORM_ENTRIES),
    *(entry.name for one in PROVIDERS.values() for entry in one.entries),
    *OF_OAUTH,  # of a custom connector
}


def reads_of(folder: Path, *owners: str) -> Iterator[tuple[str, str]]:
    """Each `owner.get("name")` and `owner["name"]` below a folder, with its file."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case (
                    ast.Call(
                        func=ast.Attribute(value=owner, attr="get"),
                        args=[ast.Constant(value=str() as name), *_],
                    )
                    | ast.Subscript(value=owner, slice=ast.Constant(value=str() as name))
                ):
                    if ast.unparse(owner).rpartition(".")[2] in owners:
                        yield path.name, name


def test_no_part_reads_an_option_that_is_not_declared() -> None:
    """A key that is not declared is refused, so it would never be read."""
    for part in ("formats", "connectors"):
        reads = set(reads_of(PACKAGE / part, "options"))
        assert len(reads) > 3
        assert {read for read in reads if read[1] not in DECLARED} == set()


def test_no_part_reads_an_entry_of_a_configuration_that_is_not_declared() -> None:
    reads = set(reads_of(PACKAGE, "configuration"))
    reads = {read for read in reads if read[0] != "transfer_specs.py"}  # of a targetConfiguration
    assert len(reads) > 10
    assert {read for read in reads if read[1] not in SETTINGS} == set()


@pytest.mark.parametrize("key", sorted(PROVIDERS))
def test_options_of_an_object_name_objects_that_the_service_has(key: str) -> None:
    source = "\n".join(path.read_text() for path in (PACKAGE / "connectors").rglob("*.py"))
    for option in PROVIDERS[key].options:
        assert option.help
        assert all(f'"{name}"' in source for name in option.objects)
