"""Whole days of events: rows without a time, columns that say so, and the last day (decision 60).

A service's end of a whole day is the day after the last one. People write the last one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from openbulk.domain.dates import EXAMPLES, DateOrder, is_day, read_date
from openbulk.domain.file_profile import ColumnProfile
from openbulk.domain.file_questions import Choice, Example, Question
from openbulk.domain.yes_no import parse_yes_no
from openbulk.mapping.candidates import UNSURE, ProposedField
from openbulk.mapping.targets import TargetField
from openbulk.mapping.vocabulary import Vocabulary
from openbulk.mapping.words import key_of, words_of

Rows = Sequence[Mapping[str, Any]]
"""The first rows of a file, by column."""
_MIN_SHARE = 0.01
"""Share of a column's cells that are days without a time, beside others with one."""
_LAST_WORDS = (
    "bis last letzter letzte dernier derniere ultimo ultima ostatni laatste sista sidste posledni",
    "until till through thru jusqu hasta fino tot ate tom",
)
_UP_TO = frozenset(" ".join(_LAST_WORDS).split())
"""Words that say that a day is the last one."""
_DAY_AFTER = "dtend"
"""In a calendar file, the day after the last one (RFC 5545, section 3.8.2.2)."""


@dataclass(frozen=True, slots=True)
class _Side:
    """A start or an end that is a day or else a time."""

    path: str
    day: str
    moment: str

    def of(self, proposed: Mapping[str, ProposedField]) -> ProposedField | None:
        """How it is made; None if a column has the service's own name, and so its rules."""
        found = proposed.get(self.moment) or proposed.get(self.day)
        is_own = found is not None and found.reason == "name" and found.confidence == 1.0
        return None if is_own else found


def with_whole_days(
    proposed: Sequence[ProposedField],
    columns: Sequence[ColumnProfile],
    fields: Sequence[TargetField],
    vocabulary: Vocabulary,
    rows: Rows,
) -> tuple[Sequence[ProposedField], Sequence[Question]]:
    """The fields with a start and an end that take whole days, too, if the file has them.

    And what has to be asked of the last day.
    """
    by_field = {one.field: one for one in proposed}
    start, end = _side("start", fields), _side("end", fields)
    if start is None or end is None:
        return proposed, ()
    first, last = start.of(by_field), end.of(by_field)
    made: dict[str, ProposedField] = {}
    flag = _flag(columns, vocabulary)
    if flag or any(one is not None and _has_both(one, columns) for one in (first, last)):
        made = {
            one.field: _of_both(one, side, flag)
            for one, side in ((first, start), (last, end))
            if one is not None
        }
    questions: Sequence[Question] = ()
    if last is not None and (last.field in made or last.field == end.day):
        ended, questions = _with_last_day(made.get(last.field, last), first, rows)
        made[last.field] = ended
    return [made.get(one.field, one) for one in proposed], questions


def _side(name: str, fields: Sequence[TargetField]) -> _Side | None:
    """The field that is a day or else a time; None if the object has none."""
    by_concept = {one.meaning.concept: one.path for one in fields if one.meaning is not None}
    day, moment = by_concept.get(f"{name}Date", ""), by_concept.get(name, "")
    path = day.rpartition(".")[0]
    return _Side(path, day, moment) if path and path == moment.rpartition(".")[0] else None


def _flag(columns: Sequence[ColumnProfile], vocabulary: Vocabulary) -> str | None:
    """The column that says of some row that it is a whole day."""
    meanings = vocabulary.meanings_of(column.name for column in columns)
    for column in columns:
        meaning = meanings.get(column.name)
        if meaning is not None and meaning.concept == "allDay":
            says = [parse_yes_no(one) for one in column.samples]
            if None not in says and any(says):
                return column.name
    return None


def _has_both(one: ProposedField, columns: Sequence[ColumnProfile]) -> bool:
    """Whether some rows have a time, and others a day alone."""
    profiles = {column.name: column for column in columns}
    cells = [profiles[name] for name in one.source.columns]
    if len(cells) > 1:
        return cells[-1].filled < cells[0].filled
    shares = {kind.type: kind.share for kind in cells[0].types}
    return min(shares.get("date", 0.0), shares.get("datetime", 0.0)) >= _MIN_SHARE


def _of_both(one: ProposedField, side: _Side, flag: str | None) -> ProposedField:
    """A field that takes days and times."""
    says = "rows without a time are whole days"
    if flag is not None:
        says = f"{flag!r} says which rows are whole days"
    source = replace(one.source, all_day=flag)
    return replace(one, field=side.path, source=source, why=f"{one.why}; {says}")


# --- the last day ---


@dataclass(frozen=True, slots=True)
class _Days:
    """The days of a row that is about whole days."""

    row: int
    first: str
    end: str


def _with_last_day(
    last: ProposedField, first: ProposedField | None, rows: Rows
) -> tuple[ProposedField, Sequence[Question]]:
    """The end with the day after its last, and what has to be asked of it.

    A row that begins and ends on one day shows that the end is the last day. If there is none, and
    a row ends on the day after its first, a program may have written the day after.
    """
    name = last.source.columns[0]
    if _DAY_AFTER in key_of(name):
        return last, ()
    why = f"{last.why}; its day is the last one, and `lastDay` makes it the day after"
    made = replace(last, source=replace(last.source, last_day=True), why=why)
    is_one_column = first is not None and first.source.columns[0] == last.source.columns[0]
    if is_one_column or first is None or last.source.all_day or _UP_TO.intersection(words_of(name)):
        return made, ()
    days = list(_whole_days(rows, first.source.columns, last.source.columns))
    one_day = next((one for one in days if one.first == one.end), None)
    if one_day is not None:
        return replace(made, why=f"{why}: row {one_day.row} begins and ends on one day"), ()
    two_days = next((one for one in days if _may_be_two_days(one)), None)
    if two_days is None and rows:
        return made, ()
    why += ", unless a program has written the day after: no row shows which"
    made = replace(made, why=why, confidence=min(made.confidence, UNSURE), sure=False)
    return made, [] if two_days is None else [_question(made, two_days)]


def _whole_days(rows: Rows, first: Sequence[str], end: Sequence[str]) -> Iterator[_Days]:
    for number, row in enumerate(rows, 1):
        texts = [" ".join(_texts(row, names)) for names in (first, end)]
        if all(map(is_day, texts)):
            yield _Days(number, *texts)


def _texts(row: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    return (str(row[name]).strip() for name in names if row.get(name) not in (None, ""))


def _may_be_two_days(days: _Days) -> bool:
    """Whether the end is the day after the first one, in an order of dates that both can have."""
    for order in EXAMPLES:
        with suppress(ValueError):
            if (_day(days.end, order) - _day(days.first, order)).days == 1:
                return True
    return False


def _day(text: str, order: str) -> date:
    found = read_date(text)
    assert found is not None
    return found.day(DateOrder(order, order))


def _question(one: ProposedField, days: _Days) -> Question:
    name = one.source.columns[0]
    return Question(
        f"mapping.{one.field}.lastDay",
        f"row {days.row}: {days.first} to {days.end} is two days if {name!r} has the last day, and "
        "one day if it has the day after; no row begins and ends on one day, which would show it; "
        "say `lastDay` true or false in the mapping",
        (Choice("true", "two days"), Choice("false", "one day")),
        Example(days.row, name, days.end),
    )
