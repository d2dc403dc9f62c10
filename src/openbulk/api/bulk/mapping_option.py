"""`metaData.mapping`: the mapping of an upload, out of the request or saved before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from openbulk.api.services import Services
from openbulk.domain.errors import BadInput
from openbulk.domain.file_mapping import FileMapping, parse_mapping
from openbulk.domain.instance import CallingInstance
from openbulk.domain.people import Caller
from openbulk.domain.records import Target
from openbulk.domain.spelling import suggestion
from openbulk.engine.mapping_check import PLACE, mapping_for_file
from openbulk.engine.mapping_proposals import profiles_of, propose_mapping, require_sure
from openbulk.formats.recognition import Inspection
from openbulk.mapping.proposal import Saved
from openbulk.storage.mappings import SavedMapping

AUTO = "auto"
_REFERENCE_KEYS = {"name", "version"}


async def with_mapping(
    services: Services, caller: Caller, target: Target, file: Inspection
) -> Target:
    """The target of an upload with its mapping, whose columns the file has. Raises BadInput."""
    instance = caller.instance
    assert instance is not None
    given = target.options["mapping"]
    if isinstance(given, str) and given.lower() == AUTO:
        mapping = await _propose(services, instance, caller.user.id, target, file)
    else:
        mapping = mapping_for_file(await _mapping_of(services, instance, target, given), file)
    return replace(
        target,
        mapping=mapping,
        identifier_field=_field_of_identifier(target.identifier_field, mapping),
    )


async def _propose(
    services: Services, instance: CallingInstance, user_id: int, target: Target, file: Inspection
) -> FileMapping:
    """The mapping that openbulk proposes. Raises BadInput if it is not sure."""
    connector = (await services.connections.to(instance.id)).connector
    saved = await saved_mappings(services, instance, target.object, user_id)
    columns = profiles_of(file)
    return require_sure(await propose_mapping(columns, target, connector, saved), columns)


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
    is_for_object = _last_step(found.saved.object) == _last_step(target.object)
    if found.saved.element != instance.element or not is_for_object:
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
