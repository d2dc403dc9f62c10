"""The fields of an object that a column can make, and what they mean."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from openbulk.domain.file_profile import ColumnProfile
from openbulk.mapping.vocabulary import KINDS, Meaning, Vocabulary, vocabulary_of
from openbulk.mapping.words import words_of

Schema = Mapping[str, Any]

MAX_LEVELS = 3
MAX_COMMENT = 60
"""Characters of a description that may be the field's name for people."""
MIN_SHARE = 0.5
"""Share of a column's cells that have to be of a type."""
NAMES_COUNT = 3
"""The name of an object counts as so many of its fields."""
_KIND_NAMES: Mapping[str, str] = {
    "event": "event events termin termine appointment appointments kalender calendar timetable "
    "stundenplan lessons meetings veranstaltungen",
    "contact": "contact contacts kontakt kontakte person persons people personen lead leads member "
    "members mitglieder schueler students teachers lehrer users employees adressen",
    "account": "account accounts company companies firma firmen organization organizations "
    "organisation organisationen vendors suppliers lieferanten",
}
"""Words in the names of objects."""
_TYPES: Mapping[str, frozenset[str]] = {
    "date": frozenset({"date", "datetime"}),
    "date-time": frozenset({"date", "datetime"}),
    "time": frozenset({"time", "datetime"}),
    "number": frozenset({"number"}),
    "integer": frozenset({"number"}),
    "boolean": frozenset({"yesNo", "number"}),
    "email": frozenset({"email", "list"}),
}
"""The types of cells that a field of a format, or of a type, takes."""
_TYPES_OF_CONCEPTS: Mapping[str, frozenset[str]] = {
    "email": frozenset({"email", "list"}),
    "attendees": frozenset({"email", "list"}),
    "website": frozenset({"url", "text"}),
    "phone": frozenset({"phone", "number"}),
    "mobile": frozenset({"phone", "number"}),
    "fax": frozenset({"phone", "number"}),
    "birthday": frozenset({"date", "datetime"}),
}


@dataclass(frozen=True, slots=True)
class TargetField:
    """A field of the object."""

    path: str
    schema: Schema
    meaning: Meaning | None = None
    is_for_people: bool = True
    """Whether people know it by its name; otherwise only a column of exactly its name means it."""

    @property
    def title(self) -> str:
        """The name that the service shows to people; "" if it has none."""
        return str(self.schema.get("title", ""))

    @property
    def comment(self) -> str:
        """The field's description, if it is so short that it may be a name."""
        text = str(self.schema.get("description", ""))
        return text if len(text) <= MAX_COMMENT else ""

    @property
    def format(self) -> str:
        """`date`, `date-time`, `time`, another format, or the type of its values."""
        return str(self.schema.get("format") or self.schema.get("type") or "")

    @property
    def asks_for_mail_address(self) -> bool:
        """Whether a name is no value of it, though people call a list of names so."""
        return self.meaning is not None and self.meaning.concept == "attendees"

    def takes(self, column: ColumnProfile) -> bool | None:
        """Whether the cells of a column look like values of the field; None if nothing shows it."""
        types = {one.type for one in column.types if one.share >= MIN_SHARE}
        concept = "" if self.meaning is None else self.meaning.concept
        wanted = _TYPES.get(self.format) or _TYPES_OF_CONCEPTS.get(concept)
        if not types or wanted is None:
            return None
        return bool(types & wanted)

    def has_values_of(self, column: ColumnProfile) -> bool | None:
        """Whether the samples of a column are values of the field; None if it takes any."""
        choices = {str(one).casefold() for one in self.schema.get("enum", ())}
        if not choices:
            return None
        return bool(column.samples) and choices.issuperset(map(str.casefold, column.samples))


def fields_of(schema: Schema) -> Sequence[TargetField]:
    """The single values of an object that a file can set."""
    return list(_fields(schema, "", MAX_LEVELS))


def _fields(schema: Schema, prefix: str, levels: int) -> Iterator[TargetField]:
    for name, field in schema.get("properties", {}).items():
        if field.get("readOnly") or field.get("deprecated"):
            continue
        path = f"{prefix}{name}"
        if field.get("properties"):
            if levels > 1:
                yield from _fields(field, f"{path}.", levels - 1)
        elif field.get("type") == "array":
            if field.get("items", {}).get("properties"):
                yield from _fields(field["items"], f"{path}[0].", 1)
            else:
                yield TargetField(path, field)
        else:
            yield TargetField(path, field)


# --- what they mean ---


def kind_of(object: str, fields: Sequence[TargetField]) -> Vocabulary:
    """The words for an object: those of the kind that most of its fields are named by."""
    names = set(words_of(object))

    def count(kind: str) -> int:
        vocabulary = vocabulary_of(kind)
        concepts = {one.meaning.concept for one in _with_own_meanings(fields, vocabulary)
                    if one.meaning is not None}  # fmt: skip
        return len(concepts) + NAMES_COUNT * bool(names & set(_KIND_NAMES[kind].split()))

    return vocabulary_of(max(KINDS, key=count))


def with_meanings(fields: Sequence[TargetField], vocabulary: Vocabulary) -> Sequence[TargetField]:
    """The fields with what they mean; a field alone has each meaning."""
    found = _with_own_meanings(fields, vocabulary)
    stated = {path: concept for concept, paths in vocabulary.fields.items() for path in paths}
    named = [
        replace(one, meaning=Meaning(stated[one.path], 1.0)) if one.path in stated else one
        for one in found
    ]
    if any(one.path in stated for one in named):
        # The other fields of such a service are not what people mean by their words.
        named = [
            one if one.path in stated else replace(one, meaning=None, is_for_people=False)
            for one in named
        ]
    return [_by_format(one) for one in named]


def _with_own_meanings(
    fields: Sequence[TargetField], vocabulary: Vocabulary
) -> Sequence[TargetField]:
    by_name = vocabulary.meanings_of(_last_name(one.path) for one in fields)
    by_title = vocabulary.meanings_of(one.title for one in fields if one.title)
    by_comment = vocabulary.meanings_of(one.comment for one in fields if one.comment)
    return [
        replace(
            one,
            meaning=by_title.get(one.title)
            or by_name.get(_last_name(one.path))
            or by_comment.get(one.comment),
        )
        for one in fields
    ]


def _last_name(path: str) -> str:
    return path.rpartition(".")[2]


_OF_DAYS = {"start": "startDate", "end": "endDate"}
_OF_TIMES = {"start": "startTime", "end": "endTime"}
_OF_MOMENTS = {"startDate": "start", "endDate": "end", "startTime": "start", "endTime": "end"}


def _by_format(field: TargetField) -> TargetField:
    """The field with the meaning that its format has: the `start` of a table may be a time."""
    table = {"date": _OF_DAYS, "time": _OF_TIMES, "date-time": _OF_MOMENTS}.get(field.format, {})
    meaning = field.meaning
    if meaning is None or meaning.concept not in table:
        return field
    return replace(field, meaning=replace(meaning, concept=table[meaning.concept]))
