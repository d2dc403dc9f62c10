"""Times without a zone for fields that hold an instant: whose zone they get, and who is asked."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from openbulk.domain.file_mapping import FieldSource
from openbulk.domain.file_questions import Example, Question
from openbulk.domain.value_types import temporal_look
from openbulk.mapping.days import Rows
from openbulk.mapping.proposal import Proposal

_CHARACTERS = 100
_ZONE = "timeZone"


def with_zones(
    proposal: Proposal, rows: Rows, instants: Collection[str], zone: str, *, is_asked: bool
) -> Proposal:
    """A proposal that says of each field in `instants` which zone its local times get.

    `zone` is a sentence's end. With `is_asked`, it is openbulk's default, and a question, too. A
    column with zones beside a field answers it.
    """
    zoned = {one.field.rpartition(".")[0] for one in proposal.fields if _names_zone(one.field)}
    questions: list[Question] = []
    fields = []
    for one in proposal.fields:
        example = None
        around = one.field.rpartition(".")[0]
        if one.field in instants and zoned.isdisjoint({around, one.field}):
            example = _local_time(one.source, rows)
        if example is None:
            fields.append(one)
            continue
        fields.append(replace(one, why=f"{one.why}; times without a zone are in {zone}"))
        if is_asked and not questions:
            questions.append(_question(one.field, example, zone))
    return replace(proposal, fields=tuple(fields), questions=(*proposal.questions, *questions))


def _names_zone(field: str) -> bool:
    return field.rpartition(".")[2] == _ZONE


def _local_time(source: FieldSource, rows: Rows) -> Example | None:
    """The first row with a time that has no offset; None if there is none."""
    for number, row in enumerate(rows, 1):
        text = _text_of(source.columns, row)
        look = temporal_look(text) if text else None
        is_local = look is not None and look.is_local
        if is_local or (text and source.format is not None):
            return Example(number, ", ".join(source.columns), text[:_CHARACTERS])
    return None


def _text_of(columns: Sequence[str], row: Mapping[str, Any]) -> str:
    cells = (row.get(name) for name in columns)
    return " ".join(str(cell).strip() for cell in cells if cell not in (None, ""))


def _question(field: str, example: Example, zone: str) -> Question:
    return Question(
        _ZONE,
        f'row {example.row}: {example.column} "{example.text}" has no time zone, and {field} is an '
        f"instant; a job reads it in {zone}; metaData.{_ZONE} names another zone, like "
        "Europe/Berlin",
        example=example,
        is_required=False,
    )
