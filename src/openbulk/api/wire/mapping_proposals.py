"""Proposals of mappings on the wire."""

from typing import Annotated, Any

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.files import FileQuestion, present_question
from openbulk.api.wire.schema import EXACT, doc
from openbulk.domain.file_questions import Question
from openbulk.mapping.candidates import Candidate, ProposedField, Reason
from openbulk.mapping.proposal import Proposal


@with_config(EXACT)
class ShownAlternative(TypedDict):
    """Another way to make a field."""

    columns: Annotated[list[str], doc("Columns that could make the field.", ["Raum"])]
    reason: Annotated[Reason, doc("Kind of the reason, as below.", "synonym")]
    confidence: Annotated[float, doc("From 0 to 1.", 0.95)]


@with_config(EXACT)
class ShownField(TypedDict):
    """How a field could be made."""

    field: Annotated[str, doc("Field of the object.", "summary")]
    columns: Annotated[list[str], doc("Columns that make it.", ["Titel"])]
    reason: Annotated[
        Reason,
        doc(
            "saved (a saved mapping), name, title or comment of the field, synonym, joined "
            "(several columns together), similar, or any (the object takes a field of any name).",
            "synonym",
        ),
    ]
    why: Annotated[str, doc("The reason in a sentence.", "'Titel' is a word for Subject")]
    confidence: Annotated[float, doc("From 0 to 1.", 0.95)]
    sure: Annotated[bool, doc("Whether the field need not be asked about.", True)]
    alternatives: Annotated[list[ShownAlternative], doc("Other ways, the likeliest first.", [])]


@with_config(EXACT)
class ShownProposal(TypedDict):
    """How the columns of a file could make the fields of an object."""

    object: Annotated[str, doc("Object that it is for.", "events")]
    sure: Annotated[bool, doc("Whether every field is sure, as `auto` needs it.", True)]
    mapping: Annotated[
        dict[str, Any], doc("For `metaData.mapping`, as it is or corrected.", {"summary": "Titel"})
    ]
    fields: Annotated[list[ShownField], doc("Each field of it, and why.")]
    notTaken: Annotated[list[str], doc("Columns that make no field.", ["Klasse"])]
    missing: Annotated[
        list[str], doc("Sentences on what a new record needs, and no column makes.", [])
    ]
    questions: Annotated[
        list[FileQuestion], doc("What the file leaves open, and what its mapping does.", [])
    ]


def present_proposal(object: str, proposal: Proposal, questions: list[Question]) -> dict[str, Any]:
    """A proposal, with the questions of the file."""
    mapping = proposal.mapping
    return {
        "object": object,
        "sure": proposal.sure,
        "mapping": {} if mapping is None else mapping.as_json(),
        "fields": [_present_field(one) for one in proposal.fields],
        "notTaken": list(proposal.not_taken),
        "missing": list(proposal.missing),
        "questions": [present_question(one) for one in (*questions, *proposal.questions)],
    }


def _present_field(one: ProposedField) -> dict[str, Any]:
    return {
        "field": one.field,
        "columns": list(one.source.columns),
        "reason": one.reason,
        "why": one.why,
        "confidence": round(one.confidence, 2),
        "sure": one.sure,
        "alternatives": [_present_alternative(other) for other in one.alternatives],
    }


def _present_alternative(other: Candidate) -> dict[str, Any]:
    return {
        "columns": list(other.columns),
        "reason": other.reason,
        "confidence": round(other.confidence, 2),
    }
