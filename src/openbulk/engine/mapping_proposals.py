"""Proposes mappings for files of an instance: what its service says of an object decides."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from openbulk.connectors.base import Connector
from openbulk.connectors.columns import schema_for_files
from openbulk.connectors.targets import refusal_to_upload, resolve_target
from openbulk.domain.dates import iso_time, read_date
from openbulk.domain.errors import BadInput
from openbulk.domain.file_mapping import FileMapping
from openbulk.domain.file_profile import ColumnProfile, LikelyType, ValueType
from openbulk.domain.records import Target
from openbulk.engine.mapped_rows import cell_reader
from openbulk.engine.mapping_check import PLACE, columns_of_file
from openbulk.exact_json import encode_json
from openbulk.formats.recognition import Inspection
from openbulk.mapping.proposal import Proposal, ProposedField, Saved, propose
from openbulk.threads import Threads

MAX_NAMED = 5
"""Fields that a message names."""
_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")
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
    rows = [row.values for row in file.rows if row.values is not None]
    return [_profile(name, rows, file) for name in columns_of_file(file)]


def _profile(name: str, rows: Sequence[Mapping[str, Any]], file: Inspection) -> ColumnProfile:
    read = cell_reader(name, is_table=file.format.names_are_paths)
    cells = [str(cell) for values in rows if (cell := read(values)) not in (None, "")]
    counts = Counter(kind for cell in cells if (kind := _type_of(cell)) is not None)
    types = tuple(LikelyType(kind, count / len(cells)) for kind, count in counts.most_common())
    distinct = list(dict.fromkeys(cells))
    return ColumnProfile(name, len(cells) / len(rows), len(distinct), tuple(distinct[:3]), types)


def _type_of(text: str) -> ValueType | None:
    """What a cell looks like, as far as proposals ask; None for what they do not ask about."""
    if _ADDRESS.fullmatch(text):
        return "email"
    if iso_time(text) is not None:
        return "time"
    found = read_date(text)
    if found is None:
        return None
    return "datetime" if found.has_time else "date"


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
    shown = "; ".join(map(_describe, open_fields[:MAX_NAMED]))
    more = f"; and {len(open_fields) - MAX_NAMED} more" * (len(open_fields) > MAX_NAMED)
    text = encode_json(mapping.as_json()).decode()
    raise BadInput(
        f"{PLACE} is auto, and not every field is sure: {shown}{more}. Correct this proposal, and "
        f"send it as {PLACE}: {text}"
    )


def _describe(one: ProposedField) -> str:
    return f"{one.field} ({one.why})"
