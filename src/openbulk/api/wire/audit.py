"""The audit log on the wire."""

from typing import Annotated, Any

from pydantic import with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from openbulk.api.wire.schema import EXACT, doc
from openbulk.domain.audit import ChainCheck

_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


@with_config(EXACT)
class ShownAuditEntry(TypedDict):
    """Who did what, on what, from where, when, and what became of it."""

    number: Annotated[int, doc("Number in the chain of the organization, from 1.", 17)]
    time: Annotated[str, doc("When the request came (UTC).", "2026-12-01T08:30:00.123Z")]
    organizationId: Annotated[int, doc("Number of the organization.", 1)]
    userId: Annotated[
        int | None, doc("Number of the user; null for openbulk itself, and if it is not known.", 2)
    ]
    user: Annotated[str, doc("Email address of the user at that time.", "ann@example.com")]
    secretId: Annotated[int | None, doc("Number of the user's secret or key.", 3)]
    instanceId: Annotated[int | None, doc("Number of the calling instance.", 4)]
    action: Annotated[str, doc("What was done.", "job.cancel")]
    target: Annotated[str, doc("On what; empty if that is not known.", "job 7")]
    outcome: Annotated[str, doc("done, refused, failed or unknown.", "done")]
    status: Annotated[int | None, doc("HTTP status of the answer; null without one.", 200)]
    detail: Annotated[str, doc("What else is to be said.", "")]
    address: Annotated[str, doc("Where the request came from.", "192.0.2.7")]
    requestId: Annotated[
        str, doc("Id of the request, as in its answer.", "4f0e3a5b9d9c4f5d8f0f4dfb1f2a9a55")
    ]
    previousHash: Annotated[str, doc("Hash of the entry before.", _HASH)]
    hash: Annotated[
        str,
        doc(
            "SHA-256, in hex, of the JSON text of all other keys: sorted, without spaces, in "
            "UTF-8.",
            _HASH,
        ),
    ]


@with_config(EXACT)
class ShownChainCheck(TypedDict):
    """Whether the audit log is whole."""

    valid: Annotated[bool, doc("Whether no entry was changed, removed or added.", True)]
    entries: Annotated[int, doc("Number of entries.", 17)]
    firstNumber: Annotated[
        int | None, doc("Number of the first entry that is kept; null without entries.", 1)
    ]
    lastNumber: Annotated[int, doc("Number of the last entry; 0 without entries.", 17)]
    lastHash: Annotated[str, doc("Hash of the last entry. Note it with its number.", _HASH)]
    faults: Annotated[list[str], doc("What is wrong; at most 20 of them.", [])]


def present_check(check: ChainCheck) -> dict[str, Any]:
    """A check of a chain."""
    return {
        "valid": check.is_whole,
        "entries": check.entries,
        "firstNumber": check.first,
        "lastNumber": check.end.number,
        "lastHash": check.end.hash,
        "faults": check.faults,
    }
