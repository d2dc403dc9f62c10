"""The organization that the person belongs to."""

from collections.abc import Mapping
from typing import Any

from openbulk.console.visits import Visit


async def organization_of(visit: Visit) -> Mapping[str, Any]:
    """The person's organization. An administrator of the installation sees others, too."""
    every = await visit.api.get("/organizations")
    own: Mapping[str, Any] = next(one for one in every if one["id"] == visit.user.organization_id)
    return own
