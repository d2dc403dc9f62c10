"""Proposes mappings for files of an instance: what its service says of an object decides."""

from collections.abc import Sequence

from openbulk.connectors.base import Connector
from openbulk.connectors.columns import schema_for_files
from openbulk.connectors.targets import refusal_to_upload, resolve_target
from openbulk.domain.errors import BadInput
from openbulk.domain.file_mapping import FileMapping
from openbulk.domain.file_profile import ColumnProfile
from openbulk.domain.records import Target
from openbulk.engine.mapping_check import PLACE
from openbulk.exact_json import encode_json
from openbulk.formats.recognition import Inspection
from openbulk.mapping.proposal import Proposal, ProposedField, Saved, propose
from openbulk.reading.profiling import FileProfiler
from openbulk.threads import Threads

MAX_NAMED = 5
"""Fields that a message names."""
_THREADS = Threads("proposals", 1)


async def propose_mapping(
    columns: Sequence[ColumnProfile], target: Target, connector: Connector, saved: Sequence[Saved]
) -> Proposal:
    """A proposal for a file with these columns.

    Raises BadInput for an object or an action that the service does not have, and ServiceError.
    """
    objects = await connector.objects()
    target = resolve_target(target, objects)
    refusal = refusal_to_upload(target, objects)
    if refusal is not None:
        raise BadInput(refusal)
    schema = await connector.metadata(target.object)
    schema = schema_for_files(target, objects[target.object], schema)
    # A file may have thousands of columns.
    return await _THREADS.run(propose, columns, schema, target.object, saved)


def profiles_of(file: Inspection) -> Sequence[ColumnProfile]:
    """The columns of a file, as its first rows show them; also those that are empty there."""
    profiler = FileProfiler(file.header, is_nested=not file.format.names_are_paths)
    for row in file.rows:
        profiler.add(row)
    return profiler.profile()


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
    open_fields = [one for one in proposal.fields if not one.sure]
    shown = "; ".join(map(_describe_field, open_fields[:MAX_NAMED]))
    more = f"; and {len(open_fields) - MAX_NAMED} more" * (len(open_fields) > MAX_NAMED)
    text = encode_json(mapping.as_json()).decode()
    raise BadInput(
        f"{PLACE} is auto, and not every field is sure: {shown}{more}. Correct this proposal, and "
        f"send it as {PLACE}: {text}"
    )


def _describe_field(one: ProposedField) -> str:
    return f"{one.field} ({one.why})"
