"""Content lines of iCalendar: names, parameters and values, escaped and folded (RFC 5545, 3.1)."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

# RFC 5545, section 3.1, allows no control characters but the tab.
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_SPECIAL = re.compile(r"[\\,;]")
# Some programs escape colons and quotes, too, which a text never needs.
_ESCAPED = re.compile(r"\\([\\,;:\"nN])")
_LINE_FEEDS = {"n": "\n", "N": "\n"}
_NEEDS_NO_QUOTES = re.compile(r"[\w./+-]+", re.A)
_NO_PARAMETERS: Mapping[str, str | None] = {}
_MAX_LINE_BYTES = 75
"""Without its end (RFC 5545, section 3.1)."""


def content_line(
    name: str, value: str, parameters: Mapping[str, str | None] = _NO_PARAMETERS
) -> str:
    """A line that is not folded yet. Leaves out control characters, and parameters without a value.

    `value` is written as it is: pass texts through `escape_text`.
    """
    pairs = [f";{key}={_encode_parameter(text)}" for key, text in parameters.items() if text]
    return _CONTROLS.sub("", f"{name}{''.join(pairs)}:{value}")


def escape_text(text: str) -> str:
    """A value of type TEXT (RFC 5545, section 3.3.11)."""
    return _LINE_END.sub(r"\\n", _SPECIAL.sub(r"\\\g<0>", text))


def unescape_text(value: str) -> str:
    """The text of a value of type TEXT (RFC 5545, section 3.3.11)."""
    return _ESCAPED.sub(lambda match: _LINE_FEEDS.get(match[1], match[1]), value)


def _encode_parameter(text: str) -> str:
    """A parameter's value, in quotes if it needs them (RFC 5545, section 3.2)."""
    # RFC 5545 has no way to write a quote or a line end here; RFC 6868 added one.
    text = _LINE_END.sub("^n", text.replace("^", "^^").replace('"', "^'"))
    if _NEEDS_NO_QUOTES.fullmatch(text):
        return text
    return f'"{text}"'


def fold_lines(*lines: str) -> bytes:
    """Lines with their ends, in UTF-8, folded to 75 bytes (RFC 5545, section 3.1)."""
    return b"".join(_fold(line.encode(errors="replace")) for line in lines)


def _fold(line: bytes) -> bytes:
    """Cut between characters: many programs do not join one that is cut."""
    pieces: list[bytes] = []
    begin, room = 0, _MAX_LINE_BYTES
    while len(line) - begin > room:
        end = begin + room
        while _is_inside_character(line[end]):
            end -= 1
        pieces.append(line[begin:end])
        begin, room = end, _MAX_LINE_BYTES - 1  # the blank of a continuation counts
    return b"\r\n ".join([*pieces, line[begin:]]) + b"\r\n"


def _is_inside_character(byte: int) -> bool:
    """In UTF-8, bytes from 0x80 to 0xBF continue a character."""
    return byte & 0xC0 == 0x80


def format_offset(offset: timedelta, separator: str = "") -> str:
    """A UTC-OFFSET (RFC 5545, section 3.3.14): `+0530`; with seconds if it has some."""
    minutes, seconds = divmod(int(abs(offset).total_seconds()), 60)
    sign = "-" if offset < timedelta() else "+"
    text = f"{sign}{minutes // 60:02}{separator}{minutes % 60:02}{separator}{seconds:02}"
    return text.removesuffix(f"{separator}00")


def format_local_time(moment: datetime) -> str:
    """A DATE-TIME in local time (RFC 5545, section 3.3.5): `20260530T100000`."""
    text = moment.replace(tzinfo=None).isoformat(timespec="seconds")
    return text.replace("-", "").replace(":", "")
