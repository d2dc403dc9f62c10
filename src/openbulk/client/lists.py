"""Prints saved mappings and schedules."""

from openbulk.client.api import Api
from openbulk.client.output import print_json, print_table


def print_mappings(api: Api, *, as_json: bool) -> None:
    """Print all versions of the saved mappings."""
    found = list(api.pages("/mappings"))
    if as_json:
        print_json(found)
        return
    print_table(
        ("id", "name", "version", "service", "object"),
        (
            (str(one["id"]), one["name"], str(one["version"]), one["elementKey"], one["object"])
            for one in found
        ),
        "No mapping is saved.",
    )


def print_schedules(api: Api, *, as_json: bool) -> None:
    """Print the schedules."""
    found = list(api.pages("/jobs"))
    if as_json:
        print_json(found)
        return
    print_table(
        ("id", "name", "when", "what"),
        (
            (
                str(one["id"]),
                one.get("name"),
                (one.get("trigger") or {}).get("cron"),
                one.get("uri"),
            )
            for one in found
        ),
        "There are no schedules.",
    )
