"""Lines of content (RFC 5545, section 3.1)."""

import re
from collections.abc import Mapping
from datetime import datetime

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_SPECIAL = re.compile(r"[\\,;]")
_PLAIN = re.compile(r"[\w./+-]+", re.A)


def content_line(name: str, value: str, parameters: Mapping[str, str | None] | None = None) -> str:
    """A line of content; what has no place in one is left out of it."""
    told = "".join(f";{key}={_quoted(text)}" for key, text in (parameters or {}).items() if text)
    return _CONTROLS.sub("", f"{name}{told}:{value}")


def escaped(text: str) -> str:
    """A TEXT value (section 3.3.11)."""
    return _LINE_END.sub(r"\\n", _SPECIAL.sub(r"\\\g<0>", text))


def _quoted(text: str) -> str:
    """A parameter's value (RFC 6868)."""
    text = _LINE_END.sub("^n", text.replace("^", "^^").replace('"', "^'"))
    return text if _PLAIN.fullmatch(text) else f'"{text}"'


def folded(*lines: str) -> bytes:
    """Lines with their ends, none longer than 75 bytes (section 3.1), and no character cut."""
    return b"".join(_folded_one(line.encode(errors="replace")) for line in lines)


def _folded_one(line: bytes) -> bytes:
    pieces: list[bytes] = []
    begin, room = 0, 75
    while len(line) - begin > room:
        end = begin + room
        while line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[begin:end])
        begin, room = end, 74  # the blank counts
    return b"\r\n ".join([*pieces, line[begin:]]) + b"\r\n"


def stamp(moment: datetime) -> str:
    """A DATE-TIME value, local (section 3.3.5)."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds").replace("-", "").replace(":", "")
