"""The order of day, month and year in a file's dates: one decision for the whole file.

`07.09.2026` has the day first. Dates with slashes or hyphens are read by what the file shows: a
date that is possible in one order only, else the ways of writing that go with one order: months
with names, times with AM or PM. If nothing shows it, nobody can know.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from openbulk.domain.dates import (
    DAY_FIRST,
    EXAMPLES,
    MONTH_FIRST,
    ORDER_WORDS,
    DateOrder,
    WrittenDate,
    is_iso,
    read_date,
)
from openbulk.domain.errors import BadInput
from openbulk.domain.file_questions import Choice, Example, OpenQuestion, Question
from openbulk.domain.times_of_day import parse_time, shows_half_day

HALF_DAY = "AM/PM"
_SLASHES, _DOTS = "/", "."
_OPEN = "?"
_HINTS: Mapping[str, str] = {
    HALF_DAY: MONTH_FIRST,
    f" {MONTH_FIRST}": MONTH_FIRST,
    f" {DAY_FIRST}": DAY_FIRST,
    f"{_DOTS}{DAY_FIRST}": DAY_FIRST,
    f"{_DOTS}{MONTH_FIRST}": MONTH_FIRST,
    _DOTS: DAY_FIRST,
}
"""The order that goes with a sign that decides nothing by itself."""
_MONTHS, _LONG_YEAR = 12, 4
_SLIPS = 5
"""One date against this many is a slip of the pen, and its row alone is refused."""


class DateOrderUnknown(OpenQuestion):
    """A file does not show the order of its dates, or shows two."""

    def __init__(self, message: str, sighting: "Sighting") -> None:
        found = read_date(sighting.text)
        readings = {} if found is None else found.readings()
        choices = tuple(Choice(order, readings.get(order, "")) for order in EXAMPLES)
        if found is not None and found.is_open:
            choices = tuple(Choice(order, shown) for order, shown in readings.items())
        example = Example(sighting.row, sighting.field, sighting.text)
        super().__init__(Question("dateOrder", message, choices, example))


@dataclass(slots=True)
class Sighting:
    """The first cell that shows a sign, and the number of such cells."""

    field: str
    text: str
    row: int | None
    """None in a single record, which is no row of a file."""
    count: int = 1

    @property
    def place(self) -> str:
        """Where the cell is, and what it holds: `row 3: Start Date "31/05/2026"`."""
        row = "" if self.row is None else f"row {self.row}: "
        return f'{row}{self.field} "{self.text}"'


@dataclass(slots=True)
class DateSigns:
    """What the dates of a column show of their order."""

    seen: dict[str, Sighting] = field(default_factory=dict)
    """By sign: the mark between the numbers, and the order; `?` if two orders are possible."""

    def add(self, column: str, text: str, row: int | None, count: int = 1) -> bool:
        """Note what a cell shows; False if it is neither a date nor a time.

        `count` cells have this text, and `row` is that of the first.
        """
        if is_iso(text):
            return True
        found = read_date(text)
        signs = _time_signs(text) if found is None else _date_signs(found)
        if signs is None:
            return False
        for sign in signs:
            self.seen.setdefault(sign, Sighting(column, text, row, count=0)).count += count
        # A number may be a time (8.15), but a column of numbers is none of times.
        return found is not None or not text.replace(".", "", 1).isdecimal()

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "DateSigns":
        """Of what `to_json` has made."""
        seen = {sign: Sighting(**sighting) for sign, sighting in value["seen"].items()}
        return cls(seen)


def _date_signs(found: WrittenDate) -> list[str]:
    signs = [HALF_DAY] if found.has_half_day else []
    if len(found.numbers[0]) == _LONG_YEAR:
        return signs
    if found.is_open:
        return [*signs, f"{found.mark}{_OPEN}"]
    if len(found.orders) != 1:  # no order fits, or both mean one day
        return signs
    (order,) = found.orders
    # With dots, only a date that has no other order decides for other dates.
    is_plain = found.mark == _DOTS and order == DAY_FIRST and int(found.numbers[0]) <= _MONTHS
    return [*signs, _DOTS if is_plain else f"{found.mark}{order}"]


def _time_signs(text: str) -> list[str] | None:
    try:
        parse_time(text)
    except ValueError:
        return None
    return [HALF_DAY] if shows_half_day(text) else []


def stated_order(options: Mapping[str, Any]) -> DateOrder | None:
    """The order in `metaData.dateOrder`; None without one. Raises BadInput."""
    stated = options.get("dateOrder")
    if stated in (None, ""):
        return None
    order = str(stated).upper()
    if order not in EXAMPLES:
        raise BadInput(
            f"metaData.dateOrder {stated!r} is not known; it can be {', '.join(EXAMPLES)}"
        )
    reason = f"metaData.dateOrder is {order}"
    return DateOrder(order, order, reason, reason)


_DOTS_REASON = "dates with dots have it so"
NOTHING_SHOWN = DateOrder(dots_reason=_DOTS_REASON)
"""The order in a file whose cells show nothing of it."""


def decide_order(columns: Iterable[DateSigns], options: Mapping[str, Any]) -> DateOrder:
    """The order in `metaData.dateOrder`, else the one that a file's columns of dates show.

    Raises DateOrderUnknown if they show none, and a date could be two days.
    """
    stated = stated_order(options)
    if stated is not None:
        return stated
    seen = _merge(columns)
    hints: Mapping[str, Sighting] = {}
    slashes = _shown_order(seen, _SLASHES)
    shown_by = seen.get(f"{_SLASHES}{slashes}")
    if slashes is None:
        hints = _hints(seen)
        slashes, shown_by = next(iter(hints.items())) if len(hints) == 1 else (None, None)
    shown_dots = _shown_order(seen, _DOTS)
    undecided = seen.get(f"{_SLASHES}{_OPEN}") if slashes is None else None
    undecided = undecided or seen.get(f"{_DOTS}{_OPEN}")
    if undecided is not None:
        raise _open_date(undecided, hints)
    dots = shown_dots or DAY_FIRST
    return DateOrder(
        slashes,
        dots,
        _reason(shown_by),
        _reason(seen.get(f"{_DOTS}{dots}")) or _DOTS_REASON,
    )


def _hints(seen: Mapping[str, Sighting]) -> Mapping[str, Sighting]:
    """By order, the first cell that goes with it and decides nothing by itself."""
    hints: dict[str, Sighting] = {}
    for sign, order in _HINTS.items():
        if sign in seen:
            hints.setdefault(order, seen[sign])
    return hints


def _reason(shown_by: Sighting | None) -> str:
    return "" if shown_by is None else f"{shown_by.place} shows it"


def _merge(columns: Iterable[DateSigns]) -> Mapping[str, Sighting]:
    """The signs of several columns as those of one. A hyphen counts as a slash."""
    merged: dict[str, Sighting] = {}
    for column in columns:
        for sign, sighting in column.seen.items():
            name = sign.replace("-", _SLASHES)
            other = merged.get(name)
            if other is None:
                merged[name] = sighting
                continue
            first = min(other, sighting, key=lambda one: one.row or 0)
            merged[name] = replace(first, count=other.count + sighting.count)
    return merged


def _shown_order(seen: Mapping[str, Sighting], mark: str) -> str | None:
    """The order of the dates that have no other; None if there are none.

    Raises DateOrderUnknown if they contradict each other, and a third date depends on it.
    """
    votes = {order: seen[f"{mark}{order}"] for order in EXAMPLES if f"{mark}{order}" in seen}
    if not votes:
        return None
    ranked = sorted(votes, key=lambda order: votes[order].count, reverse=True)
    most = votes[ranked[0]].count
    others = sum(votes[order].count for order in ranked[1:])
    has_open_dates = not seen.keys().isdisjoint({f"{mark}{_OPEN}", mark})
    slips = most // _SLIPS if has_open_dates else most - 1
    if others > slips:
        raise _contradiction({order: votes[order] for order in ranked[:2]})
    return ranked[0]


def _contradiction(votes: Mapping[str, Sighting]) -> DateOrderUnknown:
    return DateOrderUnknown(
        f"the dates of the {_whole(votes)} contradict each other: {_cells(votes)}; write all dates "
        "alike, best like 2026-05-30",
        next(iter(votes.values())),
    )


def _cells(by_order: Mapping[str, Sighting]) -> str:
    return " and ".join(f"{one.place} ({ORDER_WORDS[order]})" for order, one in by_order.items())


def _whole(by_order: Mapping[str, Sighting]) -> str:
    """What the cells are in: a file, or a single record."""
    return "record" if any(one.row is None for one in by_order.values()) else "file"


def _open_date(sighting: Sighting, hints: Mapping[str, Sighting]) -> DateOrderUnknown:
    """The error for a date that is two days. `hints` are cells that contradict each other."""
    found = read_date(sighting.text)
    assert found is not None
    readings = found.readings()
    whole = _whole({_OPEN: sighting})
    why = f"no other date of the {whole} shows which"
    if hints:
        why = f"the other dates of the {whole} contradict each other: {_cells(hints)}"
    return DateOrderUnknown(
        f"{sighting.place} is {' or '.join(readings.values())}, and {why}; set "
        f"metaData.dateOrder to {' or '.join(readings)}, or write dates like 2026-05-30",
        sighting,
    )
