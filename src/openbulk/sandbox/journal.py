"""What a sandbox remembers when it is started again: a file of JSON lines, one for each change.

A change is written before it is answered. `kill -9` loses nothing that the kernel has been handed, so nothing here
waits for the disk. A last line that was cut off belongs to a call that was never answered: it is dropped.
"""

from collections import UserDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import orjson

Value = TypeVar("Value")


class Journal:
    """The changes of all that a sandbox holds. Without a file, nothing is remembered."""

    def __init__(self, file: Path | None = None) -> None:
        """Read what is there. Raises ValueError where the file is not one of ours."""
        self._past: defaultdict[str, list[Any]] = defaultdict(list)
        self._file = None
        if file is None:
            return
        self._file = file.open("a+b")
        self._file.seek(0)
        whole = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n") and line.startswith(b"["):
                break
            try:
                kind, change = orjson.loads(line)
            except ValueError as error:
                raise ValueError(f"{file} is not a sandbox's state: line {number} cannot be read") from error
            self._past[kind].append(change)
            whole += len(line)
        self._file.truncate(whole)

    def past(self, kind: str) -> list[Any]:
        """The changes of a kind that were written before this start, in their order; handed out once."""
        return self._past.pop(kind, [])

    def write(self, kind: str, change: Any) -> None:
        """Remember a change: anything that JSON has, and data classes."""
        if self._file is not None:
            self._file.write(orjson.dumps([kind, change], option=orjson.OPT_APPEND_NEWLINE))
            self._file.flush()


class Kept(UserDict[str, Value]):
    """A dictionary whose entries are remembered under the name of a kind."""

    def __init__(self, journal: Journal, kind: str, read: Callable[[Any], Value]) -> None:
        """`read` makes a value of what JSON has made of it."""
        super().__init__()
        self._journal = journal
        self._kind = kind
        for key, value in journal.past(kind):
            if value is None:
                del self.data[key]
            else:
                self.data[key] = read(value)

    def __setitem__(self, key: str, value: Value) -> None:
        """Remember an entry."""
        super().__setitem__(key, value)
        self._journal.write(self._kind, [key, value])

    def __delitem__(self, key: str) -> None:
        """Remember that an entry is gone."""
        super().__delitem__(key)
        self._journal.write(self._kind, [key, None])
