"""Counts the walk of one record: how often its work moves from one file of openbulk to another.

Run `.venv/bin/python tools/walk.py`; `--list` prints the walk itself, `--threads` counts worker
threads too.

The program starts a server and a Google sandbox, uploads a CSV of one event, and notes each
function of openbulk that is entered, from `POST /bulk/events` until the job is COMPLETE and nothing
of it works any more.

- The server is `openbulk serve` with a SQLite file. Its instance is new: the walk includes the
  connection to Google and the first access token, but neither the start of the server nor the
  creation of the instance.
- A function counts once, where it is first entered. A coroutine that is resumed is no step, nor is
  a second call.
- Comprehensions, lambdas and methods such as `__init__` are no steps: nobody jumps to read them.
- Only the thread of the event loop counts. `--threads` adds the workers, which read the file.
- Periodic work (sweep, schedules, queue polls) does not count: the program first listens to the
  idle server, and then ignores the tasks that it heard. Of other threads it ignores the functions
  that it heard.
- A change of file is a step into another file than the step before. It goes back if the walk has
  been in that file before.
"""

import argparse
import asyncio
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.harness import (  # noqa: E402
    ORGANIZATION_SECRET,
    START_SECONDS,
    USER_SECRET,
    Processes,
    Server,
    request,
    until,
)

SOURCE = ROOT / "src" / "openbulk"
PREFIX = f"{SOURCE}{os.sep}"
EVENT_LOOP = threading.main_thread().name
EVENT = b"summary,start.date,end.date\nLesson,2026-09-01,2026-09-02\n"
IDLE_SECONDS = 3.0
"""Longer than the pauses of the periodic work that runs once a second."""
QUIET_SECONDS = 2.5
"""The walk is over when no step follows for so long. A reservation is returned after a second."""
TIMEOUT_SECONDS = 120.0


class Step(NamedTuple):
    """A function of openbulk that is entered."""

    file: str
    function: str
    line: int
    thread: str


@dataclass(frozen=True)
class Figures:
    """What a walk amounts to."""

    functions: int
    files: int
    changes: int
    returns: int

    def __str__(self) -> str:
        return (
            f"{self.files} files, {self.changes} changes of file,"
            f" {self.returns} of them back into a file already left ({self.functions} functions)"
        )


class Recorder:
    """Notes each function of openbulk that is entered, by means of a profile function.

    Install it before the server starts its threads. It notes nothing until `listen` is called.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._phase = self._ignore
        self._idle_tasks: set[asyncio.Task[Any]] = set()
        self._idle_steps: set[Step] = set()

    def install(self) -> None:
        """Watch this thread, and each that starts from now on."""
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def listen(self) -> None:
        """Learn what an idle server does."""
        self._phase = self._note_idle

    def walk(self) -> None:
        """Note the steps of what happens now."""
        self._phase = self._note_step

    def stop(self) -> None:
        """Note nothing any more."""
        self._phase = self._ignore

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        is_ours = event == "call" and code.co_filename.startswith(PREFIX)
        if is_ours and not code.co_name.startswith(("<", "__")):
            file = code.co_filename.removeprefix(PREFIX)
            thread = threading.current_thread().name
            self._phase(Step(file, code.co_qualname, code.co_firstlineno, thread), running_task())

    def _ignore(self, step: Step, task: asyncio.Task[Any] | None) -> None:
        pass

    def _note_idle(self, step: Step, task: asyncio.Task[Any] | None) -> None:
        if task is None:
            self._idle_steps.add(step)
        else:
            self._idle_tasks.add(task)

    def _note_step(self, step: Step, task: asyncio.Task[Any] | None) -> None:
        is_idle = step in self._idle_steps if task is None else task in self._idle_tasks
        if not is_idle:
            self.steps.append(step)


def running_task() -> asyncio.Task[Any] | None:
    """The task of the event loop that runs in this thread, if there is one."""
    try:
        return asyncio.current_task()
    except RuntimeError:  # this thread has no event loop
        return None


# --- the process of the server ---


def serve_and_record(folder: Path) -> None:
    """Be an openbulk server, and write the steps of one upload to `steps.json` in a folder."""
    port = free_port()
    recorder = Recorder()
    client = threading.Thread(target=upload_one_event, args=(recorder, folder, port), daemon=True)
    client.start()
    recorder.install()
    sys.argv = ["openbulk", "serve", "--port", str(port)]
    runpy.run_module("openbulk", run_name="__main__", alter_sys=True)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def upload_one_event(recorder: Recorder, folder: Path, port: int) -> None:
    """Upload an event into the server of this process, write its steps, and stop the server."""
    url = f"http://127.0.0.1:{port}"
    try:
        with Processes(folder) as processes:
            sandbox = processes.sandbox("google")
            until(lambda: is_ready(url), START_SECONDS, "the server starts")
            google = Server(replace(sandbox, url=url)).google(sandbox)
            recorder.listen()
            time.sleep(IDLE_SECONDS)
            recorder.walk()
            job_id = google.upload("events", EVENT).json["id"]
            wait_until_quiet(recorder)
            recorder.stop()
            assert google.status(job_id)["status"] == "COMPLETE", google.errors(job_id)
        (folder / "steps.json").write_text(json.dumps(recorder.steps))
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


def is_ready(url: str) -> bool:
    """Whether a server takes requests."""
    try:
        return request("GET", f"{url}/readyz").status == 200
    except urllib.error.URLError:
        return False


def wait_until_quiet(recorder: Recorder) -> None:
    """Wait until no step has been noted for a while."""
    count = -1
    while count < len(recorder.steps):
        count = len(recorder.steps)
        time.sleep(QUIET_SECONDS)


# --- the process of the person who runs this program ---


def record_walk() -> list[Step]:
    """The steps of one upload into a new server, in the order in which they are taken."""
    with tempfile.TemporaryDirectory(prefix="openbulk-walk-") as name:
        settings = {
            "OPENBULK_USER_SECRET": USER_SECRET,
            "OPENBULK_ORGANIZATION_SECRET": ORGANIZATION_SECRET,
            "OPENBULK_ALLOW_PRIVATE_ADDRESSES": "true",
            "OPENBULK_MEMORY_CONNECTOR": "true",
            "OPENBULK_DATA_DIR": str(Path(name, "data")),
            "PYTHONPATH": str(SOURCE.parent),
        }
        server = subprocess.run(
            [sys.executable, __file__, "--server", name],
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        steps = Path(name, "steps.json")
        if not steps.exists():
            raise SystemExit(f"the server did not finish the job:\n{server.stdout}{server.stderr}")
        return [Step(*step) for step in json.loads(steps.read_text())]


def first_entries(steps: Sequence[Step]) -> list[Step]:
    """Each function once, where it is first entered."""
    firsts: dict[tuple[str, str, int], Step] = {}
    for step in steps:
        firsts.setdefault((step.file, step.function, step.line), step)
    return list(firsts.values())


def figures_of(steps: Sequence[Step]) -> Figures:
    """Count the files and the changes of file."""
    files = [file for file, _ in visits(steps)]
    count = len(set(files))
    return Figures(len(steps), count, len(files) - 1, len(files) - count)


def visits(steps: Sequence[Step]) -> Iterator[tuple[str, list[Step]]]:
    """The steps that follow one another in one file."""
    for file, group in groupby(steps, key=lambda step: step.file):
        yield file, list(group)


def print_walk(steps: Sequence[Step]) -> None:
    """Print each visit of a file with the functions that are entered there; `<` marks a return."""
    left: set[str] = set()
    for file, entries in visits(steps):
        mark = "<" if file in left else " "
        left.add(file)
        print(f"{mark} {file}: {', '.join(step.function for step in entries)}")


def print_files(steps: Sequence[Step]) -> None:
    """Print how often each file is visited, and between which files the walk goes to and fro."""
    files = [file for file, _ in visits(steps)]
    functions = Counter(step.file for step in steps)
    print("\nvisits  functions  file")
    for file, count in Counter(files).most_common():
        print(f"{count:6}  {functions[file]:9}  {file}")
    pairs = Counter(tuple(sorted(pair)) for pair in pairwise(files))
    print("\nchanges  between")
    for (one, other), count in pairs.most_common():
        if count > 1:
            print(f"{count:7}  {one} and {other}")


def main() -> None:
    """Record a walk and print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="print the walk, a line for each visit")
    parser.add_argument("--threads", action="store_true", help="count the worker threads, too")
    parser.add_argument("--server", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.server:
        serve_and_record(options.server)
        return
    steps = record_walk()
    if not options.threads:
        steps = [step for step in steps if step.thread == EVENT_LOOP]
    walk = first_entries(steps)
    if options.list:
        print_walk(walk)
    print_files(walk)
    print(f"\n{figures_of(walk)}")


if __name__ == "__main__":
    main()
