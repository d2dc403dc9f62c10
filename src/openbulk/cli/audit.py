"""The command `openbulk audit verify`."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openbulk.app import verify_audit
from openbulk.domain.audit import ChainCheck, ChainEnd
from openbulk.domain.errors import BadInput
from openbulk.settings import Settings

MAX_LINE_BYTES = 64 * 1024
_NUMBERS, _TEXTS = ("number",), ("time", "action", "target", "detail", "previousHash", "hash")


def verify_ledger(settings: Settings) -> Iterator[tuple[bool, str]]:
    """Check the audit log of each organization; whether each is whole, and a line about it.

    Raises CannotStart without a ledger.
    """
    for organization_id, check in asyncio.run(verify_audit(settings)).items():
        yield check.is_whole, f"organization {organization_id}: {describe(check)}"


def verify_file(path: Path, noted: ChainEnd | None = None) -> ChainCheck:
    """Check a file that `GET /audit?format=jsonl` has written. Raises BadInput."""
    check = ChainCheck(noted)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
                check.add(_parse_entry(line, number))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    check.finish()
    return check


def parse_noted(text: str) -> ChainEnd:
    """An entry that somebody has noted: `17:9f86...`. Raises BadInput."""
    number, _, own_hash = text.partition(":")
    if not number.isdecimal() or not own_hash:
        raise BadInput(
            f"--noted is {text[:40]!r}; write number and hash of an entry, like 17:9f86d081..."
        )
    return ChainEnd(int(number), own_hash.strip())


def describe(check: ChainCheck) -> str:
    """What a check has found, for a person."""
    if not check.entries and check.is_whole:
        return "there are no entries"
    if check.is_whole:
        last = f"the last one is {check.end.number}:{check.end.hash}"
        return f"entries {check.first} to {check.end.number} are whole; {last}"
    more = [f"and {check.more_faults} more"] if check.more_faults else []
    return "; ".join([*check.faults, *more])


def _parse_entry(line: bytes, number: int) -> Mapping[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise BadInput(f"line {number} is not JSON; expected an entry of the audit log") from error
    is_entry = (
        isinstance(entry, dict)
        and all(type(entry.get(name)) is int for name in _NUMBERS)
        and all(isinstance(entry.get(name), str) for name in _TEXTS)
    )
    if not is_entry:
        raise BadInput(
            f"line {number} is not an entry of the audit log; export one with "
            "GET /audit?format=jsonl"
        )
    return dict(entry)
