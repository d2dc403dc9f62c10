"""An event of a calendar file: the properties of a VEVENT and of its alarms."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from openbulk.formats.ics.components import Component, RawLine
from openbulk.formats.ics.properties import Property, parse_property, quote_value

_TEXT_PROPERTIES = frozenset(
    {"SUMMARY", "DESCRIPTION", "LOCATION", "COMMENT", "CONTACT", "X-ALT-DESC"}
)
"""Properties of some length, whose line breaks some programs write as they are."""
_KNOWN_NAMES = frozenset(
    {
        # RFC 5545, section 8.3.2
        *(
            "ATTACH",
            "ATTENDEE",
            "CATEGORIES",
            "CLASS",
            "COMMENT",
            "CONTACT",
            "CREATED",
            "DESCRIPTION",
            "DTEND",
            "DTSTAMP",
            "DTSTART",
            "DUE",
            "DURATION",
            "EXDATE",
            "EXRULE",
            "GEO",
            "LAST-MODIFIED",
            "LOCATION",
            "ORGANIZER",
            "PERCENT-COMPLETE",
            "PRIORITY",
            "RDATE",
            "RECURRENCE-ID",
            "RELATED-TO",
            "REQUEST-STATUS",
            "RESOURCES",
            "RRULE",
            "SEQUENCE",
            "STATUS",
            "SUMMARY",
            "TRANSP",
            "UID",
            "URL",
            "ACTION",
            "REPEAT",
            "TRIGGER",
            "COMPLETED",
            "FREEBUSY",
            "TZID",
            "TZNAME",
            "TZOFFSETFROM",
            "TZOFFSETTO",
            "TZURL",
        ),
        # RFC 7986, 9073, 9074 and 9253
        *(
            "COLOR",
            "CONFERENCE",
            "IMAGE",
            "NAME",
            "REFRESH-INTERVAL",
            "SOURCE",
            "LOCATION-TYPE",
            "PARTICIPANT-TYPE",
            "RESOURCE-TYPE",
            "CALENDAR-ADDRESS",
            "STYLED-DESCRIPTION",
            "STRUCTURED-DATA",
            "ACKNOWLEDGED",
            "PROXIMITY",
            "CONCEPT",
            "LINK",
            "REFID",
        ),
        # vCalendar 1.0
        *("AALARM", "DALARM", "MALARM", "PALARM", "DCREATED", "RNUM"),
    }
)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z-]")
_HAS_LETTER = re.compile(r"[A-Za-z]")
_NO_PROPERTY = Property("", "")
_HINT = "if it belongs to the text above it, begin it with a blank"


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of one component, as far as they can be read."""

    line: int
    """The line of the file on which the component begins, from 1."""
    by_name: Mapping[str, Sequence[Property]] = field(default_factory=dict)
    problem: str = ""
    """What is wrong with the component as a whole; "" for nothing."""

    def each(self, name: str, blanks: str | None = None) -> Sequence[Property]:
        """All properties of that name that have a value; `blanks` are the characters that are none.

        Raises ValueError for a damaged one.
        """
        given = [one for one in self.by_name.get(name, ()) if one.value.strip(blanks)]
        for one in given:
            if one.damage:
                raise ValueError(one.damage)
        return given

    def get(self, name: str, blanks: str | None = None) -> Property | None:
        """The property of that name; None if it is absent or empty, as in `each`.

        Raises ValueError if it is damaged, or is there twice with different values.
        """
        given = self.each(name, blanks)
        if len({(one.value, *sorted(one.parameters.items())) for one in given}) > 1:
            lines = " and ".join(str(one.line) for one in given)
            raise ValueError(f"the event has {name} {len(given)} times, on lines {lines}; keep one")
        return next(iter(given), None)


@dataclass(frozen=True, slots=True)
class Vevent:
    """An event and its alarms."""

    properties: Properties
    alarms: Sequence[Properties]


def parse_vevent(component: Component) -> Vevent:
    """The properties of an event. Raises ValueError with a sentence if it is not whole."""
    component.require_whole()
    event = _Block("VEVENT", component.line)
    alarms: list[_Block] = []
    open_blocks = [event]
    for raw in component.raw_lines[1:-1]:
        text = raw.content.decode(errors="replace")
        keyword, _, name = "".join(text.upper().split()).partition(":")
        if keyword == "BEGIN":
            block = _Block(name, raw.number)
            if name == "VALARM" and open_blocks == [event]:
                alarms.append(block)
            open_blocks.append(block)
        elif keyword == "END":
            _close(open_blocks, name)
        else:
            open_blocks[-1].add(raw, text)
    if len(open_blocks) > 1:
        _raise_unclosed(open_blocks[-1])
    if event.problem:
        raise ValueError(event.problem)
    return Vevent(event.properties(), list(map(_Block.properties, alarms)))


def _close(open_blocks: "list[_Block]", name: str) -> None:
    """Close the last open component; the END of one that has not begun is left out."""
    if len(open_blocks) == 1:
        return
    last = open_blocks.pop()
    if last.name != name:
        _raise_unclosed(last)


def _raise_unclosed(block: "_Block") -> None:
    raise ValueError(
        f"BEGIN:{block.name} on line {block.line} has no END:{block.name} in the event; add it"
    )


class _Block:
    """A component while its lines are read."""

    def __init__(self, name: str, line: int) -> None:
        self.name = name
        self.line = line
        self.problem = ""
        self._properties: list[Property] = []
        self._empty_lines = 0

    def properties(self) -> Properties:
        """What was read, by name."""
        by_name: dict[str, list[Property]] = {}
        for one in self._properties:
            by_name.setdefault(one.name, []).append(one)
        return Properties(self.line, by_name, self.problem)

    def add(self, raw: RawLine, text: str) -> None:
        """Take an unfolded line in."""
        if not text.strip():
            self._empty_lines += 1
            return
        found = parse_property(text, raw.number)
        last = next(reversed(self._properties), _NO_PROPERTY)
        if found is None or (last.name in _TEXT_PROPERTIES and _looks_like_text(found)):
            self._add_stray(raw.number, text, last)
        else:
            self._properties.append(_with_damage(found, raw.content))
        self._empty_lines = 0

    def _add_stray(self, number: int, text: str, last: Property) -> None:
        """Add a line that is not a property: it continues a text, else damages what it follows."""
        shown = quote_value(text)
        first_word = _NOT_IN_NAMES.split(text.lstrip(), maxsplit=1)[0]
        if first_word in _KNOWN_NAMES or last is _NO_PROPERTY:
            self.problem = (
                self.problem
                or f"line {number} is {shown}, which is not a property; "
                f"one looks like DTSTART:20260530T100000Z, and {_HINT}"
            )
        elif last.name in _TEXT_PROPERTIES:
            # RFC 5545, section 3.3.11, wants line breaks escaped; some programs write them plainly.
            breaks = r"\n" * (self._empty_lines + 1)
            self._properties[-1] = replace(last, value=f"{last.value}{breaks}{text}")
        elif not last.damage:
            damage = (
                f"line {number} is {shown}, which is not a property, behind {last.name}; {_HINT}"
            )
            self._properties[-1] = replace(last, damage=damage)


def _looks_like_text(found: Property) -> bool:
    """Whether a line is rather a sentence with a colon, such as `Bring: a chair`, or an address."""
    if found.name in _KNOWN_NAMES or found.name.startswith("X-"):
        return False
    is_sentence = found.value.startswith((" ", "//")) or not _HAS_LETTER.search(found.name)
    return is_sentence or not found.is_name_capital


def _with_damage(found: Property, content: bytearray) -> Property:
    try:
        content.decode()
    except UnicodeDecodeError:
        damage = (
            f"{found.place} has bytes that are not in the file's encoding; save the file as UTF-8, "
            "or name its encoding in metaData.encoding, such as windows-1252, gb18030 or shift_jis"
        )
        return replace(found, damage=damage)
    return found
