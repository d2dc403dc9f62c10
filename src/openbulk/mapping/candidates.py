"""The ways in which the columns of a file could make a field, each with how sure it is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rapidfuzz import fuzz, process

from openbulk.domain.file_mapping import FieldSource
from openbulk.domain.file_profile import ColumnProfile
from openbulk.mapping.targets import TargetField
from openbulk.mapping.vocabulary import Meaning, Vocabulary
from openbulk.mapping.words import key_of

Reason = Literal["saved", "name", "title", "comment", "synonym", "joined", "similar", "any"]

SURE = 0.85
"""Above this confidence, a field is filled without asking."""
UNSURE = SURE - 0.05
"""The highest confidence of a field that the file leaves open."""
_SAME_NAME, _FOLDED_NAME, _TITLE, _COMMENT = 1.0, 0.99, 0.98, 0.96
_BUSINESS, _HOME, _OTHER = 0.98, 0.65, 0.55
"""What is left of the confidence if only the column, or only the field, is that of the business."""
_WRONG_TYPE = 0.5
_OTHER_VALUES = 0.8
_SIMILAR, _LIKENESS = 0.8, 86.0
_COMPOUND = 0.7
MIN_CHARACTERS = 5
"""Shorter words are like too many others."""
MAX_CHARACTERS = 60
"""A longer name is no word for a field, and takes long to compare."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to make a field."""

    field: str
    columns: tuple[str, ...]
    reason: Reason
    why: str
    """The reason in a sentence."""
    confidence: float


@dataclass(frozen=True, slots=True)
class ProposedField:
    """How a field could be made."""

    field: str
    source: FieldSource
    reason: Reason
    why: str
    """The reason in a sentence."""
    confidence: float
    """From 0 to 1."""
    sure: bool
    """Whether it need not be asked about."""
    alternatives: tuple[Candidate, ...] = ()
    """Other ways, the most likely first."""


def named_candidates(
    columns: Sequence[ColumnProfile],
    fields: Sequence[TargetField],
    meanings: Mapping[str, Meaning],
) -> Iterator[Candidate]:
    """Columns with the name, the title or the comment of a field.

    A `Title` beside a `Job Title` means another field than the title that it has.
    """
    by_key: dict[str, list[ColumnProfile]] = {}
    for column in columns:
        by_key.setdefault(key_of(column.name), []).append(column)
    for field in fields:
        ways: Sequence[tuple[Reason, float, str]] = (
            ("name", _FOLDED_NAME, field.path),
            ("title", _TITLE, field.title),
            ("comment", _COMMENT, field.comment),
        )
        for reason, confidence, name in ways:
            for column in by_key.get(key_of(name), ()) if name else ():
                is_exact = reason == "name" and column.name == name
                may_be = field.is_for_people and _may_be(meanings.get(column.name), field.meaning)
                if is_exact or may_be:
                    yield _candidate(
                        field, column, reason, _WHY[reason], _SAME_NAME if is_exact else confidence
                    )


_WHY: Mapping[Reason, str] = {
    "name": "the column has the name of the field",
    "title": "the column has the title of the field",
    "comment": "the column has the description of the field",
}


def _may_be(column: Meaning | None, field: Meaning | None) -> bool:
    return column is None or field is None or column.concept == field.concept


def synonym_candidates(
    columns: Sequence[ColumnProfile],
    fields: Sequence[TargetField],
    meanings: Mapping[str, Meaning],
) -> Iterator[Candidate]:
    """Columns whose name means the same as a field's."""
    by_concept: dict[str, list[TargetField]] = {}
    for field in fields:
        if field.meaning is not None:
            by_concept.setdefault(field.meaning.concept, []).append(field)
    for column in columns:
        meaning = meanings.get(column.name)
        for field in by_concept.get(meaning.concept, ()) if meaning is not None else ():
            if field.asks_for_mail_address and not field.takes(column):
                continue  # Outlook's attendees are names
            share = _agreement(meaning, field.meaning)
            if meaning is not None and share:
                why = f"{column.name!r} is a word for {field.title or field.path}"
                yield _candidate(field, column, "synonym", why, meaning.confidence * share)


def _agreement(column: Meaning | None, field: Meaning | None) -> float:
    """How far a column and a field mean the same, from 0 to 1."""
    if column is None or field is None or column.concept != field.concept:
        return 0.0
    if column.ordinal != field.ordinal:
        return 0.0
    if column.qualifier == field.qualifier:
        return 1.0
    between = {column.qualifier, field.qualifier}
    if between == {"", "business"}:
        return _BUSINESS
    if field.qualifier:
        return 0.0
    return _HOME if column.qualifier == "home" else _OTHER


def similar_candidates(
    columns: Sequence[ColumnProfile], fields: Sequence[TargetField], vocabulary: Vocabulary
) -> Iterator[Candidate]:
    """Columns whose name is like a field's, or like a word for one, and whose cells fit it."""
    words = _words_for(fields, vocabulary)
    for column in columns:
        key = key_of(column.name)
        if not MIN_CHARACTERS <= len(key) <= MAX_CHARACTERS:
            continue
        found = process.extractOne(key, words.keys(), scorer=fuzz.ratio, score_cutoff=_LIKENESS)
        if found is not None:
            confidence = _SIMILAR * found[1] / 100
            word = found[0]
        else:
            endings = (key[start:] for start in range(1, len(key) - MIN_CHARACTERS + 1))
            word = next((ending for ending in endings if ending in words), "")
            confidence = _COMPOUND
        if not word:
            continue
        field = words[word]
        if field.takes(column) is not False:
            why = f"{column.name!r} is like {word!r}, a word for {field.title or field.path}"
            yield _candidate(field, column, "similar", why, confidence)


def _words_for(fields: Sequence[TargetField], vocabulary: Vocabulary) -> Mapping[str, TargetField]:
    """The words for fields, by their keys."""
    by_concept = {one.meaning.concept: one for one in reversed(fields) if one.meaning is not None
                  and one.meaning.ordinal == 1}  # fmt: skip
    words = {
        key: by_concept[concept]
        for key, concepts in vocabulary.words.items()
        for concept in concepts.values()
        if concept in by_concept and len(key) >= MIN_CHARACTERS
    }
    for field in fields:
        for name in (field.title, field.path) if field.is_for_people else ():
            if len(key_of(name)) >= MIN_CHARACTERS and "." not in name:
                words[key_of(name)] = field
    return words


def joined_candidate(
    field: TargetField, columns: Sequence[ColumnProfile], why: str, confidence: float
) -> Candidate:
    """A field that several columns make together."""
    return Candidate(field.path, tuple(one.name for one in columns), "joined", why, confidence)


def _candidate(
    field: TargetField, column: ColumnProfile, reason: Reason, why: str, confidence: float
) -> Candidate:
    """A column for a field; less sure if its cells do not look like values of the field."""
    if field.takes(column) is False:
        confidence *= _WRONG_TYPE
        why += ", but its cells do not look like values of the field"
    elif field.has_values_of(column) is False:
        confidence *= _OTHER_VALUES
        why += "; `values` may have to replace its cells by those that the field takes"
    return Candidate(field.path, (column.name,), reason, why, round(confidence, 3))
