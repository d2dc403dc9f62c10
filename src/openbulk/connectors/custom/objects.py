"""The objects of an export: the calls of one path together, with fields and permissions."""

from collections.abc import Mapping, Sequence
from typing import Any

from openbulk.connectors.custom.calls import DescribedCall, is_parameter
from openbulk.connectors.custom.description import (
    Call,
    LeftOut,
    ObjectDescription,
    Operation,
)
from openbulk.connectors.custom.json_parts import flag_in, join, object_in, objects_in, text_in
from openbulk.connectors.custom.schemas import Models, schema_of_fields
from openbulk.connectors.targets import OF_THE_PLATFORM, UNDER_BULK

MAX_OBJECTS = 500
_WRITES = (Operation.CREATE, Operation.UPDATE, Operation.REPLACE)


class ObjectReader:
    """Puts the calls of an export together to objects."""

    def __init__(self, export: Mapping[str, Any], left_out: list[LeftOut]) -> None:
        self._export = export
        self._left_out = left_out
        self._named = Models()
        self._described = {
            text_in(one, "name", place): (place, one)
            for place, one in objects_in(export, "objects", "", MAX_OBJECTS)
        }

    def read(self, calls: Sequence[DescribedCall]) -> dict[str, ObjectDescription]:
        """The objects by their names. Raises BadInput."""
        by_path: dict[str, dict[Operation, DescribedCall]] = {}
        for one in calls:
            of_path = by_path.setdefault(_shape(one.path), {})
            first = next(iter(of_path.values()), one)
            if one.operation in of_path:
                place = of_path[one.operation].place
                self._leave_out(one, f"{place} describes this call already")
            elif one.path != first.path:
                # Callers give each parameter of an object once, under one name.
                self._leave_out(one, f"{first.place} has other names in this path; use the same")
            else:
                of_path[one.operation] = one
        names = _names(by_path)
        return {names[path]: self._object(names[path], made) for path, made in by_path.items()}

    def _leave_out(self, one: DescribedCall, reason: str) -> None:
        label = f"{text_in(one.resource, 'method', one.place)} {one.path}"
        self._left_out.append(LeftOut(one.place, f"{label}: {reason}"))

    def _object(self, name: str, made: Mapping[Operation, DescribedCall]) -> ObjectDescription:
        first = next(iter(made.values()))
        models = self._models(name, made)
        calls = {operation: one.call for operation, one in made.items()}
        id_field = _id_field(models, made)
        schema, sends_id = self._schema(models, made, id_field)
        return ObjectDescription(
            name=name,
            path=first.path,
            calls=calls,
            schema=schema,
            id_field=id_field,
            takes_uploads=self._flag("bulkUploadEnabled", models, made),
            gives_downloads=self._flag("bulkDownloadEnabled", models, made),
            changed=_date_of_change(models),
            sends_id=sends_id,
            lookups=_lookups(calls, schema, id_field),
        )

    def _models(
        self, name: str, made: Mapping[Operation, DescribedCall]
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """What the export says of the object: in its calls, and in its list of objects."""
        found = [
            (join(one.place, "object"), object_in(one.resource, "object", one.place))
            for one in made.values()
        ]
        if name in self._described:
            found.append(self._described[name])
        return [(place, model) for place, model in found if model]

    def _flag(
        self,
        name: str,
        models: Sequence[tuple[str, Mapping[str, Any]]],
        made: Mapping[Operation, DescribedCall],
    ) -> bool:
        """A permission: of the calls, else of the object, else of the whole export."""
        places = [
            *((one.place, one.resource) for one in made.values()),
            *reversed(models),
            ("", self._export),
        ]
        for place, model in places:
            flag = flag_in(model, name, place)
            if flag is not None:
                return flag
        return False

    # --- fields ---

    def _schema(
        self,
        models: Sequence[tuple[str, Mapping[str, Any]]],
        made: Mapping[Operation, DescribedCall],
        id_field: str | None,
    ) -> tuple[Mapping[str, Any], bool]:
        """The schema of the object, and whether a new record may have an id."""
        of_writes = [self._of_call(made[each]) for each in _WRITES if each in made]
        of_writes = [schema for schema in of_writes if schema.get("properties")]
        schemas = [
            *of_writes,
            *(schema_of_fields(model, place) for place, model in models),
            *(
                self._of_call(made[each])
                for each in (Operation.GET, Operation.LIST)
                if each in made
            ),
        ]
        properties: dict[str, Any] = {}
        for schema in schemas:
            for name, field in schema.get("properties", {}).items():
                properties.setdefault(name, field)
        sends_id = any(id_field in schema["properties"] for schema in of_writes)
        if not properties:
            return {"type": "object", "properties": {}, "additionalProperties": {}}, sends_id
        if id_field is not None and id_field not in properties:
            properties = {id_field: {}, **properties}
        if id_field is not None and not sends_id:
            properties[id_field] = {**properties[id_field], "readOnly": True}
        merged: dict[str, Any] = {"type": "object", "properties": properties}
        required: list[str] = next((each["required"] for each in schemas if "required" in each), [])
        if required:
            merged["required"] = [name for name in required if name != id_field]
        is_whole = bool(of_writes) or any(model.get("fields") for _, model in models)
        if not is_whole or any(model.get("customFields") is True for _, model in models):
            # A model of answers alone does not say what may be sent.
            merged["additionalProperties"] = {}
        return merged, sends_id

    def _of_call(self, one: DescribedCall) -> Mapping[str, Any]:
        """The schema that a call has by itself: of what it sends, else of what it brings."""
        place = join(one.place, "object")
        sends = one.operation in _WRITES
        own = object_in(one.resource, "object", one.place)
        if own and sends:
            return schema_of_fields(_model_of_body(own, place), place)
        model = object_in(one.resource, "model", one.place)
        place = join(one.place, "model")
        kinds = (("requestSwagger", "requestName"),) if sends else (("swagger", "name"),)
        for models, name in kinds:
            known = object_in(model, models, place)
            wanted = text_in(model, name, place) or next(iter(known), "")
            if known:
                return self._named.schema_of(known, wanted, join(place, models))
        return {"type": "object"}


def _model_of_body(model: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """A model with the fields that a call sends."""
    fields = [
        one
        for inner, one in objects_in(model, "fields", place, 10_000)
        if flag_in(one, "request", inner) is not False
    ]
    return {**model, "fields": fields}


def _shape(path: str) -> str:
    """A path whose parameters have no names: calls of one object may name them differently."""
    return "/".join("{}" if is_parameter(step) else step for step in path.split("/"))


def _names(paths: Mapping[str, Any]) -> dict[str, str]:
    """A name for each path: its last word, or all of them if another path has the same."""
    words = {path: [step for step in path.split("/") if step != "{}"] for path in paths}
    last = [each[-1] for each in words.values()]
    names: dict[str, str] = {}
    for path, each in words.items():
        is_plain = path == each[-1]
        is_free = last.count(each[-1]) == 1 and each[-1] not in (*OF_THE_PLATFORM, *UNDER_BULK)
        name = each[-1] if is_plain or is_free else "-".join(each)
        names[path] = name if name not in names.values() else path.replace("/", "-")
    return names


def _id_field(
    models: Sequence[tuple[str, Mapping[str, Any]]], made: Mapping[Operation, DescribedCall]
) -> str | None:
    """The field with the id: as the export says, else `id` if a call needs one."""
    for one in made.values():
        if name := text_in(one.resource, "primaryKey", one.place):
            return name
    for place, model in models:
        if name := text_in(model, "primaryKeyName", place):
            return name
        for inner, field in objects_in(model, "fields", place, 10_000):
            if flag_in(field, "primaryKey", inner):
                return text_in(field, "vendorPath", inner) or text_in(field, "name", inner)
    return "id" if any(_needs_id(one.call) for one in made.values()) else None


def _needs_id(call: Call) -> bool:
    return bool(call.id_name)


def _lookups(
    calls: Mapping[Operation, Call], schema: Mapping[str, Any], id_field: str | None
) -> tuple[str, ...]:
    if Operation.LIST not in calls or id_field is None:
        return ()
    fields = schema.get("properties", {})
    return tuple(
        name for name in calls[Operation.LIST].parameters if name in fields and name != id_field
    )


def _date_of_change(models: Sequence[tuple[str, Mapping[str, Any]]]) -> str | None:
    """The field with the date of the last change, if its dates can be compared."""
    for place, model in models:
        name = text_in(model, "updatedDateName", place)
        form = text_in(model, "updatedDateFormat", place)
        if name and (not form or form.startswith(("yyyy-MM-dd", "ISO"))):
            return name
    return None
