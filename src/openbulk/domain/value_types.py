"""What the text of a cell looks like: a date, a number, an e-mail address, and so on."""

import re
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from openbulk.domain.dates import REMEMBERED, read_date
from openbulk.domain.file_profile import ValueType
from openbulk.domain.month_names import MONTHS, WEEKDAYS, fold
from openbulk.domain.times_of_day import parse_time
from openbulk.domain.yes_no import YES_NO

MAX_CHARACTERS = 200
"""A longer text is looked at as far as this."""
_DATE_CHARACTERS = 60
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
SEPARATOR = "\0"
"""Stands between texts that are looked at together."""
OPEN = "?"
"""The detail of what may be two: `05/06/2026`, `1.234`."""
_BLANKS = "'\u2019 \u00a0\u202f"
"""Between thousands, as Switzerland and France write them."""
_NUMBERS = tuple(
    (re.compile(pattern), sign)
    for pattern, sign in (
        (r"[+-]?0+", None),
        # One mark, and three digits behind it: 1.234 is two numbers.
        (r"[+-]?0{1,3}[.,]000", OPEN),
        (r"[+-]?0*\.0+", "."),
        (r"[+-]?0*,0+", ","),
        (r"[+-]?0{1,3}(?:,000){2,}", "."),
        (r"[+-]?0{1,3}(?:\.000){2,}", ","),
        (rf"[+-]?0{{1,3}}(?:[,{_BLANKS}]000)+\.0+", "."),
        (rf"[+-]?0{{1,3}}(?:[.{_BLANKS}]000)+,0+", ","),
        (rf"[+-]?0{{1,3}}(?:[{_BLANKS}]000)+", None),
        (r"[+-]?0+(?:\.0+)?[eE][+-]?0{1,3}", "."),
    )
)
_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>.]+(?:\.[^@\s,;<>.]+)+")
_URL = re.compile(r"(?:(?:https?|ftps?)://|www\.)[^\s/?#]+\S*", re.IGNORECASE)
_PHONE = re.compile(r"(?:\+|\(\+?|00 )?0[0 ()./-]{5,24}0(?: ?(?:x|ext\.?) ?0{1,6})?")
_PHONE_MARKS = frozenset("+()/- ")
_MIN_PHONE_DIGITS, _MAX_PHONE_DIGITS = 7, 15
_JSON_LIST = re.compile(r"\[.*\]", re.DOTALL)
_WORD_LIST = re.compile(r"[^\s,;|]+(?:, ?[^\s,;|]+){2,}")
_MARKED_LIST = re.compile(r"[^;|\n]*[^\s;|](?: ?[;|] ?[^;|\n]*[^\s;|])+;?")
_LETTERS = re.compile(r"[^\W\d_]+")
_DATE_MARKS = frozenset("0:./- ,")
_TIME_WORDS = (
    "t z utc gmt am pm a p m h u uhr hr hrs min um at kl klo de del of st nd rd th er o",
    "年 月 日 년 월 일 時 时 시 分 분 秒 초 上午 下午 午前 午後 오전 오후 \u0433",
)
_WORDS_OF_TIMES = frozenset(" ".join(_TIME_WORDS).split())
_MAX_DATE_WORDS = 8


class Look(NamedTuple):
    """What a text looks like."""

    type: ValueType
    detail: str | None = None
    """Of a date its order, of a number its decimal sign; `?` if it may be two."""
    is_local: bool = False
    """Whether it is a moment without an offset."""


_TEXT, _EMAIL_LOOK, _URL_LOOK = Look("text"), Look("email"), Look("url")
_PHONE_LOOK, _LIST_LOOK, _YES_NO_LOOK = Look("phone"), Look("list"), Look("yesNo")
_TIME_LOOK = Look("time")
_NUMBER_LOOKS = {sign: Look("number", sign) for sign in (None, ".", ",", OPEN)}


def shapes_of(texts: list[str]) -> list[str]:
    """The texts with zeros in place of their digits: many texts have few shapes."""
    joined = SEPARATOR.join(texts).encode(errors="surrogatepass")
    shapes = joined.translate(_DIGITS_AS_ZEROS).decode(errors="surrogatepass").split(SEPARATOR)
    return shapes if len(shapes) == len(texts) else [*map(shape_of, texts)]


def shape_of(text: str) -> str:
    return (
        text.encode(errors="surrogatepass")
        .translate(_DIGITS_AS_ZEROS)
        .decode(errors="surrogatepass")
    )


def may_be_temporal(shape: str) -> bool:
    """Whether texts of a shape may be dates or times: only each text itself shows it."""
    if len(shape) > _DATE_CHARACTERS or not _has_digit(shape) or _is_plain_number(shape):
        return False
    if _DATE_MARKS.issuperset(shape):
        return True
    words = _LETTERS.findall(shape)
    return 0 < len(words) <= _MAX_DATE_WORDS and all(map(_is_of_dates, words))


def _is_plain_number(shape: str) -> bool:
    """Whether it may be a number: 8.15 is one, although it may be a time."""
    return shape.strip().replace(".", "", 1).replace(",", "", 1).isdecimal()


def _has_digit(shape: str) -> bool:
    return "0" in shape or (not shape.isascii() and any(map(str.isdecimal, shape)))


@lru_cache(maxsize=REMEMBERED)
def _is_of_dates(word: str) -> bool:
    folded = fold(word)
    return word.lower() in _WORDS_OF_TIMES or folded in MONTHS or folded in WEEKDAYS


def look_of_shape(shape: str) -> Look:
    """What texts of a shape look like that are neither dates nor times."""
    text = shape.strip()
    if "@" in text and _EMAIL.fullmatch(text):
        return _EMAIL_LOOK
    first = text[:1]
    if first in "0+-(.,":
        look = _look_of_digits(text)
        if look is not None:
            return look
    if first in "hHwWfF" and _URL.fullmatch(text):
        return _URL_LOOK
    if len(text) <= 9 and text.lower() in YES_NO:
        return _YES_NO_LOOK
    return _LIST_LOOK if _is_list(text) else _TEXT


def _look_of_digits(text: str) -> Look | None:
    for pattern, sign in _NUMBERS:
        if pattern.fullmatch(text):
            return _NUMBER_LOOKS[sign]
    digits = text.count("0")
    is_marked = not _PHONE_MARKS.isdisjoint(text)
    if is_marked and _MIN_PHONE_DIGITS <= digits <= _MAX_PHONE_DIGITS and _PHONE.fullmatch(text):
        return _PHONE_LOOK
    return None


def _is_list(text: str) -> bool:
    if ";" in text or "|" in text:
        return bool(_MARKED_LIST.fullmatch(text))
    if text.startswith("["):
        return bool(_JSON_LIST.fullmatch(text))
    return "," in text and bool(_WORD_LIST.fullmatch(text))


def temporal_look(text: str) -> Look | None:
    """What a text looks like if it is a date or a time; None if it is neither."""
    if text[4:5] == "-" == text[7:8]:
        look = _look_of_iso(text)
        if look is not None:
            return look
    return _look_of_written(text)


@lru_cache(maxsize=REMEMBERED)
def _look_of_written(text: str) -> Look | None:
    day, _, time = text.partition(" ")
    if time[:1].isdecimal() and ":" in time:
        found = _day_look(day)
        with suppress(ValueError):
            _check_time(time)
            return found and Look("datetime", found.detail, is_local=True)
    return _temporal_look(text)


def _look_of_iso(text: str) -> Look | None:
    """Of a text in ISO 8601; None for any other."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == _ISO_DAY:
        return _ISO_DAY_LOOK
    return _ISO_LOCAL_LOOK if found.tzinfo is None else _ISO_LOOK


_ISO_DAY = len("2026-05-30")
_ISO_DAY_LOOK = Look("date", "YMD")
_ISO_LOOK, _ISO_LOCAL_LOOK = Look("datetime", "YMD"), Look("datetime", "YMD", is_local=True)


@lru_cache(maxsize=REMEMBERED)
def _day_look(text: str) -> Look | None:
    look = _temporal_look(text)
    return look if look is not None and look.type == "date" else None


@lru_cache(maxsize=REMEMBERED)
def _check_time(text: str) -> None:
    """Raise ValueError for a text that is no time."""
    parse_time(text)


def _temporal_look(text: str) -> Look | None:
    found = read_date(text)
    if found is not None and found.orders and found.readings():
        order = OPEN if found.is_open and found.mark != "." else found.orders[0]
        if found.time is None:
            return Look("date", order)
        return Look("datetime", order, is_local=not found.offset)
    with suppress(ValueError):
        parse_time(text)
        return _TIME_LOOK
    return None


def look_of(text: str) -> Look:
    """What a text looks like."""
    text = text[:MAX_CHARACTERS]
    shape = shape_of(text)
    found = temporal_look(text) if may_be_temporal(shape) else None
    return found or look_of_shape(shape)
