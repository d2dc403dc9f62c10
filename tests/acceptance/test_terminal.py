"""A person in a terminal does everything without curl, against a server."""

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.test_instances import consent
from support.harness import ORGANIZATION_SECRET, USER_SECRET, Process, Processes, Server, request
from support.ports import free_port
from support.terminal import Terminal, new_terminal

ROOMS = "room,seats,fail\nAula,200,\nLibrary,30,\n"
OPEN_DATES = "summary,start.date,end.date\nChoir,05/06/2026,06/06/2026\n"
ONE_BAD = "room,seats,fail\nGym,80,\nAttic,4,the roof leaks\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("server")) as processes:
        yield processes.server()


@pytest.fixture
def terminal(server: Server, tmp_path: Path) -> Iterator[Terminal]:
    """A terminal whose commands use the server, with an instance of its own."""
    instance = server.instance("memory", {"space": str(tmp_path)}, name=tmp_path.name)
    settings = {
        "OPENBULK_SERVER": server.process.url,
        "OPENBULK_USER_SECRET": USER_SECRET,
        "OPENBULK_ORGANIZATION_SECRET": ORGANIZATION_SECRET,
        "TO": f"{instance.instance_id}/records",
    }
    with new_terminal(tmp_path / "home", **settings) as started:
        started.file("rooms.csv", ROOMS)
        started.file("bad.csv", ONE_BAD)
        yield started
    server.call("DELETE", f"/instances/{instance.instance_id}")


def load(terminal: Terminal, file: str, *more: str) -> tuple[int, str, str]:
    """Load a file without a terminal. Returns the exit code and both outputs."""
    done = terminal.run("load", file, "--to", terminal.settings["TO"], "--key", "room", *more)
    return done.returncode, done.stdout, done.stderr


def test_a_person_sees_the_plan_agrees_and_learns_how_to_take_it_back(terminal: Terminal) -> None:
    command = terminal.start("load", "rooms.csv", "--to", terminal.settings["TO"], "--key", "room")
    command.expect("2 rows: 2 created")
    command.expect("Carry it out? [y/N]")
    command.type("y")
    command.expect("is complete: 2 created")
    command.expect("openbulk undo")
    assert command.wait() == 0


def test_a_person_who_does_not_agree_has_written_nothing(terminal: Terminal) -> None:
    command = terminal.start("load", "rooms.csv", "--to", terminal.settings["TO"], "--key", "room")
    command.expect("[y/N]")
    command.type("n")
    command.expect("openbulk apply")
    assert command.wait() == 0
    query = terminal.run("get", "select * from records", "--from", _service(terminal))
    assert "Aula" not in query.stdout


def test_rows_that_fail_end_with_3_and_are_mended_and_sent_again(terminal: Terminal) -> None:
    code, answer, _ = load(terminal, "bad.csv", "--yes", "--json")
    job = json.loads(answer)
    assert (code, job["outcomes"]["created"], job["outcomes"]["failed"]) == (3, 1, 1)
    (error,) = terminal.json("errors", str(job["id"]))
    assert "the roof leaks" in error["error"]
    done = terminal.run("results", str(job["id"]), "--kind", "failed", "-o", "mend.csv")
    assert done.returncode == 0, done.stderr
    mended = terminal.home / "mend.csv"
    mended.write_text(mended.read_text().replace("4,the roof leaks,", "4,,", 1))
    assert terminal.run("retry", str(job["id"]), "mend.csv").returncode == 0
    assert terminal.run("verify", str(job["id"])).returncode == 0


def test_what_was_loaded_is_put_back(terminal: Terminal) -> None:
    _, answer, _ = load(terminal, "rooms.csv", "--yes", "--json")
    done = terminal.run("undo", str(json.loads(answer)["id"]), "--yes")
    assert (done.returncode, "2 reversed" in done.stderr) == (0, True), done.stderr


def test_a_file_comes_from_standard_input_and_records_go_to_standard_output(
    terminal: Terminal,
) -> None:
    to = terminal.settings["TO"]
    done = terminal.run("load", "-", "--to", to, "--key", "room", "--yes", text=ROOMS)
    assert done.returncode == 0, done.stderr
    got = terminal.run("get", "select room from records", "--from", _service(terminal))
    assert sorted(got.stdout.split()) == ["Aula", "Library", "room"]


def test_json_alone_is_on_standard_output_without_colours(terminal: Terminal) -> None:
    code, answer, notes = load(terminal, "rooms.csv", "--yes", "--json")
    assert (code, json.loads(answer)["status"]) == (0, "COMPLETE")
    assert "\x1b" not in answer + notes


def test_a_script_that_did_not_agree_beforehand_ends_with_2_and_nothing_is_sent(
    terminal: Terminal,
) -> None:
    code, _, notes = load(terminal, "rooms.csv")
    assert (code, "add --yes" in notes) == (2, True)


def test_a_plan_with_changes_ends_with_6_and_one_without_with_0(terminal: Terminal) -> None:
    plan = ("plan", "rooms.csv", "--to", terminal.settings["TO"], "--key", "room", "--check")
    assert terminal.run(*plan).returncode == 6
    assert load(terminal, "rooms.csv", "--yes")[0] == 0
    assert terminal.run(*plan).returncode == 0


def test_more_writes_than_allowed_end_with_8(terminal: Terminal) -> None:
    code, _, notes = load(terminal, "rooms.csv", "--yes", "--max-writes", "1")
    assert (code, "would write 2 records" in notes) == (8, True)


def test_more_deletes_than_allowed_end_with_8(terminal: Terminal) -> None:
    assert load(terminal, "rooms.csv", "--yes")[0] == 0
    delete = ("--action", "delete", "--yes", "--max-deletes")
    assert load(terminal, "rooms.csv", *delete, "1")[0] == 8
    assert load(terminal, "rooms.csv", *delete, "2")[0] == 0


def test_records_that_have_changed_since_the_plan_end_with_7(terminal: Terminal) -> None:
    assert load(terminal, "rooms.csv", "--yes")[0] == 0
    terminal.file("planned.csv", "room,seats,fail\nAula,300,\n")
    to = terminal.settings["TO"]
    plan = terminal.json("plan", "planned.csv", "--to", to, "--key", "room")
    terminal.file("other.csv", "room,seats,fail\nAula,250,\n")
    assert load(terminal, "other.csv", "--yes")[0] == 0
    done = terminal.run("apply", plan["id"], "--yes")
    assert (done.returncode, "1 drifted" in done.stderr) == (7, True), done.stderr


def test_a_wrong_key_ends_with_4(server: Server, tmp_path: Path) -> None:
    settings = {"OPENBULK_SERVER": server.process.url, "OPENBULK_API_KEY": "obk_wrong"}
    with new_terminal(tmp_path / "home", **settings) as terminal:
        done = terminal.run("services")
    assert (done.returncode, "wrong" in done.stderr) == (4, True), done.stderr


def test_a_server_that_does_not_answer_ends_with_5(tmp_path: Path) -> None:
    settings = {"OPENBULK_API_KEY": "obk_any"}
    with new_terminal(tmp_path / "home", **settings) as terminal:
        done = terminal.run("services", "--server", f"http://127.0.0.1:{free_port()}")
    assert (done.returncode, "does not answer" in done.stderr) == (5, True), done.stderr


def test_a_service_that_is_not_connected_ends_with_1(terminal: Terminal) -> None:
    done = terminal.run("load", "rooms.csv", "--to", "nowhere", "--yes")
    assert (done.returncode, "no service 'nowhere' is connected" in done.stderr) == (1, True)


def test_an_unknown_object_ends_with_2_and_the_nearest_one(terminal: Terminal) -> None:
    done = terminal.run("load", "rooms.csv", "--to", f"{_service(terminal)}/recods", "--yes")
    assert (done.returncode, "did you mean 'records'?" in done.stderr) == (2, True), done.stderr


def test_who_signs_in_is_signed_in_from_then_on(server: Server, tmp_path: Path) -> None:
    body = {"name": "terminal", "scopes": ["read"]}
    key = server.call("POST", "/organizations/users/me/secrets", json_body=body).json["secret"]
    with new_terminal(tmp_path / "home") as terminal:
        command = terminal.start("login", server.process.url, "--profile", "work")
        command.expect("API key:")
        command.type(key)
        assert command.wait() == 0
        assert key not in command.text
        (profile,) = terminal.json("profiles")
        assert profile == {"name": "work", "url": server.process.url, "current": True}
        kept = terminal.home / ".config" / "openbulk" / "profiles.json"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert terminal.run("services").returncode == 0
        assert terminal.run("logout", "--profile", "work").returncode == 0
        assert terminal.json("profiles") == []


def test_a_key_that_the_server_does_not_take_is_not_kept(server: Server, tmp_path: Path) -> None:
    with new_terminal(tmp_path / "home") as terminal:
        done = terminal.run("login", server.process.url, text="obk_wrong\n")
        assert done.returncode == 4
        assert terminal.json("profiles") == []


def test_a_person_signs_in_to_google_with_a_link(
    terminal: Terminal, shared_google: Process, server: Server
) -> None:
    settings = [f"base.url={shared_google.url}", "oauth.api.key=client", "oauth.api.secret=secret"]
    more = [part for setting in settings for part in ("--set", setting)]
    command = terminal.start("connect", "google", "--name", "Calendar", "--no-browser", *more)
    command.expect("Open this link")
    command.expect("state=")
    link = re.search(r"http\S+state=\S+", command.text.replace("\n", " "))
    assert link is not None
    answer = consent(link[0])
    redirect = re.search(r"redirect_uri=([^&]+)", link[0])
    assert redirect is not None
    address = redirect[1].replace("%3A", ":").replace("%2F", "/")
    assert request("GET", f"{address}?code=foreign&state=foreign").status == 200
    assert request("GET", f"{address}?code={answer['code']}&state={answer['state']}").status == 200
    command.expect("Connected Calendar as service")
    assert command.wait() == 0


@pytest.fixture
def calendar(server: Server, shared_google: Process) -> Iterator[str]:
    """The number of a calendar."""
    instance = server.google(shared_google)
    assert instance.instance_id is not None
    yield instance.instance_id
    server.call("DELETE", f"/instances/{instance.instance_id}")


def test_a_person_is_asked_what_the_file_leaves_open(terminal: Terminal, calendar: str) -> None:
    terminal.file("dates.csv", OPEN_DATES)
    command = terminal.start("plan", "dates.csv", "--to", f"{calendar}/events")
    command.expect("DMY")
    command.expect("dateOrder:")
    command.type("sometimes")
    command.expect("Type one of")
    command.type("DMY")
    command.expect("1 rows: 1 created")
    assert command.wait() == 0


def test_a_script_answers_beforehand_and_is_told_how(terminal: Terminal, calendar: str) -> None:
    terminal.file("dates.csv", OPEN_DATES)
    plan = ("plan", "dates.csv", "--to", f"{calendar}/events")
    done = terminal.run(*plan)
    assert (done.returncode, "--option dateOrder=" in done.stderr) == (1, True), done.stderr
    assert terminal.run(*plan, "--option", "dateOrder=DMY").returncode == 0


def test_the_doctor_says_which_service_does_not_answer(terminal: Terminal) -> None:
    findings = terminal.json("doctor")
    assert {one["check"] for one in findings} >= {"server", "clock", "sign-in"}
    assert all(one["is_good"] for one in findings if not one["check"].startswith("service"))


def test_what_a_file_has_in_it_cannot_command_the_terminal(terminal: Terminal) -> None:
    terminal.file("evil.csv", "room,seats\n\x1b[2J[bold]x,1\n")
    done = terminal.run("profile", "evil.csv")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "\\x1b[2J[bold]x" in done.stdout


def _service(terminal: Terminal) -> str:
    return terminal.settings["TO"].partition("/")[0]
