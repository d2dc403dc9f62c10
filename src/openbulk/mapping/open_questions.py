"""What a file leaves open makes the fields that depend on it unsure."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from openbulk.domain.file_profile import ColumnProfile
from openbulk.domain.file_questions import Question
from openbulk.domain.times_of_day import is_time_range
from openbulk.mapping.candidates import UNSURE, ProposedField
from openbulk.mapping.proposal import Proposal

_DATES = frozenset({"date", "datetime"})
_YEAR_FIRST = "YMD"


def with_file_questions(
    proposal: Proposal, columns: Sequence[ColumnProfile], questions: Sequence[Question]
) -> Proposal:
    """A proposal whose fields are not sure if they are read in two ways, or cannot be read."""
    ranges = {one.name for one in columns if any(map(is_time_range, one.samples))}
    if ranges:
        made = tuple(_without_ranges(one, ranges) for one in proposal.fields)
        proposal = replace(proposal, fields=made)
    if not any(one.key == "dateOrder" and one.is_required for one in questions):
        return proposal
    undecided = {one.name for one in columns if _depends_on_order(one)}
    fields = tuple(_with_question(one, undecided) for one in proposal.fields)
    return replace(proposal, fields=fields)


def _depends_on_order(column: ColumnProfile) -> bool:
    return any(one.type in _DATES and one.detail != _YEAR_FIRST for one in column.types)


def _with_question(one: ProposedField, undecided: AbstractSet[str]) -> ProposedField:
    if one.source.format is not None or undecided.isdisjoint(one.source.columns):
        return one
    why = f"{one.why}; the file does not show the order of its dates: set metaData.dateOrder"
    return replace(one, why=why, confidence=min(one.confidence, UNSURE), sure=False)


def _without_ranges(one: ProposedField, ranges: AbstractSet[str]) -> ProposedField:
    """The field, not sure if it is a time of columns that have a start and an end in one cell."""
    name = next((name for name in one.source.columns if name in ranges), None)
    if name is None or not one.source.is_joined or one.source.format is not None:
        return one
    why = f"{one.why}; {name!r} has a start and an end in one cell: give each a column"
    return replace(one, why=why, confidence=min(one.confidence, UNSURE), sure=False)
