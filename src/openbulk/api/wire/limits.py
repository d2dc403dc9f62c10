"""The limits of an organization on the wire."""

from typing import Annotated, Any

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, doc
from openbulk.domain.limits import LimitsInUse


@with_config(EXACT)
class ShownLimit(TypedDict):
    """One limit of an organization."""

    limit: Annotated[int | None, doc("The limit that holds; null for none.", 100)]
    own: Annotated[
        int | None,
        doc("That of the organization; null if it has that of the installation.", 100),
    ]
    used: Annotated[int, doc("What the organization uses of it at the moment.", 3)]


@with_config(EXACT)
class ShownLimits(TypedDict):
    """The limits of an organization, and what it uses of them."""

    jobs: Annotated[ShownLimit, doc("Unfinished jobs.")]
    bytes: Annotated[
        ShownLimit,
        doc("Bytes of kept files: those that were sent, and the records of downloads."),
    ]
    callsPerMinute: Annotated[
        ShownLimit,
        doc("Calls of the API in this minute, to a sixtieth. They count if they have a limit."),
    ]


def present_limits(found: LimitsInUse) -> dict[str, Any]:
    """The limits of an organization, and what it uses of them."""
    holding, own, used = found.holding, found.own, found.used
    return {
        "jobs": _present(holding.jobs, own.jobs, used.jobs),
        "bytes": _present(holding.bytes, own.bytes, used.bytes),
        "callsPerMinute": _present(
            holding.calls_per_minute, own.calls_per_minute, used.calls_per_minute
        ),
    }


def _present(limit: int | None, own: int | None, used: int) -> dict[str, Any]:
    return {"limit": limit, "own": own, "used": used}
