"""The audit log: who did what, and a chain of hashes that shows whether an entry was changed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from openbulk.domain.epoch import milliseconds_of, moment_at

NO_HASH = "0" * 64
"""Stands before the first entry of a chain."""
PRUNED = "audit.prune"
"""The action of the entry that remembers the hash of the last entry that was deleted by age."""
MAX_FAULTS = 20
"""Faults that a check shows; one change can have many."""


class AuditOutcome(StrEnum):
    """What became of a deed."""

    DONE = "done"
    REFUSED = "refused"
    """Nothing was done: the caller may not, or the request was wrong."""
    FAILED = "failed"
    """openbulk or the service failed; the deed may have been done in part."""
    UNKNOWN = "unknown"
    """The server ended before it answered."""


def outcome_of(status: int) -> AuditOutcome:
    """What became of a deed, by the HTTP status of its answer."""
    if status < 400:
        return AuditOutcome.DONE
    return AuditOutcome.REFUSED if status < 500 else AuditOutcome.FAILED


@dataclass(frozen=True, slots=True)
class Deed:
    """Who did what, on what, from where, when, and what became of it. It has no secret or value."""

    organization_id: int
    at: datetime
    """When the request came."""
    action: str
    """What was done: `job.cancel`."""
    target: str
    """On what: `job 7`. Empty if that is not known."""
    request_id: str
    user_id: int | None = None
    """None for openbulk itself, and for a caller who is not known."""
    user: str = ""
    """The user's address at the time."""
    secret_id: int | None = None
    """The user's secret, or key, that the request had."""
    instance_id: int | None = None
    """The instance whose token the request had."""
    address: str = ""
    """Where the request came from."""
    outcome: str = AuditOutcome.DONE
    """An AuditOutcome. A row that somebody has changed may have any text."""
    status: int | None = None
    """The HTTP status of the answer; None without one."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A deed with its place in the chain of its organization."""

    number: int
    deed: Deed
    previous_hash: str
    hash: str


def chain_deed(deed: Deed, number: int, previous_hash: str) -> AuditEntry:
    """The entry of a deed behind the entry with this hash."""
    content = _content_of(number, deed, previous_hash)
    return AuditEntry(number, deed, previous_hash, _hash_of(content))


def shape_of(entry: AuditEntry) -> dict[str, Any]:
    """An entry as the API shows it. The hash is of all other keys: see `_hash_of`."""
    content = _content_of(entry.number, entry.deed, entry.previous_hash)
    return {**content, "hash": entry.hash}


def _content_of(number: int, deed: Deed, previous_hash: str) -> dict[str, Any]:
    moment = moment_at(milliseconds_of(deed.at))
    return {
        "number": number,
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "organizationId": deed.organization_id,
        "userId": deed.user_id,
        "user": deed.user,
        "secretId": deed.secret_id,
        "instanceId": deed.instance_id,
        "action": deed.action,
        "target": deed.target,
        "outcome": str(deed.outcome),
        "status": deed.status,
        "detail": deed.detail,
        "address": deed.address,
        "requestId": deed.request_id,
        "previousHash": previous_hash,
    }


def _hash_of(content: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the JSON text with sorted keys, without spaces, in UTF-8.

    For texts, whole numbers and null, that is the canonical form of RFC 8785.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """The last entry of a chain, as it is remembered apart from the entries."""

    number: int
    hash: str


@dataclass(slots=True)
class ChainCheck:
    """Checks entries in their order, and finds those that were changed, removed or added."""

    noted: ChainEnd | None = None
    """An entry that somebody noted earlier, and that has to be in the chain."""
    entries: int = 0
    first: int | None = None
    end: ChainEnd = ChainEnd(0, NO_HASH)
    faults: list[str] = field(default_factory=list)
    more_faults: int = 0
    """Faults beyond MAX_FAULTS."""
    _cut_at: ChainEnd | None = None
    _pruned: ChainEnd | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found so far."""
        return not self.faults

    def add(self, shape: Mapping[str, Any]) -> None:
        """Check the next entry, in the shape of the API."""
        content = {name: value for name, value in shape.items() if name != "hash"}
        number, previous, own = shape["number"], shape["previousHash"], shape["hash"]
        if self.first is None:
            self._begin(number, previous)
        elif number > self.end.number + 1:
            self._report(f"{_range(self.end.number + 1, number - 1)} missing")
        elif number <= self.end.number:
            self._report(f"entry {number} is behind entry {self.end.number}")
        elif previous != self.end.hash:
            self._report(
                f"entry {number} does not follow entry {number - 1}: one of the two was replaced"
            )
        if _hash_of(content) != own:
            self._report(f"entry {number} was changed: its hash is not that of its content")
        if self.noted is not None and number == self.noted.number and own != self.noted.hash:
            self._report(f"entry {number} has another hash than you noted: it was replaced")
        if shape["action"] == PRUNED:
            self._pruned = _last_deleted(shape)
        self.entries += 1
        self.end = ChainEnd(number, own)

    def finish(self, end: ChainEnd | None = None) -> None:
        """Check what only the whole chain shows. `end` is the last entry that there has to be."""
        if self._cut_at is not None and self._cut_at != self._pruned:
            self._report(
                f"{_range(1, self._cut_at.number)} missing, and no entry remembers that they were "
                "deleted by age"
            )
        if end is not None and end.number > self.end.number:
            self._report(f"{_range(self.end.number + 1, end.number)} missing at the end")
        elif end is not None and end != self.end:
            self._report(f"entry {self.end.number} is not the last one that openbulk has written")
        noted = self.noted
        if noted is not None and noted.number > self.end.number:
            self._report(f"entry {noted.number}, which you noted, is missing at the end")

    def _begin(self, number: int, previous: str) -> None:
        self.first = number
        if number > 1:
            self._cut_at = ChainEnd(number - 1, previous)
        elif previous != NO_HASH:
            self._report("entry 1 was changed: it follows another one")

    def _report(self, fault: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)
        else:
            self.more_faults += 1


def prune_detail(last: ChainEnd) -> str:
    """What the entry says that remembers a deletion by age."""
    return f"the last of them has the hash {last.hash}"


def prune_target(last: ChainEnd) -> str:
    """What was deleted by age."""
    return f"entries to {last.number}"


def _last_deleted(shape: Mapping[str, Any]) -> ChainEnd | None:
    number = str(shape["target"]).rpartition(" ")[2]
    own = str(shape["detail"]).rpartition(" ")[2]
    return ChainEnd(int(number), own) if number.isdecimal() else None


def _range(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
