"""What a number in a cell means, by the format that it is shown in (ECMA-376, part 1, 18.8.30-31).

A format says whether a number is a date, a time, both, or a duration; whether it shows zeros in
front that are part of a code (`00742`); else the number is a number.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from math import isfinite, nan

from openbulk.exact_json import parse_float, parse_integer

Number = int | float | Decimal
Reader = Callable[[str], Number | str]
"""Reads the text of a number, as a cell holds it. Raises ValueError: what the cell holds."""

BUILT_IN: Mapping[int, str] = {
    14: "m/d/yyyy",
    15: "d-mmm-yy",
    16: "d-mmm",
    17: "mmm-yy",
    18: "h:mm AM/PM",
    19: "h:mm:ss AM/PM",
    20: "h:mm",
    21: "h:mm:ss",
    22: "m/d/yyyy h:mm",
    **dict.fromkeys((27, 28, 29, 30, 31, 36, *range(50, 55), 57, 58), "yyyy/m/d"),
    **dict.fromkeys((32, 33), "h:mm:ss"),
    45: "mm:ss",
    46: "[h]:mm:ss",
    47: "mm:ss.0",
}
"""Formats that a workbook names by number (18.8.30), as far as they make a difference here.

34, 35, 55 and 56 are dates in some languages and times in others.
"""
DATE_OR_TIME = frozenset({34, 35, 55, 56})
_DAY_MS = 86_400_000
_LAST_DAY = 2_958_465
"""The 31st of December 9999."""
_LEAP_DAY = 60
"""The 29th of February 1900, which Excel has and the calendar lacks. Days before it are one off."""
SINCE_1900, SINCE_1904 = 0, 1_462
"""Where a workbook begins to count days (18.2.28, `date1904`)."""
_FLOAT_DIGITS = 17
"""The digits that tell any two double-precision numbers apart (IEEE 754). Excel writes no more."""
_REMEMBERED = 4_096
MAX_CODE_CHARACTERS = 1_000
"""Of a format. Excel takes 255."""
_WHOLE = re.compile(r"-?\d+", re.ASCII)


def read_number(text: str) -> Number:
    """The number itself. Raises ValueError."""
    if _WHOLE.fullmatch(text):
        return parse_integer(text)
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise ValueError(f"holds {text!r}, which is not a number")
    if len(text) > _FLOAT_DIGITS and _digit_count(text) > _FLOAT_DIGITS:
        return parse_float(text)
    if number.is_integer() and abs(number) < 2**63:
        return int(number)
    return number


def _digit_count(text: str) -> int:
    """The digits of a number, without zeros in front and without its exponent."""
    return len(text.upper().partition("E")[0].replace(".", "").lstrip("-+0"))


# --- dates and times ---
# A column repeats its days and its times.


def _milliseconds(text: str) -> int:
    """Dates are days, times are fractions of one. Excel stores them with noise below that."""
    serial = read_number(text)
    if not 0 <= serial <= _LAST_DAY + 1:
        raise ValueError(f"holds {text}, which Excel cannot show as a date or time")
    return round(serial * _DAY_MS)


def _show_date(days: int, text: str, first_day: int) -> str:
    days += first_day
    if not 0 < days <= _LAST_DAY or days == _LEAP_DAY:
        raise ValueError(f"holds {text}, which is not a day of the calendar; correct its date")
    is_one_off = days < _LEAP_DAY
    return (date(1899, 12, 30) + timedelta(days + is_one_off)).isoformat()


def _show_time(milliseconds: int) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    seconds, fraction = divmod(rest, 1_000)
    whole = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    return whole + f".{fraction:03}" * bool(fraction)


@lru_cache(_REMEMBERED)
def _read_date(text: str, first_day: int) -> str:
    return _show_date(_milliseconds(text) // _DAY_MS, text, first_day)


@lru_cache(_REMEMBERED)
def _read_moment(text: str, first_day: int) -> str:
    days, rest = divmod(_milliseconds(text), _DAY_MS)
    return f"{_show_date(days, text, first_day)}T{_show_time(rest)}"


@lru_cache(_REMEMBERED)
def _read_time(text: str) -> str:
    """The time of a day. 1 is 24:00, the end of its day (ISO 8601)."""
    milliseconds = _milliseconds(text)
    return _show_time(milliseconds if milliseconds == _DAY_MS else milliseconds % _DAY_MS)


def _read_duration(text: str) -> str:
    """Hours, minutes and seconds; hours may be more than 24."""
    return _show_time(_milliseconds(text))


def _read_date_or_time(text: str, first_day: int) -> str:
    if _milliseconds(text) <= _DAY_MS:
        return _read_time(text)
    return _read_date(text, first_day)


# --- formats ---

_SECTION_TOKEN = re.compile(r'"[^"]*"?|\\.|\[[^\]]*\]|.', re.DOTALL)
_LITERAL = re.compile(r'"[^"]*"?|\\.|[_*].|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.DOTALL | re.IGNORECASE)
_HALF_DAY = re.compile(r"am/pm|a/p")
_ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]")
_TIME_FIELDS = re.compile(r"[hs]|\[m+\]")
_DATE_FIELDS = re.compile(r"[yd]|mmm")


def make_reader(code: str, first_day: int = SINCE_1900) -> Reader:
    """A reader for the cells with this format; `first_day` is SINCE_1900 or SINCE_1904."""
    if len(code) > MAX_CODE_CHARACTERS:
        return _refuse_format
    sections = _split(code)
    shown = _LITERAL.sub("", sections[0]).lower()
    if "general" in shown:
        return read_number
    fields = _HALF_DAY.sub("h", shown)
    has_time = _TIME_FIELDS.search(fields) is not None
    # `m` is a month, or beside hours and seconds a minute.
    has_date = _DATE_FIELDS.search(fields) is not None or ("m" in fields and not has_time)
    if has_date and has_time:
        return partial(_read_moment, first_day=first_day)
    if has_date:
        return partial(_read_date, first_day=first_day)
    if _ELAPSED.search(fields):
        return _read_duration
    if has_time:
        return _read_time
    return _code_reader(sections)


def _refuse_format(text: str) -> Number | str:
    raise ValueError(
        f"holds {text[:_FLOAT_DIGITS]}, whose number format is longer than "
        f"{MAX_CODE_CHARACTERS:,} characters; choose another format for it"
    )


def _split(code: str) -> Sequence[str]:
    """The sections of a format: for all numbers, or for positive and negative ones, and zero."""
    sections = [""]
    for piece in _SECTION_TOKEN.findall(code):
        if piece == ";":
            sections.append("")
        else:
            sections[-1] += piece
    return sections


def make_built_in_reader(number: int, first_day: int = SINCE_1900) -> Reader:
    """A reader for the cells whose format has a number of Excel's own."""
    if number in DATE_OR_TIME:
        return partial(_read_date_or_time, first_day=first_day)
    return make_reader(BUILT_IN.get(number, "General"), first_day)


def shows_days(reader: Reader) -> bool:
    """Whether a reader is one for dates without a time."""
    return isinstance(reader, partial) and reader.func is _read_date


# --- codes: numbers with zeros in front ---

_CODE_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|_.|\*.|\[(?P<bracket>[^\]]*)\]|(?P<plain>.)', re.DOTALL
)
_CONDITION = re.compile(r"(?P<operator><=|>=|<>|<|>|=)(?P<number>-?\d+(?:\.\d+)?)", re.ASCII)
_OPERATORS: Mapping[str, Callable[[Number, Number], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<>": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_PLAIN_LITERALS = frozenset("-+()/: \u00a0\u202f")
_DIGIT, _ZERO = "\x00", "\x01"
"""Stand for `#` and `0` among the literal characters of a section."""
_PLACEHOLDERS: Mapping[str, str] = {"#": _DIGIT, "0": _ZERO}
_WITHOUT_DIGIT: Mapping[str, str] = {_DIGIT: "", _ZERO: "0"}
"""What a placeholder shows that has no digit of the number."""


@dataclass(frozen=True, slots=True)
class _Section:
    """One of the formats in a format: for some numbers, by condition or by sign."""

    characters: Sequence[str]
    """Literal characters and placeholders; none if it shows more than a code."""
    condition: tuple[str, Decimal] | None

    @property
    def is_code(self) -> bool:
        """Whether it shows at least two digits, also of 7."""
        return self.characters.count(_ZERO) > 1

    def holds(self, number: int) -> bool:
        """Whether it is for this number, as far as it says so."""
        if self.condition is None:
            return True
        name, limit = self.condition
        return _OPERATORS[name](number, limit)

    def show(self, number: int) -> str:
        """A number that is not negative, as the section shows it."""
        places = [place for place, one in enumerate(self.characters) if one in _WITHOUT_DIGIT]
        digits = str(number).lstrip("0").rjust(len(places))
        beyond = len(digits) - len(places)
        shown = list(self.characters)
        for place, digit in zip(places, digits[beyond:], strict=True):
            shown[place] = digit.strip() or _WITHOUT_DIGIT[shown[place]]
        shown.insert(places[0], digits[:beyond])
        return "".join(shown)


def _code_reader(sections: Sequence[str]) -> Reader:
    parsed = [_parse_section(section) for section in sections[:3]]
    if any(section.is_code for section in parsed):
        return partial(_read_code, sections=parsed)
    return read_number


def _parse_section(text: str) -> _Section:
    characters: list[str] = []
    condition = None
    for token in _CODE_TOKEN.finditer(text):
        plain = token["plain"]
        if token["bracket"] is not None:
            found = _CONDITION.fullmatch(token["bracket"])
            condition = (found["operator"], Decimal(found["number"])) if found else condition
        elif plain is None:
            characters += token["quoted"] or token["escaped"] or ""
        elif plain in _PLACEHOLDERS or plain in _PLAIN_LITERALS:
            characters.append(_PLACEHOLDERS.get(plain, plain))
        else:
            return _Section((), condition)
    return _Section(characters, condition)


def _read_code(text: str, sections: Sequence[_Section]) -> Number | str:
    """The number as it is shown, if that is a code of its digits."""
    number = read_number(text)
    if not isinstance(number, int):
        return number
    section, sign = _choose_section(number, sections)
    if not section.is_code:
        return number
    return f"{sign}{section.show(abs(number))}"


def _choose_section(number: int, sections: Sequence[_Section]) -> tuple[_Section, str]:
    """The section for a number, and the sign that it does not show itself."""
    sign = "-" * (number < 0)
    if any(section.condition for section in sections):
        return next((one for one in sections if one.holds(number)), sections[-1]), sign
    if number < 0 and len(sections) > 1:
        return sections[1], ""
    if number == 0 and len(sections) > 2:
        return sections[2], ""
    return sections[0], sign
