"""`metaData.mapping`: the mapping of an upload, out of the request or saved before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from openbulk.api.services import Services
from openbulk.domain.errors import BadInput
from openbulk.domain.file_mapping import FileMapping, is_reference, parse_mapping
from openbulk.domain.instance import CallingInstance
from openbulk.domain.options import json_text
from openbulk.domain.people import Caller
from openbulk.domain.records import Target
from openbulk.domain.spelling import same_name, suggestion
from openbulk.engine.mapping_check import PLACE, columns_of_file, mapping_for_file
from openbulk.engine.mapping_proposals import mapped_file_of, propose_mapping, require_sure
from openbulk.formats.recognition import Inspection
from openbulk.mapping.proposal import Saved
from openbulk.storage.mappings import SavedMapping

AUTO = "auto"
_REFERENCE_KEYS = {"name", "version"}


async def with_mapping(
    services: Services, caller: Caller, target: Target, file: Inspection
) -> Target:
    """The target of an upload with its mapping, whose columns the file has. Raises BadInput.

    Its options name the version of a saved mapping.
    """
    instance = caller.instance
    assert instance is not None
    given = target.options["mapping"]
    options = dict(target.options)
    if isinstance(given, str) and given.lower() == AUTO:
        mapping = await _propose(services, instance, caller.user.id, target, file)
    else:
        saved = await _find_saved(services, instance, target, given)
        if saved is not None:
            options["mapping"] = {"name": saved.saved.name, "version": saved.version}
        mapping = _for_file(
            parse_mapping(given) if saved is None else saved.saved.mapping, given, file
        )
    return replace(
        target,
        options=options,
        mapping=mapping,
        identifier_field=_field_of_identifier(target.identifier_field, mapping, file),
    )


def _for_file(mapping: FileMapping, given: Any, file: Inspection) -> FileMapping:
    """The mapping with the columns of a file. Raises BadInput."""
    try:
        return mapping_for_file(mapping, file)
    except BadInput as error:
        if not isinstance(given, Mapping) or given.keys() != {"name"}:
            raise
        name = given["name"]
        raise BadInput(
            f"{error.message}; if {name!r} is a saved mapping, send its name alone as {PLACE}, or "
            f'{{"name": {json_text(name)}, "version": 1}}'
        ) from error


async def _propose(
    services: Services, instance: CallingInstance, user_id: int, target: Target, file: Inspection
) -> FileMapping:
    """The mapping that openbulk proposes. Raises BadInput if it is not sure."""
    connector = (await services.connections.to(instance.id)).connector
    saved = await saved_mappings(services, instance, target.object, user_id)
    mapped = mapped_file_of(file, target.options)
    proposal = await propose_mapping(mapped, target, connector, saved)
    return require_sure(proposal, mapped.columns)


async def saved_mappings(
    services: Services, instance: CallingInstance, object: str, user_id: int
) -> Sequence[Saved]:
    """The mappings that were saved for an object: the user's own first, newest first."""
    found = await services.mappings.all_of(instance.organization_id, element=instance.element)
    fitting = [one for one in found if _last_step(one.saved.object) == _last_step(object)]
    fitting.sort(key=lambda one: one.user_id != user_id)
    return [
        Saved(one.saved.name, frozenset(one.saved.header), one.saved.mapping) for one in fitting
    ]


def _last_step(object: str) -> str:
    """The name of an object; a path may be around it: calendars/primary/events."""
    return object.rpartition("/")[2]


async def _find_saved(
    services: Services, instance: CallingInstance, target: Target, given: Any
) -> SavedMapping | None:
    """The saved mapping that is named; None for a mapping that is sent. Raises BadInput."""
    if isinstance(given, str):
        return await _saved_mapping(services, instance, target, given)
    if isinstance(given, Mapping) and is_reference(given):
        name, version = _parse_reference(given)
        return await _saved_mapping(services, instance, target, name, version)
    return None


def _parse_reference(given: Mapping[str, Any]) -> tuple[str, int]:
    name, version = given.get("name"), given["version"]
    if not isinstance(name, str) or given.keys() != _REFERENCE_KEYS:
        raise BadInput(
            f'{PLACE} is not a version of a saved mapping; it looks like {{"name": "Timetable", '
            '"version": 2}'
        )
    return name, version


async def _saved_mapping(
    services: Services,
    instance: CallingInstance,
    target: Target,
    name: str,
    version: int | None = None,
) -> SavedMapping:
    organization_id = instance.organization_id
    found = await services.mappings.latest(organization_id, name, version)
    if found is None and version is not None:
        latest = await services.mappings.latest(organization_id, name)
        if latest is not None:
            raise BadInput(
                f"{PLACE}: {name!r} has no version {version}; its latest one is {latest.version}"
            )
    if found is None:
        names = await services.mappings.names_of(organization_id)
        raise BadInput(
            f"{PLACE} {name[:80]!r} is no saved mapping; {suggestion(name, [*names, AUTO])}"
        )
    is_for_object = _last_step(found.saved.object) == _last_step(target.object)
    if found.saved.element != instance.element or not is_for_object:
        raise BadInput(
            f"{PLACE} {name[:80]!r} is for {found.saved.object!r} of {found.saved.element}, and "
            f"these records are {target.object!r} of {instance.element}; save one for them with "
            "POST /mappings"
        )
    return found


def _field_of_identifier(name: str | None, mapping: FileMapping, file: Inspection) -> str | None:
    """The field that identifies records, if the caller names the column that it is made of.

    Raises BadInput for a column of the file that makes no field alone.
    """
    if name is None or same_name(name, mapping.sources) is not None:
        return name
    column = same_name(name, columns_of_file(file))
    fields = [field for field, one in mapping.sources.items() if one.columns == (column,)]
    if column is None or len(fields) == 1:
        return fields[0] if fields else name
    made = "makes no field alone; add the field that it makes to the mapping"
    if fields:
        made = f"makes the fields {', '.join(fields)}; name one of them"
    raise BadInput(
        f"metaData.identifierFieldName is {name!r}, and the column {column!r} of the file {made}"
    )
