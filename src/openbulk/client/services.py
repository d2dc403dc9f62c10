"""Connected services, their objects and fields, and what is in a file."""

from collections.abc import Mapping
from typing import Any

from openbulk.client.api import Api
from openbulk.client.output import notes, plain, print_json, print_list, print_table
from openbulk.client.targets import find_instance, find_target


def print_services(api: Api, *, as_json: bool) -> None:
    """Print the connected services."""
    print_list(
        api.pages("/instances"),
        ("id", "name", "service", "state"),
        lambda one: (
            str(one["id"]),
            one.get("name"),
            one["element"]["key"],
            "disabled" if one.get("disabled") else "connected",
        ),
        "No service is connected; connect one with: openbulk connect SERVICE",
        as_json=as_json,
    )


def print_objects(api: Api, service: str, *, as_json: bool) -> None:
    """Print the objects of a service."""
    instance = find_instance(api, service)
    objects: list[str] = api.with_instance(int(instance["id"])).get("/objects")
    print_list(
        objects, ("object",), lambda name: (name,), "The service has no objects.", as_json=as_json
    )


def print_fields(api: Api, target: str, *, as_json: bool) -> None:
    """Print the fields of an object."""
    found = find_target(api, target)
    fields: list[dict[str, Any]] = found.api.get(f"/objects/{found.object_name}/metadata")["fields"]
    print_list(
        fields,
        ("field", "type", "", "meaning"),
        lambda one: (
            one["vendorPath"],
            one.get("type"),
            _marks(one),
            one.get("description") or one.get("vendorDisplayName"),
        ),
        "The object takes any field.",
        as_json=as_json,
    )


def _marks(field: Mapping[str, Any]) -> str:
    marks = {"vendorRequired": "required", "vendorReadOnly": "read-only"}
    return ", ".join(word for key, word in marks.items() if field.get(key))


def print_profile(profile: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what is in a file."""
    if as_json:
        print_json(profile)
        return
    keys = ("format", "encoding", "delimiter", "sheet", "headerRow")
    how = ", ".join(f"{key} {profile[key]}" for key in keys if profile.get(key) is not None)
    more = "" if profile.get("complete") else " of the beginning"
    notes().print(f"{plain(profile['name'])}: {plain(how)}; {profile.get('rows')} rows{more}")
    print_table(
        ("column", "type", "filled", "samples"),
        (
            (
                one["name"],
                one["types"][0]["type"] if one.get("types") else "",
                f"{one['filled']:.0%}",
                ", ".join(map(str, one["samples"])),
            )
            for one in profile.get("columns", [])
        ),
        "The file has no columns.",
    )
    for note in profile.get("notes", []):
        notes().print(plain(note))
    for question in profile.get("questions", []):
        notes().print(f"? {plain(question['message'])} (--option {question['key']}=...)")
