"""Finds the connected service and the object that a command names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from openbulk.client.api import Api
from openbulk.client.exit_codes import CommandFailed, ExitCode
from openbulk.domain.spelling import likely_name

SHORT_NAMES = {"google": "googlecalendar", "postgres": "postgresql"}
"""What people call services, and the keys of their elements."""
_LIKENESS = 0.6
_USUAL_OBJECTS = {"googlecalendar": "events", "eloqua": "contact", "memory": "records"}


def element_key(name: str) -> str:
    """The key of a service by what people call it."""
    return SHORT_NAMES.get(name.lower(), name.lower())


def find_instance(api: Api, name: str) -> dict[str, Any]:
    """A connected service by its number, its name or the key of its element.

    Raises CommandFailed if there is none, or more than one.
    """
    instances = list(api.pages("/instances"))
    found = [one for one in instances if name in (str(one["id"]), one.get("name"))]
    if not found:
        found = [one for one in instances if _element_of(one) == element_key(name)]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = ", ".join(f"{one['id']} ({one.get('name')})" for one in found)
        raise CommandFailed(
            f"{name!r} can be several services: {numbers}; name it by its number", ExitCode.USAGE
        )
    known = ", ".join(str(one.get("name")) for one in instances)
    raise CommandFailed(
        f"no service {name!r} is connected"
        + (f"; there are: {known}" if known else f"; connect it first: openbulk connect {name}")
    )


@dataclass(frozen=True, slots=True)
class Target:
    """A connected service and an object of it."""

    api: Api
    """The server, with calls about the service."""
    instance: Mapping[str, Any]
    object_name: str


def find_target(api: Api, target: str) -> Target:
    """The service and the object of `SERVICE[/OBJECT]`. Raises CommandFailed."""
    service, object_name = split_target(target)
    instance = find_instance(api, service)
    of_service = api.with_instance(int(instance["id"]))
    return Target(of_service, instance, find_object(of_service, instance, object_name))


def split_target(target: str) -> tuple[str, str | None]:
    """The service and the object of `SERVICE[/OBJECT]`."""
    service, _, object_name = target.partition("/")
    if not service:
        raise CommandFailed(
            f"{target!r} names no service; write SERVICE/OBJECT, like google/events", ExitCode.USAGE
        )
    return service, object_name or None


def find_object(api: Api, instance: Mapping[str, Any], name: str | None) -> str:
    """The object that a target names; without a name, the usual or the only one.

    Raises CommandFailed if that does not say which.
    """
    objects = [str(one) for one in api.get("/objects")]
    if name is None:
        usual = _USUAL_OBJECTS.get(_element_of(instance))
        if usual is not None:
            return usual
        if len(objects) == 1:
            return objects[0]
        raise CommandFailed(
            f"{instance.get('name')} has several objects: {_some_names(objects)}; name one of them "
            "behind a slash",
            ExitCode.USAGE,
        )
    if name in objects or "/" in name:
        return name
    close = likely_name(name, objects, _LIKENESS)
    hint = f"did you mean {close!r}?" if close else f"there are: {_some_names(objects)}"
    raise CommandFailed(f"{instance.get('name')} has no object {name!r}; {hint}", ExitCode.USAGE)


def _element_of(instance: Mapping[str, Any]) -> str:
    return str((instance.get("element") or {}).get("key", ""))


def _some_names(names: Iterable[str]) -> str:
    some = sorted(names)
    return ", ".join(some[:20]) + (f" and {len(some) - 20} more" if len(some) > 20 else "")
