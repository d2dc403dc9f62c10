"""The command line: `openbulk serve`, `openbulk worker`, `openbulk sandbox`, `openbulk rotate-key`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from openbulk.app import CannotStart, master_key_file, opened_accounts
from openbulk.cli.sandboxes import sandbox
from openbulk.cli.server import serve, worker
from openbulk.security import rotate_master_key
from openbulk.settings import Settings

cli = typer.Typer(
    help="Load thousands or millions of records from a file into a cloud service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cli.add_typer(sandbox, name="sandbox")
cli.command()(serve)
cli.command()(worker)


@cli.command("rotate-key")
def rotate_key(
    data_dir: Annotated[Path | None, typer.Option(help="The server's data directory.")] = None,
) -> None:
    """Make a new master key and seal all credentials with it. The server must be stopped.

    Older keys stay in the file: they open the files of jobs that were uploaded under them.
    """
    settings = Settings() if data_dir is None else Settings(data_dir=data_dir)
    if settings.master_key is not None:
        raise CannotStart("OPENBULK_MASTER_KEY is set: put the new key in front of it, then run 'openbulk serve'")
    rotate_master_key(master_key_file(settings))
    typer.echo(f"sealed the credentials of {asyncio.run(_reseal(settings))} instances with the new key")


async def _reseal(settings: Settings) -> int:
    async with opened_accounts(settings) as accounts:
        return await accounts.reseal()


def main() -> None:
    """Run the command line; what a person can mend is said in a sentence."""
    try:
        cli()
    except (CannotStart, ValidationError) as error:
        said = str(error) if isinstance(error, CannotStart) else _settings_problem(error)
        typer.echo(f"openbulk cannot start: {said}", err=True)
        raise SystemExit(1) from error


def _settings_problem(error: ValidationError) -> str:
    """What is wrong with the settings, without their values: some of those are secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    return f"OPENBULK_{str(first['loc'][0]).upper()}: {first['msg']}"
