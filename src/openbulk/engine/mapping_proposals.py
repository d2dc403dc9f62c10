"""Proposes mappings for files of an instance: what its service says of an object decides."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from openbulk.connectors.base import Connector, Features
from openbulk.connectors.columns import Columns, schema_for_files
from openbulk.connectors.date_fields import DateFields
from openbulk.connectors.field_names import Schema
from openbulk.connectors.fields import FieldError
from openbulk.connectors.targets import refusal_to_upload, resolve_target
from openbulk.domain.errors import BadInput
from openbulk.domain.field_paths import path_text
from openbulk.domain.file_mapping import FieldSource, FileMapping
from openbulk.domain.file_profile import ColumnProfile
from openbulk.domain.file_questions import Question
from openbulk.domain.records import Action, Row, Target
from openbulk.domain.spelling import same_name
from openbulk.engine.mapping_check import PLACE
from openbulk.exact_json import encode_json
from openbulk.formats.recognition import Inspection
from openbulk.mapping.candidates import ProposedField
from openbulk.mapping.days import Rows
from openbulk.mapping.open_questions import with_file_questions
from openbulk.mapping.proposal import Proposal, Saved, propose
from openbulk.mapping.zones import with_zones
from openbulk.reading.profiling import FileProfiler
from openbulk.threads import Threads

MAX_NAMED = 5
"""Fields that a message names."""
_MAKING = frozenset({Action.CREATE, Action.UPSERT})
_THREADS = Threads("proposals", 1)


@dataclass(frozen=True, slots=True)
class MappedFile:
    """What a proposal has to know of a file."""

    columns: Sequence[ColumnProfile]
    rows: Rows
    """Its first rows."""
    questions: Sequence[Question]
    """What it leaves open."""
    decimal: str | None = None
    """The decimal sign that its owner says it has."""


async def propose_mapping(
    file: MappedFile, target: Target, connector: Connector, saved: Sequence[Saved]
) -> Proposal:
    """A proposal for a file.

    Raises BadInput for an object or an action that the service does not have, and ServiceError.
    """
    objects = await connector.objects()
    target = resolve_target(target, objects)
    refusal = refusal_to_upload(target, objects)
    if refusal is not None:
        raise BadInput(refusal)
    schema = await connector.metadata(target.object)
    # A file may have thousands of columns.
    return await _THREADS.run(_propose, file, target, objects[target.object], schema, saved)


def _propose(
    file: MappedFile, target: Target, features: Features, schema: Schema, saved: Sequence[Saved]
) -> Proposal:
    shown = schema_for_files(target, features, schema)
    proposal = propose(file.columns, shown, target.object, saved, file.rows, file.decimal)
    if not proposal.fields:
        return proposal
    proposal = with_file_questions(proposal, file.columns, file.questions)
    if features.any_identifier:
        proposal = _with_own_identifier(proposal, target.identifier_field)
    try:
        columns = Columns(target, features, schema, names_are_paths=True)
    except FieldError:  # of the identifier, as the upload will say
        return proposal
    proposal = _with_zones(proposal, file.rows, features, columns, schema)
    missing = [*_absent_fields(proposal, target, features, schema, columns)]
    return replace(proposal, missing=tuple(missing))


def _with_zones(
    proposal: Proposal, rows: Rows, features: Features, columns: Columns, schema: Schema
) -> Proposal:
    """The proposal with the zone of local times, where a field of the service is an instant."""
    local = features.local_times
    if local is None:
        return proposal
    dates = DateFields(schema)
    instants = set()
    for one in proposal.fields:
        path = columns.path_of(one.field)
        if path is None or (local.fields is not None and path_text(path) not in local.fields):
            continue
        is_moment = dates.has_date(path) and not dates.has_day(path)
        if is_moment or dates.pair_at(path) is not None:
            instants.add(one.field)
    return with_zones(proposal, rows, instants, local.zone, is_asked=not local.is_of_service)


def _with_own_identifier(proposal: Proposal, name: str | None) -> Proposal:
    """The proposal with the caller's own identifier, which the service keeps."""
    column = name and same_name(name, proposal.not_taken)
    if not column:
        return proposal
    why = "metaData.identifierFieldName names the column, and the service keeps it"
    own = ProposedField(column, FieldSource((column,)), "name", why, 1.0, sure=True)
    rest = tuple(one for one in proposal.not_taken if one != column)
    return replace(proposal, fields=(*proposal.fields, own), not_taken=rest)


def _absent_fields(
    proposal: Proposal, target: Target, features: Features, schema: Schema, columns: Columns
) -> Iterator[str]:
    """Sentences on what a record needs, and no column makes."""
    made = [one.field for one in proposal.fields]
    groups = features.needs or [(name,) for name in schema.get("required", ())]
    for fields in groups if target.action in _MAKING else ():
        if any(columns.is_within(name, field) for name in made for field in fields):
            continue
        names = [_name(field, target) for field in fields]
        others = f" (or {' or '.join(names[1:])})" if names[1:] else ""
        yield (
            f"no column makes {names[0]}{others}, without which no record can be created; name "
            f'its column in the mapping, or write {{"value": ...}} for all records'
        )
    identifier = target.identifier_field
    column = identifier and same_name(identifier, proposal.not_taken)
    if column:
        yield (
            f"metaData.identifierFieldName is {identifier!r}, and no field is made of the column "
            f"{column!r}; add the field that it makes"
        )


def _name(field: str, target: Target) -> str:
    """A field as the caller knows it."""
    names = target.transformation
    return field if names is None else names.name_of(field)


def mapped_file_of(file: Inspection, options: Mapping[str, Any]) -> MappedFile:
    """What the first rows of a file show; its columns are also those that are empty there."""
    profiler = FileProfiler(file.header, is_nested=not file.format.names_are_paths)
    for row in file.rows:
        profiler.add(row)
    columns = profiler.profile()
    # Rows further down may answer a question.
    questions = profiler.questions(options) if file.is_whole else ()
    return MappedFile(columns, values_of(file.rows), questions, options.get("decimal") or None)


def values_of(rows: Iterable[Row]) -> Rows:
    """The values of rows; none of one that cannot be read, so that rows keep their numbers."""
    return [row.values or {} for row in rows]


def require_sure(proposal: Proposal, columns: Sequence[ColumnProfile]) -> FileMapping:
    """The mapping of a proposal. Raises BadInput if a field of it is not sure, and shows it."""
    mapping = proposal.mapping
    if mapping is None:
        names = ", ".join(one.name for one in columns[:MAX_NAMED])
        raise BadInput(
            f"{PLACE} is auto, and no column is like a field of the object (they are {names}); "
            "write the mapping"
        )
    if proposal.sure:
        return mapping
    text = encode_json(mapping.as_json()).decode()
    raise BadInput(
        f"{PLACE} is auto, and {'; '.join(_reasons(proposal))}. Correct this proposal, and send it "
        f"as {PLACE}: {text}"
    )


def _reasons(proposal: Proposal) -> Iterator[str]:
    """Why a proposal cannot be used as it is."""
    open_fields = [one for one in proposal.fields if not one.sure]
    if open_fields:
        shown = "; ".join(map(_describe_field, open_fields[:MAX_NAMED]))
        more = f"; and {len(open_fields) - MAX_NAMED} more" * (len(open_fields) > MAX_NAMED)
        yield f"not every field is sure: {shown}{more}"
    yield from proposal.missing
    yield from (question.message for question in proposal.questions if question.is_required)


def _describe_field(one: ProposedField) -> str:
    return f"{one.field} ({one.why})"
