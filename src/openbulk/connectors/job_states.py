"""What a connector remembers of the jobs that it works on."""

from collections.abc import Callable
from typing import Generic, TypeVar

MAX_JOBS = 8
"""Jobs that are remembered; what is known of another one is found out again."""
MAX_RECORDS = 10_000
"""Records that are remembered of a job: a file may have millions."""
_State = TypeVar("_State")
_Key = TypeVar("_Key")
_Record = TypeVar("_Record")


class JobStates(Generic[_State]):
    """A state for each job, by its run (`Target.run`)."""

    def __init__(self, make: Callable[[], _State]) -> None:
        self._make = make
        self._states: dict[str, _State] = {}

    def of(self, run: str) -> _State:
        """The state of a job. That of the job that was not used for longest is forgotten."""
        state = self._states.pop(run) if run in self._states else self._make()
        if len(self._states) == MAX_JOBS:
            self._states.pop(next(iter(self._states)))
        self._states[run] = state
        return state


class LastRecords(dict[_Key, _Record]):
    """What the rows of a job would make of records, as far as they are the last ones."""

    def __setitem__(self, key: _Key, record: _Record) -> None:
        """Remember a record. The one that was remembered first is forgotten."""
        if key not in self and len(self) == MAX_RECORDS:
            del self[next(iter(self))]
        super().__setitem__(key, record)
