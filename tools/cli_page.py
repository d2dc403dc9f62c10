"""Writes docs/reference/cli.md: every command of the terminal, as its own help has it."""

import sys
from pathlib import Path

import click
import typer

from openbulk.cli import cli
from openbulk.client.exit_codes import ExitCode

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"
OF_THE_SERVER = ("serve", "worker", "rotate-key", "sandbox", "admin", "audit")
_EXAMPLE = "Example: "
_HEAD = """# The terminal

<!-- `python tools/cli_page.py` writes this page from the commands themselves. -->

`openbulk` is also a client: these commands speak to a server. Those of the server itself are on
[another page](command-line.md). [Load a file from the terminal][how] shows them at work.

Without further options a command uses the server on this machine. Its data directory is
`OPENBULK_DATA_DIR`, or `~/.local/share/openbulk`. If no server runs there, the command starts one,
with the settings of the environment. The last command ends it, unless a job is unfinished;
schedules run only as long as it does. `--server URL` and `--profile NAME` name another server; so
does `OPENBULK_SERVER`, and after `openbulk login` that server is used. `OPENBULK_API_KEY`, or
`OPENBULK_USER_SECRET` and `OPENBULK_ORGANIZATION_SECRET`, are shown to a server that `--server` or
`OPENBULK_SERVER` names. Keys of profiles are in the system's keyring if the package `keyring` is
installed beside openbulk, else in `~/.config/openbulk/profiles.json`, which only you may read.

Answers are on standard output, JSON with `--json`. Questions and progress are on standard error; a
progress bar only in a terminal. `NO_COLOR` takes the colours away. `openbulk --install-completion`
completes commands in your shell.

[how]: ../how-to/load-a-file-from-the-terminal.md

## Exit codes

| code | meaning |
|---:|---|
"""
_MEANINGS = {
    ExitCode.DONE: "done; every row has arrived",
    ExitCode.FAILED: "an error, with a sentence on standard error",
    ExitCode.USAGE: "the command was not understood, or nobody could be asked",
    ExitCode.ROWS_FAILED: "the job is finished, and rows of it failed",
    ExitCode.SIGN_IN: "not signed in, or the key is wrong",
    ExitCode.TRY_LATER: "the server does not answer, or has no room: try again later",
    ExitCode.CHANGES: "`plan --check`: the plan would write",
    ExitCode.DRIFTED: "records have changed meanwhile, and were left; `verify`: they differ",
    ExitCode.LIMIT: "more than `--max-writes` or `--max-deletes`, or a file that is too large",
    ExitCode.INTERRUPTED: "Ctrl-C; the job goes on, unless it was pressed twice",
}


def page() -> str:
    """The text of the page."""
    rows = "".join(f"| {int(code)} | {_MEANINGS[code]} |\n" for code in ExitCode)
    group = typer.main.get_command(cli)
    commands = getattr(group, "commands", {})
    chosen = {name: one for name, one in commands.items() if name not in OF_THE_SERVER}
    return _HEAD + rows + "".join(_section(name, one) for name, one in chosen.items())


def _section(name: str, command: click.Command) -> str:
    text, _, example = (command.help or "").partition(_EXAMPLE)
    if not example:
        raise SystemExit(f"openbulk {name} has no example: its docstring needs '{_EXAMPLE}...'")
    described = " ".join(text.split())
    rows = "".join(_row(parameter) for parameter in command.params if parameter.name != "help")
    return (
        f"\n## openbulk {name}\n\n```sh\n{example.strip()}\n```\n\n{described}\n\n"
        f"| option | meaning |\n|---|---|\n{rows}"
    )


def _row(parameter: click.Parameter) -> str:
    names = ", ".join(f"`{name}`" for name in parameter.opts)
    if parameter.param_type_name == "argument":
        optional = "" if parameter.required else ", optional"
        names = f"`{(parameter.metavar or parameter.name or '').upper()}`{optional}"
    return f"| {names} | {getattr(parameter, 'help', '') or ''} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
