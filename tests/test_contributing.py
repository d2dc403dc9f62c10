"""CONTRIBUTING.md, held against the code: its lists name every step, its tree every folder."""

import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from openbulk.connectors import base, providers
from openbulk.formats import FORMATS, MEDIA_TYPES
from openbulk.formats.base import Format

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "openbulk"
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
CONNECTORS = sorted(path.parent.name for path in (PACKAGE / "connectors").glob("*/__init__.py"))


def section(title: str) -> str:
    """The text of a section of the page, up to the next one."""
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def words(text: str) -> set[str]:
    """Everything that a text names in backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def members(protocol: Any) -> set[str]:
    """The attributes and methods that a protocol asks for."""
    asked_for = {*vars(protocol), *inspect.get_annotations(protocol)}
    return {name for name in asked_for if not name.startswith("_")}


@pytest.mark.parametrize("protocol", [base.Provider, base.Connector, base.NativeBulk, base.OAuth])
def test_the_list_for_connectors_names_every_member_of_the_protocol(protocol: Any) -> None:
    named = words(section("Add a connector"))
    assert protocol.__name__ in named
    assert members(protocol) - named == set()


def test_the_list_for_connectors_names_what_a_connector_is_made_with() -> None:
    (parameter,) = [
        name for name in inspect.signature(base.Provider.connect).parameters if name != "self"
    ]
    annotation = inspect.get_annotations(base.Provider.connect)[parameter]
    name = annotation if isinstance(annotation, str) else annotation.__name__
    assert name in words(section("Add a connector"))


def test_the_list_for_formats_names_every_member_of_the_protocol() -> None:
    assert {"Format", *members(Format)} - words(section("Add a format")) == set()


def test_every_place_that_the_page_names_exists() -> None:
    places = {word for word in words(PAGE) if "/" in word and not word.startswith(("http", "/"))}
    assert len(places) > 20
    assert [place for place in sorted(places) if not (ROOT / place).exists()] == []


def test_the_words_of_the_list_for_connectors_are_those_of_the_code() -> None:
    """A name with a capital letter is a class somewhere in the package."""
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    text = section("Add a connector") + section("Add a format")
    classes = {word for word in words(text) if re.fullmatch(r"[A-Z][a-z]\w+", word)} - {"None"}
    assert [name for name in sorted(classes) if not re.search(rf"\bclass {name}\b", source)] == []


def test_a_connector_stands_in_every_place_that_the_list_names() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    independent, no_sql = (
        contract
        for contract in contracts["contracts"]
        if contract["name"] in re.sub(r"\s+", " ", section("Add a connector"))
    )
    reference = (ROOT / "docs" / "reference" / "connectors.md").read_text()
    tests = "\n".join(path.read_text() for path in (ROOT / "tests" / "connectors").glob("*.py"))
    known = providers(lambda *_: None, None, has_memory=True)  # type: ignore[arg-type]
    registered = {type(provider).__module__.split(".")[2] for provider in known.values()}
    others = {name for name in CONNECTORS if f"src/openbulk/connectors/{name}/" in words(PAGE)}
    assert registered | others == set(CONNECTORS)
    for name in CONNECTORS:
        module = f"openbulk.connectors.{name}"
        assert module in independent["modules"], name
        assert name == "sql" or module in no_sql["source_modules"], name
        assert module in tests, name
    for key in known:
        assert f"| `{key}` |" in reference, key


def test_a_format_stands_in_every_place_that_the_list_names() -> None:
    reference = (ROOT / "docs" / "reference" / "formats.md").read_text()
    tests = "\n".join(path.read_text() for path in (ROOT / "tests" / "formats").glob("*.py"))
    for name, made in FORMATS.items():
        assert f"| `{name}` | `{MEDIA_TYPES[name]}` |" in reference, name
        assert f"\n## {name}" in reference or f" and {name}\n" in reference, name
        assert re.search(rf'\b{type(made).__name__}\b|"{name}"', tests), name


def tree() -> set[str]:
    """The folders and files of the tree in the page, as paths below the package."""
    (block,) = re.findall(r"```\nsrc/openbulk/\n(.*?)```", PAGE, re.DOTALL)
    named: set[str] = set()
    parent = ""
    for line in block.splitlines():
        entry = line.split()[0]
        if not line.startswith("    "):
            parent = entry
        named.add(entry if not line.startswith("    ") else parent + entry)
    return named


def test_the_tree_has_every_room_that_exists_and_no_other() -> None:
    """A room is a package of openbulk, of the engine or of the API."""
    patterns = ("*/__init__.py", "engine/*/__init__.py", "api/*/__init__.py")
    packages = {
        f"{path.parent.relative_to(PACKAGE)}/" for one in patterns for path in PACKAGE.glob(one)
    }
    assert {name for name in tree() if name.endswith("/")} == packages


def test_the_files_in_the_tree_exist() -> None:
    assert [name for name in tree() if name.endswith(".py") and not (PACKAGE / name).exists()] == []
