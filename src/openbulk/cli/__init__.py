"""The command line: commands of the server, and those of a person who uses one."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from openbulk.cli import terminal_jobs, terminal_load, terminal_services
from openbulk.cli.admin import admin
from openbulk.cli.sandboxes import sandbox
from openbulk.cli.setting_options import load_settings
from openbulk.domain.errors import BadInput, CannotStart, DiskFull

# Only the commands that need settings and the server import their modules: that takes longer than
# all that other commands do.

cli = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
terminal_load.add_commands(cli)
terminal_jobs.add_commands(cli)
terminal_services.add_commands(cli)
cli.add_typer(sandbox, name="sandbox")
cli.add_typer(admin, name="admin")
audit_commands = typer.Typer(no_args_is_help=True, help="Check the audit log.")
cli.add_typer(audit_commands, name="audit")


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version  # noqa: PLC0415

        typer.echo(f"openbulk {version('openbulk')}")
        raise typer.Exit


@cli.callback()
def openbulk(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Load thousands or millions of records from a file into a cloud service."""


@cli.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on; 0 takes any free port.", show_default="8080"),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder for files, database and master key.", show_default="./openbulk-data"
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            help="The ledger's database.", show_default="a SQLite file in the data directory"
        ),
    ] = None,
) -> None:
    """Run the server.

    Every option is also an environment variable, such as OPENBULK_PORT.
    docs/reference/settings.md lists all settings.
    """
    with _loading():
        from openbulk.cli import server  # noqa: PLC0415

    server.serve(load_settings(host=host, port=port, data_dir=data_dir, database_url=database_url))


@cli.command()
def worker(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with the master key.", show_default="./openbulk-data"),
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="The ledger's database: postgresql://...")
    ] = None,
) -> None:
    """Work on the jobs of servers that use the same database and files.

    A worker answers no requests.
    """
    with _loading():
        from openbulk.cli import server  # noqa: PLC0415

    server.work(load_settings(data_dir=data_dir, database_url=database_url))


@cli.command("rotate-key")
def rotate_key(
    data_dir: Annotated[Path | None, typer.Option(help="The server's data directory.")] = None,
) -> None:
    """Make a new master key and seal all credentials with it. The server must be stopped.

    Older keys stay in the file: they open the files of jobs that were uploaded under them.
    """
    with _loading():
        from openbulk.cli import server  # noqa: PLC0415

    sealed = server.rotate_key(load_settings(data_dir=data_dir))
    typer.echo(f"sealed the credentials of {sealed} instances with the new key")


@audit_commands.callback()
def _audit() -> None:
    """Check the audit log."""


@audit_commands.command("verify")
def verify_audit(
    file: Annotated[
        Path | None,
        typer.Argument(help="A file of GET /audit?format=jsonl. Without it, the server's log."),
    ] = None,
    noted: Annotated[
        str | None,
        typer.Option(help="An entry that you noted, as number:hash; it has to be in the file."),
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The server's data directory.")] = None,
    database_url: Annotated[str | None, typer.Option(help="The ledger's database.")] = None,
) -> None:
    """Check that no entry of the audit log was changed, removed or added.

    The server may run meanwhile. The command ends with 1 if something is wrong.
    """
    with _loading():
        from openbulk.cli import audit as log  # noqa: PLC0415

    try:
        if file is None:
            settings = load_settings(data_dir=data_dir, database_url=database_url)
            results = list(log.verify_ledger(settings))
        else:
            check = log.verify_file(file, None if noted is None else log.parse_noted(noted))
            results = [(check.is_whole, log.describe(check))]
    except BadInput as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    for _, line in results:
        typer.echo(line)
    raise typer.Exit(0 if all(is_whole for is_whole, _ in results) else 1)


@contextmanager
def _loading() -> Iterator[None]:
    """Load modules without garbage collection, and collect less often later.

    Imports make many objects and no garbage; collecting took a sixth of their time. At Python's
    default thresholds, collecting later took a twentieth of the time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


def main() -> None:
    """Run the command line. Prints an error that you can fix as one sentence."""
    try:
        cli(prog_name="openbulk")  # by which shells complete it, also as `python -m openbulk`
    except (CannotStart, DiskFull) as error:
        typer.echo(f"openbulk cannot start: {_explanation(error)}", err=True)
        _end(1)
    except SystemExit as ended:
        _end(ended.code if isinstance(ended.code, int) else int(ended.code is not None))


def _end(code: int) -> NoReturn:
    """End the process without Python's own cleanup.

    During that cleanup, running threads of the file store may abort the process: with obstore 0.12,
    one exit in eight did, shortly after a call.
    """
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _explanation(error: CannotStart | DiskFull) -> str:
    if isinstance(error, DiskFull):
        return (
            f"the disk is full: it has no space for {error.what}; "
            "free some space and start again; nothing is lost"
        )
    return str(error)
