"""What a connector remembers of the jobs that it works on."""

from collections.abc import Callable
from typing import Generic, TypeVar

MAX_JOBS = 8
"""Jobs that are remembered; what is known of another one is found out again."""
_State = TypeVar("_State")


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
