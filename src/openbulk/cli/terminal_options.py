"""The options that all commands of the terminal share, and what they do with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from openbulk.client.api import Api

Server = Annotated[
    str | None,
    typer.Option(help="Address of a server. Default: the one on this machine.", metavar="URL"),
]
ProfileName = Annotated[
    str | None, typer.Option("--profile", help="A server that you have signed in to.")
]
DataDir = Annotated[Path | None, typer.Option(help="Data directory of the server on this machine.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
JobId = Annotated[str, typer.Argument(help="Number of the job.", metavar="ID")]
Kind = Annotated[
    str | None, typer.Option(help="Only rows of this kind, or of several with commas between.")
]
Output = Annotated[str, typer.Option("--output", "-o", help="File to write; - is standard output.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before writing.")]
MaxWrites = Annotated[
    int | None, typer.Option(min=0, help="Write nothing if the plan would write more records.")
]
MaxDeletes = Annotated[
    int | None, typer.Option(min=0, help="Write nothing if the plan would delete more records.")
]


@contextmanager
def talking(server: str | None, profile: str | None, data_dir: Path | None) -> "Iterator[Api]":
    """The API of the server that the options name. Ends the command if something fails."""
    from openbulk.client.sessions import Place, open_api  # noqa: PLC0415

    with ending(), open_api(Place(server, profile, data_dir)) as api:
        yield api


@contextmanager
def ending() -> Iterator[None]:
    """End the command with a sentence and its exit code if it cannot go on."""
    from openbulk.client.exit_codes import CommandFailed, ExitCode  # noqa: PLC0415

    try:
        yield
    except CommandFailed as error:
        typer.echo(f"openbulk: {error}", err=True)
        raise typer.Exit(int(error.code)) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(int(ExitCode.INTERRUPTED)) from error
