"""The instances of an organization: the accounts at services that it has connected."""

from collections.abc import Mapping, Sequence
from typing import Any

from openbulk.console.visits import Visit

MAX_SHOWN = 200


async def list_instances(visit: Visit) -> Sequence[Mapping[str, Any]]:
    """The instances of the person's organization, 200 at most."""
    found: Sequence[Mapping[str, Any]] = await visit.api.get("/instances", pageSize=MAX_SHOWN)
    return found


async def names_of_instances(visit: Visit) -> Mapping[int, str]:
    """Their names, by their ids."""
    return {one["id"]: one["name"] for one in await list_instances(visit)}
