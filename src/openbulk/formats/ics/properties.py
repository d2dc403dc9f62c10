"""Properties of a calendar file: a name, parameters and a value each (RFC 5545, section 3.1)."""

import binascii
import quopri
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from openbulk.formats.encodings import decode_named
from openbulk.formats.ics.content_lines import unescape_text

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9-]*)\s*(?=[;:])")
# A quote without a closing one is an ordinary character.
_UP_TO_COLON = re.compile(r'(?:[^:"]+|"[^"]*"|")*')
_PARAMETER = re.compile(r';((?:[^;"]+|"[^"]*"|")*)')
_CARET_ESCAPE = re.compile(r"\^([n'^])")
_CARET_ESCAPES = {"n": "\n", "'": '"', "^": "^"}
"""How RFC 6868 writes a line end, a quote and a caret in a parameter."""
_ESCAPED_SEPARATOR = re.compile(r"\\([,;])")
_LAST_TIMES = re.compile(r":(?=\s*\d{8}[\sTZPWDHMS\d,/+-]*$)", re.I)
_TIMES = frozenset({"DTSTART", "DTEND", "RECURRENCE-ID", "EXDATE", "RDATE"})
_VCALENDAR_1_ENCODINGS = frozenset({"QUOTED-PRINTABLE", "BASE64", "8BIT", "7BIT"})
"""The encodings of vCalendar 1.0, which it also writes without `ENCODING=`."""
_DECIDING_PARAMETERS = frozenset({"TZID", "VALUE", "RANGE", "RELATED", "ENCODING", "CHARSET"})
"""Parameters that say what the value means: a property has each at most once (RFC 5545, 3.2)."""
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a component, unfolded, with its value as the file has it."""

    name: str
    """In capitals."""
    value: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    """By their names in capitals. Several values are joined by commas."""
    line: int = 0
    """The line of the file on which it begins, from 1; 0 if it is in no file."""
    is_name_capital: bool = True
    """Whether the file writes the name in capitals, as all programs do."""
    damage: str = ""
    """What keeps the line from being read, in a sentence; "" for nothing."""

    @property
    def place(self) -> str:
        """Its name and line, for messages: `DTSTART on line 7`; the name alone without a line."""
        return f"{self.name} on line {self.line}" if self.line else self.name

    @property
    def text(self) -> str:
        """The text of a value of type TEXT. Raises ValueError if it cannot be decoded."""
        match self._encoding:
            case "" | "8BIT" | "7BIT":
                return unescape_text(self.value)
            case "QUOTED-PRINTABLE":
                content = quopri.decodestring(self.value.encode("latin-1", "replace"))
                return unescape_text(self._decode(content))
            case "BASE64" | "B":
                return self._decode(self._decode_base64())
            case unknown:
                raise ValueError(
                    f"{self.place} has the encoding {unknown}, which is not known; "
                    "write the text as it is, without ENCODING"
                )

    @property
    def word(self) -> str:
        """A value with a fixed set of words, such as STATUS: in capitals, without blanks."""
        return self.text.strip().upper()

    def parameter_word(self, name: str) -> str:
        """A parameter with a fixed set of words, such as VALUE: in capitals; "" without it.

        Words are the same in any case (RFC 5545, section 2).
        """
        return self.parameters.get(name, "").strip().upper()

    def show(self) -> str:
        """The value in quotes, for a message."""
        return quote_value(self.value)

    @property
    def _encoding(self) -> str:
        bare = filter(_VCALENDAR_1_ENCODINGS.__contains__, self.parameters)
        return self.parameter_word("ENCODING") or next(bare, "")

    def _decode(self, content: bytes) -> str:
        charset = self.parameters.get("CHARSET", "").strip() or "UTF-8"
        try:
            text = decode_named(content, charset)
        except UnicodeDecodeError:
            raise ValueError(
                f"{self.place} is encoded text that is not {charset}; "
                "name its character set in the line, like CHARSET=windows-1252"
            ) from None
        except LookupError:
            raise ValueError(
                f"{self.place} has the CHARSET {charset!r}, which is not known; write UTF-8"
            ) from None
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def _decode_base64(self) -> bytes:
        try:
            return binascii.a2b_base64("".join(self.value.split()), strict_mode=True)
        except ValueError:
            raise ValueError(
                f"{self.place} says that it is BASE64 and is not; "
                "write the text as it is, without ENCODING"
            ) from None


def quote_value(text: str) -> str:
    """A value or a part of one in quotes, for a message: shortened if it is long."""
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}…"
    return repr(text)


def parse_property(line: str, number: int = 0) -> Property | None:
    """The property in an unfolded line; None if the line is not one."""
    match = _NAME.match(line)
    if match is None:
        return None
    name = match[1].upper()
    colon = _find_colon(name, line, match.end())
    if colon == len(line):
        return None
    pairs = [*map(_split_parameter, _PARAMETER.findall(line[match.end() : colon]))]
    parameters = {key: value for key, value in pairs if key}
    found = Property(name, line[colon + 1 :], parameters, number, name == match[1])
    if len(pairs) > len(parameters):
        return replace(found, damage=_doubt(found, pairs))
    return found


def _doubt(found: Property, pairs: Iterable[tuple[str, str]]) -> str:
    """What is wrong with a property that has a parameter twice; "" if that changes nothing."""
    for key, value in pairs:
        last = found.parameters.get(key, "")
        if key in _DECIDING_PARAMETERS and value.upper() != last.upper():
            both = f"{quote_value(value)} and {quote_value(last)}"
            return f"{found.place} has {key} twice, {both}; keep one"
    return ""


def _find_colon(name: str, line: str, begin: int) -> int:
    """Where the colon between the parameters and the value is; the line's length if it has none."""
    # A zone's name, such as (UTC+01:00) Berlin, may hold a colon without being quoted.
    last = _LAST_TIMES.search(line, begin) if name in _TIMES else None
    if last is not None:
        return last.start()
    head = _UP_TO_COLON.match(line, begin)
    assert head is not None, "the expression matches the empty string"
    return head.end()


def _split_parameter(parameter: str) -> tuple[str, str]:
    """Its name in capitals and its value, without quotes and escapes."""
    key, _, value = parameter.partition("=")
    value = value.strip().replace('"', "")
    value = _CARET_ESCAPE.sub(lambda match: _CARET_ESCAPES[match[1]], value)
    # RFC 5545 has no backslash escapes here; some programs write them before commas nonetheless.
    return key.strip().upper(), _ESCAPED_SEPARATOR.sub(r"\1", value)
