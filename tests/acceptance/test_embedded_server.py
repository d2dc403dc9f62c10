"""A terminal on a machine where nothing runs: the server starts and ends with the commands."""

import os
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.harness import ORGANIZATION_SECRET, USER_SECRET, Process, Processes, request, until
from support.terminal import Command, Terminal, new_terminal

EVENTS = 600


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal of a new user, whose server may use SQLite files and addresses of this machine."""
    folder = tmp_path / "databases"
    folder.mkdir()
    with sqlite3.connect(folder / "school.db") as database:
        database.execute("create table rooms (room text primary key, seats integer)")
    settings = {
        "OPENBULK_SQLITE_FOLDER": str(folder),
        "OPENBULK_ALLOW_PRIVATE_ADDRESSES": "true",
    }
    with new_terminal(tmp_path / "home", **settings) as started:
        started.file("rooms.csv", "room,seats\nAula,200\nLibrary,30\n")
        yield started


def connect_school(terminal: Terminal) -> None:
    """Connect the database."""
    done = terminal.run("connect", "sqlite", "--name", "School", "--set", "db.file=school.db")
    assert done.returncode == 0, done.stderr


def connect_slow_calendar(terminal: Terminal, sandbox: Process) -> None:
    """Connect a calendar that answers slowly, and write a file for it."""
    person = {"user": "ann@example.com"}
    tokens = request("POST", f"{sandbox.url}/sandbox/tokens", json_body=person).json
    settings = {
        "base.url": sandbox.url,
        "oauth.api.key": "client",
        "oauth.api.secret": "secret",
        "oauth.user.refresh_token": tokens["refresh_token"],
    }
    more = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    done = terminal.run("connect", "google", *more)
    assert done.returncode == 0, done.stderr
    lines = [f"Lesson {number},2026-09-01,2026-09-02" for number in range(EVENTS)]
    terminal.file("events.csv", "\n".join(["summary,start.date,end.date", *lines, ""]))


def begin_to_load(terminal: Terminal) -> tuple[Command, str]:
    """Load the events, and return the command and the job once it writes."""
    command = terminal.start("load", "events.csv", "--to", "google/events", "--yes")
    command.expect("Plan ")
    command.expect("created")
    number = re.search(r"Plan (\d+),", command.text)
    assert number is not None
    command.expect(f"job {number[1]}")
    return command, number[1]


def is_running(terminal: Terminal) -> bool:
    """Whether a server of the data directory takes requests."""
    return (terminal.data / "address").exists()


def test_a_file_is_loaded_where_nothing_runs_and_nothing_runs_afterwards(
    terminal: Terminal,
) -> None:
    connect_school(terminal)
    command = terminal.start("load", "rooms.csv", "--to", "School", "--key", "room")
    command.expect("[y/N]")
    assert is_running(terminal)
    command.type("y")
    command.expect("is complete: 2 created")
    assert command.wait() == 0
    assert not is_running(terminal)


def test_a_person_is_asked_what_a_service_needs(terminal: Terminal) -> None:
    command = terminal.start("connect", "sqlite", "--name", "School")
    command.expect("db.file: ")
    command.type("school.db")
    command.expect("Connected School as service")
    assert command.wait() == 0


def test_commands_at_the_same_time_share_one_server(terminal: Terminal) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: terminal.run("services"), range(4)))
    assert [one.returncode for one in done] == [0] * 4, [one.stderr for one in done]
    assert not is_running(terminal)


def test_a_command_uses_the_server_that_runs_and_leaves_it_running(
    terminal: Terminal, processes: Processes
) -> None:
    server = processes.server(data_dir=terminal.data)
    terminal.settings = {
        **terminal.settings,
        "OPENBULK_USER_SECRET": USER_SECRET,
        "OPENBULK_ORGANIZATION_SECRET": ORGANIZATION_SECRET,
    }
    server.instance("memory", name="Trial")
    (service,) = terminal.json("services")
    assert service["name"] == "Trial"
    assert server.process.popen.poll() is None
    assert is_running(terminal)


def test_a_server_that_was_killed_is_started_again(terminal: Terminal) -> None:
    connect_school(terminal)
    command = terminal.start("load", "rooms.csv", "--to", "School", "--key", "room")
    command.expect("[y/N]")
    number, _, _ = (terminal.data / "started-by-terminal").read_text().partition(" ")
    os.kill(int(number), 9)
    command.type("y")
    assert command.wait() == 5
    (service,) = terminal.json("services")
    assert service["name"] == "School"


def test_ctrl_c_leaves_the_job_running_and_says_how_to_come_back(
    terminal: Terminal, processes: Processes
) -> None:
    sandbox = processes.sandbox("google")
    connect_slow_calendar(terminal, sandbox)
    request("POST", f"{sandbox.url}/sandbox/faults", json_body={"spec": "slow=1"})
    command, job = begin_to_load(terminal)
    command.interrupt()
    command.expect(f"openbulk job {job} --follow")
    assert command.wait() == 130
    assert is_running(terminal)
    assert terminal.json("job", job, "--follow")["outcomes"]["created"] == EVENTS
    until(lambda: not is_running(terminal), 30, "the server ends with the last command")


def test_a_second_ctrl_c_cancels_the_job(terminal: Terminal, processes: Processes) -> None:
    sandbox = processes.sandbox("google")
    connect_slow_calendar(terminal, sandbox)
    request("POST", f"{sandbox.url}/sandbox/faults", json_body={"spec": "slow=1"})
    command, job = begin_to_load(terminal)
    command.interrupt()
    command.expect("again within")
    command.interrupt()
    assert command.wait() == 130
    ended = terminal.json("job", job, "--follow")
    assert (ended["status"], ended["outcomes"]["created"] < EVENTS) == ("CANCELLED", True)
