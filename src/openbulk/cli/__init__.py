"""The command line: `openbulk serve`, `worker`, `sandbox` and `rotate-key`."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from openbulk.cli.sandboxes import sandbox
from openbulk.domain.errors import CannotStart, DiskFull
from openbulk.settings import Settings

# Only the commands that need the server import its modules: that takes longer than the start of a
# sandbox.

cli = typer.Typer(
    help="Load thousands or millions of records from a file into a cloud service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cli.add_typer(sandbox, name="sandbox")


@cli.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0: any.", show_default="8080")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder of everything that the server keeps.", show_default="./openbulk-data"
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

    Every option is also an environment variable: OPENBULK_PORT, OPENBULK_DATA_DIR, ...
    """
    with _loading():
        from openbulk.cli import server  # noqa: PLC0415

    server.serve(_settings(host=host, port=port, data_dir=data_dir, database_url=database_url))


@cli.command()
def worker(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the master key.", show_default="./openbulk-data"),
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="The ledger's database: postgresql://...")
    ] = None,
) -> None:
    """Run a worker: it works on the jobs of servers that share its database and files."""
    with _loading():
        from openbulk.cli import server  # noqa: PLC0415

    server.work(_settings(data_dir=data_dir, database_url=database_url))


@cli.command("rotate-key")
def rotate_key(
    data_dir: Annotated[Path | None, typer.Option(help="The server's data directory.")] = None,
) -> None:
    """Make a new master key and seal all credentials with it. The server must be stopped.

    Older keys stay in the file: they open the files of jobs that were uploaded under them.
    """
    with _loading():
        from openbulk.cli import server  # noqa: PLC0415

    sealed = server.rotate_key(_settings(data_dir=data_dir))
    typer.echo(f"sealed the credentials of {sealed} instances with the new key")


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


def _settings(**given: str | int | Path | None) -> Settings:
    """Settings from the command line; those not given there come from the environment."""
    return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def main() -> None:
    """Run the command line. Prints an error that you can fix as one sentence."""
    try:
        cli()
    except (CannotStart, DiskFull, ValidationError) as error:
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


def _explanation(error: CannotStart | DiskFull | ValidationError) -> str:
    match error:
        case ValidationError():
            return _settings_problem(error)
        case DiskFull(what=what):
            return (
                f"there is no room left for {what}: its disk is full; "
                "make room and start it again; nothing is lost"
            )
        case _:
            return str(error)


def _settings_problem(error: ValidationError) -> str:
    """The first problem of the settings, without the value, which may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"OPENBULK_{str(first['loc'][0]).upper()}: {first['msg']}"
