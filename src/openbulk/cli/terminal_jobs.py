"""The commands about jobs: list, follow, control, mend and take back."""

from typing import Annotated

import typer

from openbulk.cli.terminal_options import (
    AsJson,
    DataDir,
    JobId,
    Kind,
    Output,
    ProfileName,
    Server,
    Yes,
    talking,
)

Format = Annotated[
    str, typer.Option("--format", help="csv, xlsx or jsonl. Default: by the name of the file.")
]


def jobs(
    limit: Annotated[int, typer.Option(min=1, max=2000, help="How many.")] = 20,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the latest jobs.

    Example: openbulk jobs --limit 5
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import jobs as client  # noqa: PLC0415

        client.print_jobs(api, limit, as_json=as_json)


def job(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", help="Follow it until it ends.")] = False,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a job, or follow it until it ends.

    Example: openbulk job 12 --follow
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import jobs as client  # noqa: PLC0415

        code = client.print_job(api, job_id, follow=follow, as_json=as_json)
    raise typer.Exit(int(code))


def errors(
    job_id: JobId,
    groups: Annotated[bool, typer.Option("--groups", help="Causes in place of rows.")] = False,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the rows of a job that failed, or why they failed.

    Example: openbulk errors 12 --groups
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import jobs as client  # noqa: PLC0415

        client.print_errors(api, job_id, groups=groups, as_json=as_json)


def results(
    job_id: JobId,
    kind: Kind = None,
    output: Output = "-",
    format_name: Format = "",
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
) -> None:
    """Write the rows of a job, with what became of each.

    Example: openbulk results 12 --kind failed -o mend.csv
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import jobs as client  # noqa: PLC0415

        client.save_results(api, job_id, kind, output, format_name)


def retry(
    job_id: JobId,
    file: Annotated[
        str | None, typer.Argument(help="Results that were mended. Default: the rows as they are.")
    ] = None,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send the rows of a job that failed again.

    Example: openbulk retry 12 mend.csv
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import jobs as client  # noqa: PLC0415

        code = client.retry(api, job_id, file, as_json=as_json)
    raise typer.Exit(int(code))


def undo(
    job_id: JobId,
    yes: Yes = False,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put back what a job has written: show what that does, ask, and do it.

    Example: openbulk undo 12
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import jobs as client  # noqa: PLC0415

        code = client.undo(api, job_id, yes=yes, as_json=as_json)
    raise typer.Exit(int(code))


def verify(
    job_id: JobId,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare what a job has written with what the service has. Ends with 7 if they differ.

    Example: openbulk verify 12
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import jobs as client  # noqa: PLC0415

        code = client.verify(api, job_id, as_json=as_json)
    raise typer.Exit(int(code))


def pause(
    job_id: JobId,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
) -> None:
    """Pause a job.

    Example: openbulk pause 12
    """
    _control(job_id, "pause", server, profile, data_dir)


def resume(
    job_id: JobId,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
) -> None:
    """Go on with a job that is paused.

    Example: openbulk resume 12
    """
    _control(job_id, "resume", server, profile, data_dir)


def cancel(
    job_id: JobId,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
) -> None:
    """Cancel a job. What it has written stays.

    Example: openbulk cancel 12
    """
    _control(job_id, "cancel", server, profile, data_dir)


def _control(
    job_id: str, action: str, server: Server, profile: ProfileName, data_dir: DataDir
) -> None:
    with talking(server, profile, data_dir) as api:
        from openbulk.client import jobs as client  # noqa: PLC0415

        client.control(api, job_id, action)


def get(
    query: Annotated[str, typer.Argument(help="A query: select ... from OBJECT where ...")],
    source: Annotated[str, typer.Option("--from", help="The service to read from.")],
    output: Output = "-",
    format_name: Annotated[
        str, typer.Option("--format", help="csv, xlsx, json, jsonl or ics.")
    ] = "",
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
) -> None:
    """Read records into a file.

    Example: openbulk get "select summary, start from events" --from google -o events.xlsx
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import jobs as client  # noqa: PLC0415

        code = client.download(api, query, source, output, format_name)
    raise typer.Exit(int(code))


def add_commands(cli: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (jobs, job, errors, results, retry, undo, verify, pause, resume, cancel, get):
        cli.command()(command)
