"""Times of day as people write them: `10:00 AM`, `8.15`, `8:15 Uhr`, `19h30`, `7:30 p. m.`."""

import re
import unicodedata
from contextlib import suppress
from datetime import timedelta

_HALF_DAY = r"[ap]\.? ?m\b\.?|上午|下午|午前|午後|오전|오후|π\.?μ\.?|μ\.?μ\.?"
_AFTERNOON = ("p", "下", "午後", "오후", "μ")
_TIME = re.compile(
    rf"(?:(?:um|at|kl\.?|klo|à|às|alle|om) )?(?P<before>{_HALF_DAY})? ?(?P<hour>[0-9]{{1,2}})"
    r"(?: ?[:.hu] ?(?P<minute>[0-9]{2})"
    r"(?: ?[:.m] ?(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,6}))?)?)?"
    rf"(?: ?(?:uhr|hrs?|h|u|min|m))?\.? ?(?P<after>{_HALF_DAY})?",
    re.IGNORECASE,
)
_PART_OF_DAY = re.compile(r"0\.[0-9]+")
_CJK_UNITS = str.maketrans(
    {"年": "-", "月": "-", "日": "", "년": "-", "월": "-", "일": ""}
    | dict.fromkeys("時时시分분", ":")
    | dict.fromkeys("秒초", "")
)
"""The units of Chinese, Japanese and Korean dates and times as the marks between numbers."""
_PLAIN_CATEGORIES = {"Zs": " ", "Cf": ""}
"""What blanks, and characters that are not seen, become: by their category in Unicode."""
_HOURS, _HALF_DAY_HOURS, _SIXTY = 24, 12, 60


def plain_text(text: str) -> str:
    """A date or a time in ASCII digits and plain blanks, without the blanks around it.

    Programs write no-break blanks (U+00A0, U+202F: ICU before AM since version 72), fullwidth
    characters, marks of direction, and the digits of other scripts.
    """
    text = text.strip()
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text).translate(_CJK_UNITS)
    return "".join(map(_plain_character, text)).strip(" :")


def _plain_character(character: str) -> str:
    if character.isascii():
        return character
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    return _PLAIN_CATEGORIES.get(unicodedata.category(character), character)


def parse_time(text: str) -> timedelta:
    """Parse a time of day, as the time since midnight; `24:00` is the end of the day.

    Raises ValueError; its message is a sentence.
    """
    match = _TIME.fullmatch(plain_text(text))
    # A spreadsheet may write 06:00 as a part of the day: 0.25.
    is_part_of_day = match is not None and _PART_OF_DAY.fullmatch(match[0])
    if match is None or is_part_of_day or (match["before"] and match["after"]):
        raise ValueError(f'"{text}" is not a time')
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    half_day = (match["before"] or match["after"] or "").lower()
    if half_day:
        if not 1 <= hour <= _HALF_DAY_HOURS:
            raise ValueError(f'"{text}" is not a time: hours before AM and PM are 1 to 12')
        # 12 AM is midnight and 12 PM is noon.
        hour = hour % _HALF_DAY_HOURS + _HALF_DAY_HOURS * half_day.startswith(_AFTERNOON)
    microseconds = int((match["fraction"] or "").ljust(6, "0"))
    time = timedelta(hours=hour, minutes=minute, seconds=second, microseconds=microseconds)
    # ISO 8601: 24:00 is the end of its day, and no time is later.
    if max(minute, second) >= _SIXTY or time > timedelta(hours=_HOURS):
        raise ValueError(f'"{text}" is not a time: a day has 24 hours, an hour 60 minutes')
    return time


def is_time_range(text: str) -> bool:
    """Whether a text has a start and an end: `18:30-20:00`, `9h - 17h`.

    Behind a day, `10:00-05:00` would be a time with an offset; alone it is read as it looks.
    """
    parts = _BETWEEN_TIMES.split(text.strip())
    if len(parts) != 2 or all(map(str.isdecimal, parts)):
        return False
    with suppress(ValueError):
        return all(parse_time(part) is not None for part in parts)
    return False


_BETWEEN_TIMES = re.compile(r" ?[-\u2013\u2014] ?")


def shows_half_day(text: str) -> bool:
    """Whether a time is written with AM or PM, as in the United States.

    `p. m.`, as in Spanish, does not count: its dates have the day first.
    """
    match = _TIME.fullmatch(plain_text(text))
    return match is not None and (match["after"] or "").lower() in {"am", "pm"}
