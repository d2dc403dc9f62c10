"""What the columns of one header mean together: a `Name` beside a first name is the last name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from openbulk.domain.file_profile import ColumnProfile
from openbulk.mapping.candidates import Candidate, joined_candidate
from openbulk.mapping.targets import MIN_SHARE, TargetField
from openbulk.mapping.vocabulary import Meaning

Columns = Mapping[str, ColumnProfile]
"""The best column of each concept."""

_AMBIGUOUS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "name": (("firstName", "lastName"), ("lastName", "firstName"), ("", "fullName")),
    "title": (("jobTitle", "salutation"), ("", "jobTitle")),
}
"""Concepts of people that other ones decide: the one that is there, and what it means then."""
_OF_TYPES = {
    "start": {"date": "startDate", "time": "startTime"},
    "end": {"date": "endDate", "time": "endTime"},
    "startDate": {"datetime": "start", "time": "startTime"},
    "endDate": {"datetime": "end", "time": "endTime"},
    "date": {"datetime": "start"},
    "startTime": {"datetime": "start"},
    "endTime": {"datetime": "end"},
}
"""What a concept is if the cells of its column are of a type."""
_UNKNOWN_MOMENT = 0.8


def resolve(meanings: Mapping[str, Meaning], *, kind: str) -> Mapping[str, Meaning]:
    """Meanings that depend on the others, decided."""
    if kind != "contact":
        return meanings
    there = {one.concept for one in meanings.values()}
    return {name: _decide(one, there) for name, one in meanings.items()}


def _decide(meaning: Meaning, there: set[str]) -> Meaning:
    for other, concept in _AMBIGUOUS.get(meaning.concept, ()):
        if not other or other in there:
            return replace(meaning, concept=concept)
    return meaning


def resolve_moments(
    columns: Sequence[ColumnProfile], meanings: Mapping[str, Meaning]
) -> Mapping[str, Meaning]:
    """The meanings of an event's columns: `Begin` is a time beside a date, else a moment."""
    typed = {
        column.name: _of_type(meanings[column.name], column)
        for column in columns
        if column.name in meanings
    }
    there = {one.concept for one in typed.values()}
    shown = {column.name for column in columns if _main_type(column) is not None}
    return {name: one if name in shown else _beside(one, there) for name, one in typed.items()}


def _main_type(column: ColumnProfile) -> str | None:
    types = [one.type for one in column.types if one.share >= MIN_SHARE and one.type != "text"]
    return types[0] if types else None


def _of_type(meaning: Meaning, column: ColumnProfile) -> Meaning:
    concept = _OF_TYPES.get(meaning.concept, {}).get(_main_type(column) or "")
    return meaning if concept is None else replace(meaning, concept=concept)


def _beside(meaning: Meaning, there: set[str]) -> Meaning:
    """A start or an end of which nothing shows whether it is a day, a time or both."""
    for moment, day, time in (
        ("start", "startDate", "startTime"),
        ("end", "endDate", "endTime"),
    ):
        if meaning.concept == moment:
            if time in there:
                return replace(meaning, concept=day)
            if day in there or "date" in there:
                return replace(meaning, concept=time)
            return replace(meaning, confidence=meaning.confidence * _UNKNOWN_MOMENT)
    return meaning


def best_columns(columns: Sequence[ColumnProfile], meanings: Mapping[str, Meaning]) -> Columns:
    """The column of each concept whose name says it best; the first of several alike."""
    best: dict[str, ColumnProfile] = {}
    for column in columns:
        meaning = meanings.get(column.name)
        if meaning is None or meaning.ordinal != 1 or meaning.qualifier in {"home", "other"}:
            continue
        other = best.get(meaning.concept)
        if other is None or meanings[other.name].confidence < meaning.confidence:
            best[meaning.concept] = column
    return best


# --- fields that several columns make ---


def joined_candidates(
    best: Columns, fields: Sequence[TargetField], meanings: Mapping[str, Meaning]
) -> Sequence[Candidate]:
    """Fields that the object has as one, and the file in several columns."""
    by_concept = {one.meaning.concept: one for one in reversed(fields) if one.meaning is not None}
    made = [
        *_moments(best, by_concept, meanings),
        _join(best, by_concept, meanings, "fullName", ("firstName", "lastName")),
        _join(best, by_concept, meanings, "street", ("street", "houseNumber")),
    ]
    return [one for one in made if one is not None]


def _join(
    best: Columns,
    fields: Mapping[str, TargetField],
    meanings: Mapping[str, Meaning],
    concept: str,
    parts: Sequence[str],
) -> Candidate | None:
    """A field of which the object has no part, and the file has each."""
    field = fields.get(concept)
    has_part = any(part in fields for part in parts if part != concept)
    if field is None or has_part or not all(part in best for part in parts):
        return None
    return _join_columns(field, [best[part] for part in parts], meanings)


def _join_columns(
    field: TargetField, columns: Sequence[ColumnProfile], meanings: Mapping[str, Meaning]
) -> Candidate:
    names = " and ".join(repr(one.name) for one in columns)
    confidence = min(meanings[one.name].confidence for one in columns)
    return joined_candidate(field, columns, f"{names} make it together", confidence)


def _moments(
    best: Columns, fields: Mapping[str, TargetField], meanings: Mapping[str, Meaning]
) -> Sequence[Candidate]:
    """The start and the end of an event, out of days and times."""
    day = best.get("startDate") or best.get("date")
    made = [
        _moment("start", best, fields, meanings, day),
        _moment("end", best, fields, meanings, best.get("endDate") or day),
    ]
    return [one for one in made if one is not None]


def _moment(
    moment: str,
    best: Columns,
    fields: Mapping[str, TargetField],
    meanings: Mapping[str, Meaning],
    day: ColumnProfile | None,
) -> Candidate | None:
    field = fields.get(moment)
    if field is None or day is None or moment in best:
        return None
    time = best.get(f"{moment}Time")
    if time is not None and f"{moment}Time" not in fields:
        return _join_columns(field, [day, time], meanings)
    alone = fields.get(f"{moment}Date", field)
    has_own_day = moment == "start" or "endDate" in best
    if time is not None or not has_own_day or "date" in fields or _is_timed(best):
        return None
    why = f"{day.name!r} has days without times"
    return Candidate(alone.path, (day.name,), "synonym", why, meanings[day.name].confidence)


def _is_timed(best: Columns) -> bool:
    """Whether the file has times of its events: then a day alone is none of their ends."""
    return bool({"start", "startTime", "end", "endTime"} & best.keys())
