"""Proposes how the columns of a file make the fields of an object, and says why and how sure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from openbulk.domain.file_mapping import FieldSource, FileMapping
from openbulk.domain.file_profile import ColumnProfile
from openbulk.domain.file_questions import Question
from openbulk.domain.spelling import fold_name
from openbulk.mapping.candidates import (
    SURE,
    Candidate,
    ProposedField,
    named_candidates,
    similar_candidates,
    synonym_candidates,
)
from openbulk.mapping.days import Rows, with_whole_days
from openbulk.mapping.numbers import with_decimal_signs
from openbulk.mapping.roles import best_columns, joined_candidates, resolve, resolve_moments
from openbulk.mapping.targets import Schema, TargetField, fields_of, kind_of, with_meanings
from openbulk.mapping.vocabulary import Vocabulary

MIN_CONFIDENCE = 0.4
"""What is less sure is not proposed."""
MAX_ALTERNATIVES = 3
MAX_COLUMNS = 1_000
"""Columns that are looked at; further ones make no field."""
_AS_SURE = 0.03
"""Two columns whose confidences differ by less are as sure as each other."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A mapping that was saved for files with the same columns."""

    name: str
    header: frozenset[str]
    mapping: FileMapping

    def for_file(self, names: Iterable[str]) -> FileMapping | None:
        """The mapping with the columns of a file; None if it was not saved for such files.

        Columns that are empty in this file may be missing among `names`, unless they are read.
        """
        spelt = {fold_name(name): name for name in names}
        read = {name: spelt.get(fold_name(name)) for name in self.mapping.columns}
        header = set(map(fold_name, self.header))
        if not spelt.keys() <= header or None in read.values():
            return None
        return self.mapping.with_columns({name: own for name, own in read.items() if own})


@dataclass(frozen=True, slots=True)
class Proposal:
    """How the columns of a file could make the fields of an object."""

    fields: tuple[ProposedField, ...]
    not_taken: tuple[str, ...]
    """The columns that make no field."""
    questions: tuple[Question, ...] = ()
    """What only the owner of the file knows."""
    missing: tuple[str, ...] = ()
    """Sentences on fields that a record needs, and no column makes."""

    @property
    def sure(self) -> bool:
        """Whether it can be used as it is."""
        return bool(self.fields) and not self.missing and all(one.sure for one in self.fields)

    @property
    def mapping(self) -> FileMapping | None:
        """The mapping, with the fields that are not sure; None if no column makes a field."""
        if not self.fields:
            return None
        return FileMapping({one.field: one.source for one in self.fields})


def propose(
    columns: Sequence[ColumnProfile],
    schema: Schema,
    object: str,
    saved: Sequence[Saved] = (),
    rows: Rows = (),
    decimal: str | None = None,
) -> Proposal:
    """A proposal for a file with these columns, and these first rows.

    `decimal` is the decimal sign of its numbers, if its owner says so.

    The first of `saved` that fits these columns is used as it is. Each field is made at most
    once, and each column makes at most one field, except days that belong to several times.
    """
    names = [column.name for column in columns]
    for one in saved:
        mapping = one.for_file(names)
        if mapping is not None:
            return _as_saved(columns, one.name, mapping)
    fields = fields_of(schema)
    vocabulary = kind_of(object, fields)
    fields = with_meanings(fields, vocabulary)
    fields = _resolve_fields(fields, vocabulary)
    looked_at = columns[:MAX_COLUMNS]
    candidates = _candidates(looked_at, fields, vocabulary)
    chosen = _choose(candidates)
    chosen |= _choose(_similar(looked_at, fields, vocabulary, chosen), chosen)
    if schema.get("additionalProperties", False) is not False:
        chosen |= _as_they_are(looked_at, chosen)
    order = {field.path: number for number, field in enumerate(fields)}
    proposed = [
        _proposed_field(one, candidates, chosen)
        for one in sorted(chosen.values(), key=lambda one: order.get(one.field, len(order)))
    ]
    of_numbers = with_decimal_signs(proposed, looked_at, fields, decimal)
    made, questions = with_whole_days(of_numbers, looked_at, fields, vocabulary, rows)
    return replace(_with_rest(columns, made), questions=tuple(questions))


def _as_saved(columns: Sequence[ColumnProfile], name: str, mapping: FileMapping) -> Proposal:
    why = f"the mapping {name!r} was saved for files with these columns"
    fields = [
        ProposedField(field, source, "saved", why, 1.0, sure=True)
        for field, source in mapping.sources.items()
    ]
    return _with_rest(columns, fields)


def _as_they_are(
    columns: Sequence[ColumnProfile], chosen: dict[str, Candidate]
) -> dict[str, Candidate]:
    """Candidates for the columns that are left, in an object that takes any field."""
    taken = {name for one in chosen.values() for name in one.columns}
    why = "the object takes a field of any name"
    return {
        column.name: Candidate(column.name, (column.name,), "any", why, 1.0)
        for column in columns
        if column.name not in taken and column.name not in chosen
    }


def _with_rest(columns: Sequence[ColumnProfile], fields: Sequence[ProposedField]) -> Proposal:
    taken = {name for one in fields for name in one.source.all_columns}
    rest = tuple(column.name for column in columns if column.name not in taken)
    return Proposal(tuple(fields), rest)


def _resolve_fields(fields: Sequence[TargetField], vocabulary: Vocabulary) -> Sequence[TargetField]:
    """The fields with meanings that depend on each other: `name` beside `first_name`."""
    own = {one.path: one.meaning for one in fields if one.meaning is not None}
    resolved = resolve(own, kind=vocabulary.kind)
    return [replace(one, meaning=resolved.get(one.path)) for one in fields]


def _candidates(
    columns: Sequence[ColumnProfile], fields: Sequence[TargetField], vocabulary: Vocabulary
) -> Sequence[Candidate]:
    meanings = resolve(
        vocabulary.meanings_of(column.name for column in columns), kind=vocabulary.kind
    )
    if vocabulary.kind == "event":
        meanings = resolve_moments(columns, meanings)
    best = best_columns(columns, meanings)
    joined = joined_candidates(best, fields, meanings)
    # A column that makes a field together with others does not make another one alone.
    in_joined = {name for one in joined for name in one.columns}
    alone = [
        one
        for one in (
            *named_candidates(columns, fields, meanings),
            *synonym_candidates(columns, fields, meanings),
        )
        if one.columns[0] not in in_joined or one.confidence == 1.0
    ]
    found = [one for one in (*alone, *joined) if one.confidence >= MIN_CONFIDENCE]
    return sorted(found, key=lambda one: -one.confidence)


def _choose(
    candidates: Sequence[Candidate], before: dict[str, Candidate] | None = None
) -> dict[str, Candidate]:
    """The best candidate of each field, so that no column makes two."""
    chosen: dict[str, Candidate] = {}
    taken = {name for one in (before or {}).values() for name in one.columns}
    joined: set[str] = set()
    for one in candidates:
        if one.field in chosen or one.field in (before or {}):
            continue
        # The day of a start is also the day of its end.
        free = [name for name in one.columns if name not in taken or name in joined]
        if len(free) < len(one.columns) or (len(one.columns) == 1 and free[0] in joined):
            continue
        chosen[one.field] = one
        taken.update(one.columns)
        if len(one.columns) > 1:
            joined.update(one.columns[:1])
    return chosen


def _similar(
    columns: Sequence[ColumnProfile],
    fields: Sequence[TargetField],
    vocabulary: Vocabulary,
    chosen: dict[str, Candidate],
) -> Sequence[Candidate]:
    """Candidates for the columns and the fields that are left, as far as no word is known."""
    taken = {name for one in chosen.values() for name in one.columns}
    known = vocabulary.meanings_of(column.name for column in columns)
    left = [one for one in columns if one.name not in taken and one.name not in known]
    free = [one for one in fields if one.path not in chosen]
    found = similar_candidates(left, free, vocabulary)
    return sorted(found, key=lambda one: -one.confidence)


def _proposed_field(
    one: Candidate, candidates: Sequence[Candidate], chosen: dict[str, Candidate]
) -> ProposedField:
    taken = {name for other in chosen.values() for name in other.columns}
    others = {
        other.columns: other
        for other in reversed(candidates)
        if other.field == one.field and other.columns != one.columns
    }
    alternatives = sorted(others.values(), key=lambda other: -other.confidence)
    rivals = [
        other
        for other in alternatives
        if one.confidence - other.confidence < _AS_SURE and not taken.issuperset(other.columns)
    ]
    why = one.why
    if rivals:
        why += f"; {rivals[0].columns[0]!r} may be it as well"
    is_joined = len(one.columns) > 1
    return ProposedField(
        one.field,
        FieldSource(one.columns, is_joined=is_joined),
        one.reason,
        why,
        one.confidence,
        sure=one.confidence >= SURE and not rivals,
        alternatives=tuple(alternatives[:MAX_ALTERNATIVES]),
    )
