"""The commands `load`, `plan`, `apply` and `profile`."""

from typing import Annotated

import typer

from openbulk.cli.terminal_options import (
    AsJson,
    DataDir,
    JobId,
    Kind,
    MaxDeletes,
    MaxWrites,
    ProfileName,
    Server,
    Yes,
    talking,
)

FileArgument = Annotated[str, typer.Argument(help="The file; - is standard input.")]
Action = Annotated[
    str | None,
    typer.Option(help="create, update, upsert or delete. Default: create; upsert with --key."),
]
Key = Annotated[str | None, typer.Option(help="The field that identifies a record.")]
MappingOption = Annotated[
    str | None,
    typer.Option(
        help="A JSON file with a mapping, the name of a saved one, or none if the columns have the "
        "names of fields. Default: openbulk proposes one."
    ),
]
MoreOptions = Annotated[
    list[str] | None,
    typer.Option("--option", help="A further key of metaData, as KEY=VALUE.", metavar="KEY=VALUE"),
]


def load(
    file: FileArgument,
    *,
    to: Annotated[str, typer.Option(help="Where to: a service, and its object behind a slash.")],
    action: Action = None,
    key: Key = None,
    mapping: MappingOption = None,
    option: MoreOptions = None,
    yes: Yes = False,
    max_writes: MaxWrites = None,
    max_deletes: MaxDeletes = None,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Load a file: show what it would do, ask, do it, and say what became of it.

    Example: openbulk load events.xlsx --to google/events
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import loading, plans  # noqa: PLC0415

        limits = plans.Limits(max_writes, max_deletes)
        wanted = loading.Load(
            file, to, action, key, mapping, loading.parse_options(option or []), yes
        )
        plans.require_person(yes=yes)
        prepared = loading.prepare(api, wanted)
        plan = plans.follow_plan(prepared.api, loading.make_plan(prepared), quiet=as_json)
        plans.show_plan(api, plan)
        plans.require_limits(plan, limits)
        if not plans.agree("Carry it out?", yes=yes):
            again = f"openbulk apply {plan['id']}"
            typer.echo(f"Nothing was written. Carry it out with: {again}", err=True)
            return
        code = plans.carry_out(prepared.api, plan, limits, as_json=as_json)
    raise typer.Exit(int(code))


def plan(
    file: Annotated[str, typer.Argument(help="The file, or the number of a plan to show.")],
    *,
    to: Annotated[
        str | None, typer.Option(help="Where to: a service, and its object behind a slash.")
    ] = None,
    action: Action = None,
    key: Key = None,
    mapping: MappingOption = None,
    option: MoreOptions = None,
    check: Annotated[bool, typer.Option(help="End with 6 if the plan would write.")] = False,
    kind: Kind = None,
    max_writes: MaxWrites = None,
    max_deletes: MaxDeletes = None,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say what loading a file would do, and write nothing; or show the rows of a plan.

    Example: openbulk plan events.xlsx --to google/events --check
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import loading, plans  # noqa: PLC0415
        from openbulk.client.exit_codes import ExitCode  # noqa: PLC0415

        if to is None:
            plans.print_rows(api, file, kind, as_json=as_json)
            return
        wanted = loading.Load(file, to, action, key, mapping, loading.parse_options(option or []))
        prepared = loading.prepare(api, wanted)
        made = plans.follow_plan(prepared.api, loading.make_plan(prepared), quiet=as_json)
        plans.print_plan(api, made, as_json=as_json)
        plans.require_limits(made, plans.Limits(max_writes, max_deletes))
        code = ExitCode.CHANGES if check and plans.has_changes(made) else ExitCode.DONE
    raise typer.Exit(int(code))


def apply(
    job_id: JobId,
    *,
    yes: Yes = False,
    overwrite: Annotated[
        bool, typer.Option(help="Also write records that have changed since the plan.")
    ] = False,
    first: Annotated[
        int | None,
        typer.Option(min=1, help="Carry out so many rows; others stay planned."),
    ] = None,
    max_writes: MaxWrites = None,
    max_deletes: MaxDeletes = None,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Carry out a plan.

    Example: openbulk apply 12 --max-deletes 0
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import plans  # noqa: PLC0415

        limits = plans.Limits(max_writes, max_deletes)
        made = plans.follow_plan(api, job_id, quiet=as_json)
        plans.show_plan(api, made)
        plans.require_limits(made, limits)
        if not plans.agree("Carry it out?", yes=yes):
            typer.echo("Nothing was written.", err=True)
            return
        more: dict[str, object] = {"drifted": "overwrite"} if overwrite else {}
        if first is not None:
            more["first"] = first
        code = plans.carry_out(api, made, limits, as_json=as_json, **more)
    raise typer.Exit(int(code))


def profile(
    file: FileArgument,
    *,
    option: MoreOptions = None,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what is in a file: its columns, and what it leaves open.

    Example: openbulk profile events.xlsx
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import loading, services  # noqa: PLC0415

        found = loading.send_file(api, file, loading.parse_options(option or []))
        services.print_profile(found, as_json=as_json)


def add_commands(cli: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (load, plan, apply, profile):
        cli.command()(command)
