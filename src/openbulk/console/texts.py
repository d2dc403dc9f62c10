"""Words, numbers and times as the person reads them.

English texts are in the templates; `locales/` has a catalogue for each other language.
"""

import datetime
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from gettext import NullTranslations
from importlib.resources import files
from io import BytesIO
from zoneinfo import ZoneInfo

from babel.core import negotiate_locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import Translations

LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}
"""Each language by its code, and its own name for itself."""
DEFAULT = "en"
_LOCALES = {"en": "en_GB", "de": "de_DE"}
_UTC = "UTC"
MAX_READERS = 200
"""Languages and time zones whose texts are kept: a browser may name any zone."""


class Texts:
    """The texts of one language, and the way that one person reads times."""

    def __init__(self, language: str, zone: str) -> None:
        self.language = language
        self.zone = zone
        self._locale = _LOCALES[language]
        self._translations = _translations(language)
        self._zone = ZoneInfo(zone)

    def gettext(self, text: str) -> str:
        """A text in this language."""
        return self._translations.gettext(text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """A text with a number in it."""
        return self._translations.ngettext(one, many, count)

    def number(self, value: float) -> str:
        """`1,234,567`, or `1.234.567`."""
        return format_decimal(value, locale=self._locale)

    def moment(self, milliseconds: float | None) -> str:
        """A moment of the API, in the person's time zone; "" if there is none."""
        if not milliseconds:
            return ""
        when = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
        return format_datetime(when, "d MMM y, HH:mm", tzinfo=self._zone, locale=self._locale)

    def day(self, day: datetime.date) -> str:
        """`1 Dec 2026`."""
        return format_date(day, "d MMM y", locale=self._locale)

    def weekday(self, day: datetime.date) -> str:
        """`Tuesday, 1 Dec`."""
        return format_date(day, "EEEE, d MMM", locale=self._locale)

    def duration(self, seconds: float) -> str:
        """`3 minutes`."""
        return format_timedelta(
            datetime.timedelta(seconds=max(1, round(seconds))), locale=self._locale, threshold=1.2
        )

    def size(self, size: float) -> str:
        """`1.4 MB`."""
        for unit in ("B", "kB", "MB"):
            if size < 1000:
                return f"{format_decimal(round(size, 1), locale=self._locale)} {unit}"
            size /= 1000
        return f"{format_decimal(round(size, 1), locale=self._locale)} GB"


@lru_cache(MAX_READERS)
def texts_of(language: str, zone: str) -> Texts:
    """The texts for a language and a time zone; those of UTC for a zone that nobody knows."""
    try:
        return Texts(language, zone)
    except (KeyError, OSError, ValueError):  # no zone has this name
        return Texts(language, _UTC)


def choose_language(wanted: str | None, accepted: Sequence[str]) -> str:
    """The language that a person has chosen, else the first that the browser asks for."""
    if wanted in LANGUAGES:
        return str(wanted)
    return negotiate_locale([one.replace("-", "_") for one in accepted], LANGUAGES) or DEFAULT


@cache
def _translations(language: str) -> NullTranslations:
    if language == DEFAULT:
        return NullTranslations()
    catalogue = files("openbulk.console") / "locales" / f"{language}.po"
    compiled = BytesIO()
    with catalogue.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Translations(compiled)
