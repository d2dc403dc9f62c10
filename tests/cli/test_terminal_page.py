"""docs/reference/cli.md is what the commands say of themselves."""

import os
import subprocess
import sys
from pathlib import Path

from typer.main import get_command

from openbulk.cli import cli

ROOT = Path(__file__).parents[2]


def test_the_page_of_the_terminal_is_what_the_commands_say(tmp_path: Path) -> None:
    show = "import cli_page, sys; sys.stdout.write(cli_page.page())"
    written = subprocess.run(
        [sys.executable, "-c", show],
        cwd=ROOT / "tools",
        capture_output=True,
        text=True,
        check=True,
    )
    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert written.stdout == page, "run: python tools/cli_page.py"


def test_every_command_of_the_page_has_an_example_that_it_would_take() -> None:
    """Each example names a command and options that exist."""
    group = get_command(cli)
    commands = getattr(group, "commands", {})
    for name, command in commands.items():
        _, _, example = (command.help or "").partition("Example: openbulk ")
        for word in example.split():
            if word.startswith("-"):
                known = {option for one in command.params for option in one.opts}
                assert word in known, f"{name}: {word}"


def test_a_shell_completes_the_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openbulk"],
        env={
            **os.environ,
            "_OPENBULK_COMPLETE": "complete_bash",
            "COMP_WORDS": "openbulk lo",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert {"load", "login", "logout"} <= set(done.stdout.split())
