"""Which of the events that share a UID count: the newest version of each, and no other event."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import orjson

from openbulk.formats.ics.events import ParsedEvent

_OF_THE_VERSION = frozenset({"sequence"})


class Standing(StrEnum):
    """What becomes of an event beside the others of its UID."""

    CURRENT = "current"
    SUPERSEDED = "superseded"
    """A newer version of it, or the same event again, is in the file."""
    DOUBTFUL = "doubtful"
    """It is another event, or nothing says whether it is newer."""


@dataclass(frozen=True, slots=True)
class Version:
    """What distinguishes an event from others of its UID, and of its occurrence in a series."""

    line: int
    sequence: int
    stamp: str
    is_cancelled: bool
    start: bytes
    """Stands for its start; empty if it has none, as a cancellation may, and for one date of a
    series, which RECURRENCE-ID identifies."""
    appearance: bytes
    """Stands for its start and summary: what people know an event by."""
    content: bytes
    """Stands for all that it says, but which version it is."""

    @classmethod
    def of(cls, event: ParsedEvent, line: int) -> "Version":
        """The version that an event is, which begins on that line."""
        start = event.values.get("start")
        appearance = [start, event.values.get("summary")]
        content = {key: value for key, value in event.values.items() if key not in _OF_THE_VERSION}
        return cls(
            line,
            event.sequence,
            event.stamp,
            event.is_cancelled,
            _digest(start) if start and event.times.original_start is None else b"",
            _digest(appearance),
            _digest(content),
        )

    @property
    def rank(self) -> tuple[int, str, bool]:
        """A newer version has a higher one (RFC 5546, section 2.1.5)."""
        return self.sequence, self.stamp, self.is_cancelled

    def is_comparable(self, other: "Version") -> bool:
        """Whether both are versions of one event, and something says which is newer."""
        if self.sequence != other.sequence:
            return True
        if self.is_cancelled != other.is_cancelled:
            # Programs change the summary of what they cancel: "Canceled: Maths".
            return self.start == other.start or not (self.start and other.start)
        # The same event twice: either of them will do.
        if self.content == other.content:
            return True
        return self.appearance == other.appearance and self.stamp != other.stamp


def _digest(value: object) -> bytes:
    packed = orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(packed, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the event on a line."""

    line: int
    standing: Standing
    problem: str = ""


def judge(versions: Iterator[Version]) -> Iterator[Verdict]:
    """A verdict on each event of one UID and one occurrence, of which there is at least one.

    The verdict on the newest comes last.
    """
    current = next(versions)
    for version in versions:
        if not current.is_comparable(version):
            if current.is_cancelled and not version.is_cancelled:
                # A cancellation in doubt must not delete the event.
                current, version = version, current  # noqa: PLW2901
            yield Verdict(version.line, Standing.DOUBTFUL, _describe_doubt(version, current))
        else:
            older, current = sorted((current, version), key=lambda one: one.rank)
            yield Verdict(older.line, Standing.SUPERSEDED)
    yield Verdict(current.line, Standing.CURRENT)


def _describe_doubt(version: Version, current: Version) -> str:
    if version.appearance != current.appearance:
        where = "was used before" if current.line < version.line else "is used again"
        return (
            f"the UID of the event on line {version.line} {where} in the file, for another "
            f"event, on line {current.line}; give each event a UID of its own"
        )
    return (
        f"the event on line {version.line} is on line {current.line}, too, and differs; keep one: "
        "neither SEQUENCE, LAST-MODIFIED nor DTSTAMP says which is newer"
    )
