"""A target names an object that the service has, and an action that the object can do."""

from openbulk.connectors.base import Features
from openbulk.connectors.targets import refusal_of, resolve_target
from openbulk.domain.records import Action, Target


def test_a_refusal_says_what_an_object_can_do() -> None:
    objects = {"events": Features(frozenset({Action.CREATE})), "activities": Features()}
    assert refusal_of(Target("events", Action.CREATE), objects) is None
    assert (
        refusal_of(Target("events", Action.DELETE), objects)
        == "'events' cannot delete; metaData.action can be: create"
    )
    assert refusal_of(Target("activities", Action.CREATE), objects) == (
        "'activities' can only be read"
    )
    assert (
        refusal_of(Target("bad", Action.CREATE), objects)
        == "there is no object 'bad'; the objects are: events, activities"
    )


def test_a_path_may_name_an_object() -> None:
    """Its parameters become metaData."""
    objects = {"events": Features(frozenset(Action), paths=("calendars/{calendarId}/events",))}

    def resolve(path: str) -> Target:
        return resolve_target(Target(path, Action.CREATE), objects)

    target = resolve("calendars/team%40example.com/events")
    assert (target.object, target.options) == ("events", {"calendarId": "team@example.com"})
    assert resolve("calendars/events").object == "calendars/events"
    assert resolve("events").options == {}
