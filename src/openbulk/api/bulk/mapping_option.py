"""`metaData.mapping`: the mapping of an upload, out of the request or saved before."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from openbulk.api.services import Services
from openbulk.domain.errors import BadInput
from openbulk.domain.file_mapping import FileMapping, parse_mapping
from openbulk.domain.instance import CallingInstance
from openbulk.domain.records import Target
from openbulk.domain.spelling import suggestion
from openbulk.engine.mapping_check import PLACE, mapping_for_file
from openbulk.formats.recognition import Inspection
from openbulk.storage.mappings import SavedMapping

AUTO = "auto"
_REFERENCE_KEYS = {"name", "version"}


async def with_mapping(
    services: Services, instance: CallingInstance, target: Target, file: Inspection
) -> Target:
    """The target of an upload with its mapping, whose columns the file has. Raises BadInput."""
    given = target.options["mapping"]
    mapping = await _mapping_of(services, instance, target, given)
    mapping = mapping_for_file(mapping, file)
    return replace(
        target,
        mapping=mapping,
        identifier_field=_field_of_identifier(target.identifier_field, mapping),
    )


async def _mapping_of(
    services: Services, instance: CallingInstance, target: Target, given: Any
) -> FileMapping:
    if isinstance(given, str):
        return (await _saved_mapping(services, instance, target, given)).saved.mapping
    # No entry of a mapping is a number, so this is none.
    if isinstance(given, Mapping) and isinstance(given.get("version"), int):
        name, version = _parse_reference(given)
        return (await _saved_mapping(services, instance, target, name, version)).saved.mapping
    return parse_mapping(given)


def _parse_reference(given: Mapping[str, Any]) -> tuple[str, int]:
    name, version = given.get("name"), given["version"]
    if not isinstance(name, str) or given.keys() != _REFERENCE_KEYS or isinstance(version, bool):
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
    # An object may be named by a path: calendars/primary/events.
    objects = (found.saved.object.rpartition("/")[2], target.object.rpartition("/")[2])
    if found.saved.element != instance.element or objects[0] != objects[1]:
        raise BadInput(
            f"{PLACE} {name[:80]!r} is for {found.saved.object!r} of {found.saved.element}, and "
            f"these records are {target.object!r} of {instance.element}; save one for them with "
            "POST /mappings"
        )
    return found


def _field_of_identifier(name: str | None, mapping: FileMapping) -> str | None:
    """The field that identifies records, if the caller names the column that it is made of."""
    if name is None or name in mapping.sources:
        return name
    fields = [field for field, one in mapping.sources.items() if one.columns == (name,)]
    return fields[0] if len(fields) == 1 else name
