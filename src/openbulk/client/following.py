"""Follows a job until it ends, with a progress bar, and ends with its summary."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from openbulk.client.api import JOB_END, Api
from openbulk.client.exit_codes import CommandFailed, ExitCode
from openbulk.client.output import counts_text, notes, plain

CANCEL_SECONDS = 3.0
"""After Ctrl-C, a second one within this time cancels the job."""
_PAUSE_SECONDS = 0.5


class _Detached(Exception):
    pass


def follow_job(api: Api, job_id: str, *, quiet: bool = False) -> dict[str, Any]:
    """Follow a job until it does nothing more by itself, and return it.

    Ctrl-C leaves the job running and raises CommandFailed; a second one within CANCEL_SECONDS
    cancels it first.
    """
    # One handler for both: between two of them, a second Ctrl-C would only end the command.
    with _interrupts():
        try:
            return _watch(api, job_id, quiet=quiet)
        except _Detached:
            _detach(api, job_id)


def _watch(api: Api, job_id: str, *, quiet: bool) -> dict[str, Any]:
    with _progress(quiet=quiet) as progress:
        task = progress.add_task(f"job {job_id}", total=None, detail="")
        while True:
            for state in api.follow(job_id):
                _show(progress, task, state)
            # The stream also ends when the server does, or after ten minutes.
            job: dict[str, Any] = api.get(f"/bulk/{job_id}")
            if status_of(job) in JOB_END:
                return job
            time.sleep(_PAUSE_SECONDS)


def _progress(*, quiet: bool) -> Progress:
    console = notes()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        console=console,
        disable=quiet or not console.is_terminal,
        transient=True,
    )


def _show(progress: Progress, task: TaskID, state: Mapping[str, Any]) -> None:
    progress.update(
        task,
        completed=int(state.get("recordsCount") or 0),
        total=state.get("recordsTotal"),
        detail=_detail(state),
    )


def _detail(state: Mapping[str, Any]) -> str:
    parts = [counts_text(state.get("outcomes") or {}, leave_out=["notReached"])]
    if state.get("recordsPerSecond"):
        parts.append(f"{state['recordsPerSecond']:,.0f} a second")
    if state.get("secondsLeft") is not None:
        parts.append(f"{state['secondsLeft']:.0f} s left")
    if state.get("paused"):
        parts.append("paused")
    if state.get("waitingFor"):
        parts.append(f"waits: {plain(state['waitingFor'])}")
    return " · ".join(part for part in parts if part != "none")


@contextmanager
def _interrupts() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise _Detached

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _detach(api: Api, job_id: str) -> NoReturn:
    """Leave the job running, unless Ctrl-C is pressed again. Raises CommandFailed."""
    try:
        notes().print(
            f"Detached: job {job_id} goes on. Come back with: openbulk job {job_id} --follow\n"
            f"Press Ctrl-C again within {CANCEL_SECONDS:.0f} seconds to cancel the job."
        )
        time.sleep(CANCEL_SECONDS)
    except _Detached:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a third one does not stop the cancelling
        job = api.put(f"/bulk/{job_id}/cancel")
        raise CommandFailed(
            f"job {job_id} is {status_of(job).lower().replace('_', ' ')}; what was written "
            f"stays. See it with: openbulk job {job_id}",
            ExitCode.INTERRUPTED,
        ) from None
    raise CommandFailed(f"job {job_id} goes on without this terminal", ExitCode.INTERRUPTED)


def status_of(job: Mapping[str, Any]) -> str:
    """The status of a job; jobs of version 3 have another key for it."""
    return str(job.get("status") or job.get("jobStatus") or "")


def exit_code_of(job: Mapping[str, Any]) -> ExitCode:
    """How a command ends that has followed a job to its end."""
    outcomes = job.get("outcomes") or {}
    if status_of(job) in ("ABORTED", "ERROR", "CANCELLED"):
        return ExitCode.FAILED
    if outcomes.get("failed") or outcomes.get("unknown"):
        return ExitCode.ROWS_FAILED
    if outcomes.get("drifted") or outcomes.get("kept"):
        return ExitCode.DRIFTED
    if job.get("recordsFailedCount") or job.get("errorCount"):
        return ExitCode.ROWS_FAILED
    return ExitCode.DONE


def print_summary(job: Mapping[str, Any]) -> None:
    """Print what became of a job, and the commands that go on from there."""
    job_id, console = job["id"], notes()
    console.print(f"Job {job_id} is {status_of(job).lower()}: {_result(job)}")
    for key in ("error", "infoMessage", "statusMessage"):
        if job.get(key):
            console.print(plain(job[key]))
    for purpose, command in _next_commands(job):
        console.print(f"  {purpose:<24} {command}", markup=False)


def _result(job: Mapping[str, Any]) -> str:
    if job.get("outcomes"):
        return counts_text(job["outcomes"])
    return f"{job.get('recordsCount', job.get('recordCount', 0)) or 0:,} records"


def _next_commands(job: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    job_id, outcomes = job["id"], job.get("outcomes") or {}
    if status_of(job) == "PLANNED":
        yield "Carry the plan out:", f"openbulk apply {job_id}"
        return
    if outcomes.get("failed") or outcomes.get("unknown") or outcomes.get("drifted"):
        yield "See why rows failed:", f"openbulk errors {job_id}"
        yield "Get them to mend:", f"openbulk results {job_id} --kind failed -o mend.csv"
        yield "Send them again:", f"openbulk retry {job_id} [mend.csv]"
    if any(outcomes.get(kind) for kind in ("created", "updated", "upserted", "deleted")):
        yield "Check what arrived:", f"openbulk verify {job_id}"
        yield "Put all of it back:", f"openbulk undo {job_id}"
