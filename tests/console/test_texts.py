"""What people read: every text in every language, numbers and times as they write them."""

from collections.abc import Iterator
from importlib.resources import files

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from openbulk.console.texts import LANGUAGES, choose_language, texts_of

CONSOLE = files("openbulk.console")
NOON = 1_796_126_400_000
"""1 December 2026, 12:00 UTC."""


def ids() -> Iterator[str]:
    """The English texts of templates and pages."""
    methods = [("**.py", "python"), ("templates/**.html", "jinja2.ext.babel_extract")]
    options = {"templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true"}}
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2)}
    for _, _, text, _, _ in extract_from_dir(str(CONSOLE), methods, options, keywords):
        yield text if isinstance(text, str) else text[0]


@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {"en"}))
def test_every_text_is_translated_and_no_other(language: str) -> None:
    with (CONSOLE / "locales" / f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    one = {m.id if isinstance(m.id, str) else m.id[0]: m.string for m in catalogue if m.id}
    assert one.keys() == set(ids())
    assert [text for text, translated in one.items() if not translated] == []


def test_times_are_those_of_the_reader() -> None:
    assert texts_of("en", "Europe/Berlin").moment(NOON) == "1 Dec 2026, 13:00"
    assert texts_of("de", "Europe/Berlin").moment(NOON) == "1 Dez. 2026, 13:00"
    assert texts_of("en", "No/Where").moment(NOON) == "1 Dec 2026, 12:00"
    assert texts_of("en", "../../etc/passwd").moment(NOON) == "1 Dec 2026, 12:00"


def test_numbers_are_those_of_the_language() -> None:
    assert texts_of("en", "UTC").number(1_234_567) == "1,234,567"
    assert texts_of("de", "UTC").number(1_234_567) == "1.234.567"
    assert texts_of("de", "UTC").size(1_400_000) == "1,4 MB"


@pytest.mark.parametrize(
    ("wanted", "accepted", "chosen"),
    [("de", ["en"], "de"), (None, ["fr", "de-AT"], "de"), (None, ["fr"], "en"), ("xx", [], "en")],
)
def test_the_language_is_the_chosen_one_or_that_of_the_browser(
    wanted: str | None, accepted: list[str], chosen: str
) -> None:
    assert choose_language(wanted, accepted) == chosen
