"""The decimal signs of columns that make numbers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from openbulk.domain.file_profile import ColumnProfile
from openbulk.domain.written_numbers import COMMA, POINT, WORDS
from openbulk.mapping.candidates import ProposedField
from openbulk.mapping.targets import TargetField

_NUMBERS = frozenset({"number", "integer"})
_HAS_THOUSANDS = re.compile(r"[0-9][,'\u2019 \u00a0\u202f][0-9]{3}")


def with_decimal_signs(
    proposed: Sequence[ProposedField],
    columns: Sequence[ColumnProfile],
    fields: Sequence[TargetField],
) -> Sequence[ProposedField]:
    """The fields, those of numbers with the decimal sign that their columns show."""
    formats = {one.path: one.format for one in fields}
    profiles = {one.name: one for one in columns}
    return [
        _with_sign(one, profiles) if formats.get(one.field) in _NUMBERS else one for one in proposed
    ]


def _with_sign(one: ProposedField, profiles: Mapping[str, ColumnProfile]) -> ProposedField:
    sign = _sign_of(profiles[one.source.columns[0]])
    if sign is None or one.source.is_joined:
        return one
    why = f"{one.why}; its numbers have a decimal {WORDS[sign]}"
    return replace(one, why=why, source=replace(one.source, decimal=sign))


def _sign_of(column: ColumnProfile) -> str | None:
    """The sign that a mapping has to name; None if the cells are numbers as they are."""
    signs = {one.detail for one in column.types if one.type == "number"}
    if COMMA in signs:
        return COMMA
    has_thousands = any(map(_HAS_THOUSANDS.search, column.samples))
    return POINT if POINT in signs and has_thousands else None
