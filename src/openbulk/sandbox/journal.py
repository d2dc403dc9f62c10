"""The state of a sandbox on disk: a file of JSON lines, one for each change.

A change is written before its call is answered. It is not synced: the kernel keeps what a process
has written, even if `kill -9` ends that process.
"""

from collections import UserDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import orjson

Value = TypeVar("Value")


class Journal:
    """The journal of a sandbox. Without a file, it keeps no changes."""

    def __init__(self, file: Path | None = None) -> None:
        """Read the changes of earlier runs. Raises ValueError if the file is not a journal."""
        self._past: defaultdict[str, list[Any]] = defaultdict(list)
        self._file: BinaryIO | None = None
        if file is not None:
            self._file = file.open("a+b")
            self._file.truncate(self._read_past(self._file, file))

    def _read_past(self, lines: BinaryIO, name: Path) -> int:
        """Read the changes. Returns the length in bytes of the complete lines."""
        lines.seek(0)
        length = 0
        for number, line in enumerate(lines, 1):
            # A kill cut this line off while it was written, before its call was answered.
            if line.startswith(b"[") and not line.endswith(b"\n"):
                break
            try:
                kind, change = orjson.loads(line)
            except ValueError as error:
                message = f"{name} is not a sandbox's state: line {number} cannot be read"
                raise ValueError(message) from error
            self._past[kind].append(change)
            length += len(line)
        return length

    def take_past(self, kind: str) -> list[Any]:
        """The changes of a kind from earlier runs, oldest first. A second call returns none."""
        return self._past.pop(kind, [])

    def write(self, kind: str, change: Any) -> None:
        """Append a change: any JSON value, or data classes."""
        if self._file is not None:
            self._file.write(orjson.dumps([kind, change], option=orjson.OPT_APPEND_NEWLINE))
            self._file.flush()


class JournaledDict(UserDict[str, Value]):
    """A dictionary that writes each change of an entry to a journal."""

    def __init__(self, journal: Journal, kind: str, decode: Callable[[Any], Value]) -> None:
        """Restore the entries of earlier runs. `decode` makes a value of its JSON."""
        super().__init__()
        self._journal = journal
        self._kind = kind
        for key, value in journal.take_past(kind):
            if value is None:
                del self.data[key]
            else:
                self.data[key] = decode(value)

    def __setitem__(self, key: str, value: Value) -> None:
        """Set an entry, also in the journal."""
        super().__setitem__(key, value)
        self._journal.write(self._kind, [key, value])

    def __delitem__(self, key: str) -> None:
        """Delete an entry, also in the journal."""
        super().__delitem__(key)
        self._journal.write(self._kind, [key, None])
