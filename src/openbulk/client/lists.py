"""Prints saved mappings and schedules."""

from openbulk.client.api import Api
from openbulk.client.output import print_list


def print_mappings(api: Api, *, as_json: bool) -> None:
    """Print all versions of the saved mappings."""
    print_list(
        api.pages("/mappings"),
        ("id", "name", "version", "service", "object"),
        lambda one: (
            str(one["id"]),
            one["name"],
            str(one["version"]),
            one["elementKey"],
            one["object"],
        ),
        "No mapping is saved.",
        as_json=as_json,
    )


def print_schedules(api: Api, *, as_json: bool) -> None:
    """Print the schedules."""
    print_list(
        api.pages("/jobs"),
        ("id", "name", "when", "what"),
        lambda one: (
            str(one["id"]),
            one.get("name"),
            (one.get("trigger") or {}).get("cron"),
            one.get("uri"),
        ),
        "There are no schedules.",
        as_json=as_json,
    )
