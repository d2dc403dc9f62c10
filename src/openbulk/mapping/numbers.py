"""The decimal signs of columns that make numbers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from openbulk.domain.file_profile import ColumnProfile
from openbulk.domain.written_numbers import COMMA, POINT, SIGNS, WORDS, readings_of
from openbulk.mapping.candidates import UNSURE, ProposedField
from openbulk.mapping.targets import TargetField

_NUMBERS = frozenset({"number", "integer"})
_HAS_THOUSANDS = re.compile(r"[0-9][,'\u2019 \u00a0\u202f][0-9]{3}")


def with_decimal_signs(
    proposed: Sequence[ProposedField],
    columns: Sequence[ColumnProfile],
    fields: Sequence[TargetField],
    stated: str | None = None,
) -> Sequence[ProposedField]:
    """The fields, those of numbers with the decimal sign that their columns show.

    `stated` is the sign in `metaData.decimal`. If a column shows none, that of all others counts;
    if they show none or both, the field is not sure.
    """
    formats = {one.path: one.format for one in fields}
    profiles = {one.name: one for one in columns}
    shown = {sign for one in columns if (sign := _shown_sign(one)) is not None}
    of_file = shown.pop() if len(shown) == 1 else None
    return [
        _with_sign(one, profiles, stated, of_file) if formats.get(one.field) in _NUMBERS else one
        for one in proposed
    ]


def _with_sign(
    one: ProposedField,
    profiles: Mapping[str, ColumnProfile],
    stated: str | None,
    of_file: str | None,
) -> ProposedField:
    if one.source.is_joined:
        return one
    column = profiles[one.source.columns[0]]
    if stated is not None:
        return _with_stated_sign(one, stated, f"metaData.decimal is {stated!r}")
    if column.open_number is None:
        sign = _sign_of(column)
        return one if sign is None else _with_stated_sign(one, sign, _numbers_have(sign))
    if of_file is not None:
        return _with_stated_sign(
            one, of_file, f"the other numbers of the file have a {_name(of_file)}"
        )
    readings = readings_of(column.open_number)
    listed = " or ".join(f"{readings[sign]} with a {_name(sign)}" for sign in SIGNS)
    why = (
        f"{one.why}; {column.name!r} has {column.open_number!r}, which is {listed}: set "
        "metaData.decimal, or `decimal` in the mapping"
    )
    return replace(one, why=why, confidence=min(one.confidence, UNSURE), sure=False)


def _with_stated_sign(one: ProposedField, sign: str, why: str) -> ProposedField:
    return replace(one, why=f"{one.why}; {why}", source=replace(one.source, decimal=sign))


def _numbers_have(sign: str) -> str:
    return f"its numbers have a {_name(sign)}"


def _name(sign: str) -> str:
    return f"decimal {WORDS[sign]}"


def _shown_sign(column: ColumnProfile) -> str | None:
    """The sign that numbers of a column show; None if none does."""
    return next((one.detail for one in column.types if one.type == "number" and one.detail), None)


def _sign_of(column: ColumnProfile) -> str | None:
    """The sign that a mapping has to name; None if the cells are numbers as they are."""
    signs = {one.detail for one in column.types if one.type == "number"}
    if COMMA in signs:
        return COMMA
    has_thousands = any(map(_HAS_THOUSANDS.search, column.samples))
    return POINT if POINT in signs and has_thousands else None
