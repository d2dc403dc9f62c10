"""The server on this machine that commands use if no other is named.

The server is a process of its own, so that a job goes on if the terminal is closed. Each command
that uses it holds a shared lock; the last one to end stops the server, unless a job is unfinished.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from openbulk.client.api import JOB_END, Api, Credentials, connect
from openbulk.client.exit_codes import CommandFailed, ExitCode
from openbulk.data_directory import (
    ADDRESS_FILE,
    FIRST_SECRETS_FILE,
    LOCK_FILE,
    read_first_secrets,
)

START_SECONDS = 120.0
_POLL_SECONDS = 0.05
_OWN_SETTINGS = ("OPENBULK_HOST", "OPENBULK_PORT", "OPENBULK_DATABASE_URL", "OPENBULK_DATA_DIR")
"""Settings of other servers that the one on this machine does not take over."""
_PRIVATE = 0o077
LOG_FILE = "terminal.log"
_MARKER = "started-by-terminal"
"""The process and the address of the server that a command has started."""


def default_folder() -> Path:
    """The data directory of the server on this machine."""
    given = os.environ.get("OPENBULK_DATA_DIR")
    if given:
        return Path(given)
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "openbulk"


@contextmanager
def embedded_server(folder: Path) -> Iterator[Api]:
    """The server on a data directory: the one that runs there, or one that starts now.

    Raises CommandFailed if it does not start.
    """
    os.umask(_PRIVATE)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users").open("a") as users:
        with _starting(folder):
            # While this lock is held, no command finds itself to be the last one.
            fcntl.flock(users, fcntl.LOCK_SH)
            address = _start_if_needed(folder)
        api = connect(address, _credentials(folder))
        try:
            yield api
        finally:
            _stop_if_unused(folder, users, api)


def _stop_if_unused(folder: Path, users: IO[str], api: Api) -> None:
    with _starting(folder):
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        process = _started_process(folder)
        if process is None or _has_work(api):
            return
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
        # The next command does not find it any more, and waits until its lock is free.
        (folder / ADDRESS_FILE).unlink(missing_ok=True)
        (folder / _MARKER).unlink(missing_ok=True)


def _has_work(api: Api) -> bool:
    try:
        jobs = api.page("/bulk/jobs", pageSize=200).items
    except CommandFailed:
        return True
    return any(job.get("status") not in JOB_END for job in jobs)


def _started_process(folder: Path) -> int | None:
    """The number of the server's process; None if no command of the terminal has started it."""
    with suppress(OSError, ValueError):
        number, _, address = (folder / _MARKER).read_text().partition(" ")
        if address == _address(folder):
            return int(number)
    return None


@contextmanager
def _starting(folder: Path) -> Iterator[None]:
    """Only one command at a time starts or stops the server."""
    with (folder / "starting").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_locked(folder: Path) -> bool:
    """Whether a server holds the data directory, on its way up and down, too."""
    try:
        with (folder / LOCK_FILE).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def _address(folder: Path) -> str | None:
    """Where the server of a data directory listens; None if none does.

    The lock says so: the file may be of a process that was killed, and its port that of another
    program by now.
    """
    if not _is_locked(folder):
        return None
    with suppress(FileNotFoundError):
        return (folder / ADDRESS_FILE).read_text().strip()
    return None


def _start_if_needed(folder: Path) -> str:
    """The address of the server of a data directory, which starts if none is there.

    Raises CommandFailed.
    """
    process: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + START_SECONDS
    while (address := _address(folder)) is None:
        if process is not None and process.poll() is not None:
            raise CommandFailed(
                f"the server on {folder} did not start: {_last_line(folder / LOG_FILE)}"
            )
        if time.monotonic() > deadline:
            raise CommandFailed(
                f"the server on {folder} did not start within {START_SECONDS:.0f} s; see "
                f"{folder / LOG_FILE}",
                ExitCode.TRY_LATER,
            )
        if process is None and not _is_locked(folder):
            process = _start(folder)
        time.sleep(_POLL_SECONDS)
    if process is not None:
        (folder / _MARKER).write_text(f"{process.pid} {address}")
    return address


def _start(folder: Path) -> "subprocess.Popen[bytes]":
    environment = {k: v for k, v in os.environ.items() if k not in _OWN_SETTINGS}
    command = [sys.executable, "-m", "openbulk", "serve", "--port", "0", "--data-dir", str(folder)]
    with (folder / LOG_FILE).open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - its own program
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal does not reach it
        )


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("openbulk cannot start: ") if lines else f"see {log}"


def _credentials(folder: Path) -> Credentials:
    """The secrets of the first start; those that the environment sets come first."""
    kept = read_first_secrets(folder)
    user, organization = (
        _first_of(os.environ.get(name, "")) or kept.get(name)
        for name in ("OPENBULK_USER_SECRET", "OPENBULK_ORGANIZATION_SECRET")
    )
    if user is None or organization is None:
        raise CommandFailed(
            f"{folder / FIRST_SECRETS_FILE} is gone, which has the secrets of the server on this "
            "machine; set OPENBULK_USER_SECRET and OPENBULK_ORGANIZATION_SECRET",
            ExitCode.SIGN_IN,
        )
    return Credentials(user=user, organization=organization)


def _first_of(setting: str) -> str | None:
    parts = [part.strip() for part in setting.replace(",", "\n").splitlines()]
    return next((part for part in parts if part), None)
