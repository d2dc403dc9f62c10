"""The commands about services and servers: connect, list, sign in, check."""

from typing import Annotated

import typer

from openbulk.cli.terminal_options import AsJson, DataDir, ProfileName, Server, ending, talking

Service = Annotated[str, typer.Argument(help="The service: its name, number or kind.")]


def connect(
    service: Annotated[str, typer.Argument(help="google, eloqua, postgresql, mysql, sqlite ...")],
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="An entry of its configuration.", metavar="KEY=VALUE"),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the link to sign in; open nothing.")
    ] = False,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Connect a service, with a sign-in in the browser where it needs one.

    Example: openbulk connect google --name "School calendar"
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import connecting, loading, output  # noqa: PLC0415

        configuration = loading.parse_options(settings or [])
        wanted = connecting.Connection(service, name, configuration, not no_browser)
        instance = connecting.connect_service(api, wanted)
        if as_json:
            output.print_json(instance)
        else:
            output.notes().print(
                f"Connected {output.plain(instance['name'])} as service {instance['id']}"
            )


def services(
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the connected services.

    Example: openbulk services
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import services as client  # noqa: PLC0415

        client.print_services(api, as_json=as_json)


def objects(
    service: Service,
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the objects of a service.

    Example: openbulk objects google
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import services as client  # noqa: PLC0415

        client.print_objects(api, service, as_json=as_json)


def fields(
    target: Annotated[
        str, typer.Argument(help="The service, and its object behind a slash.", metavar="TARGET")
    ],
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the fields of an object.

    Example: openbulk fields google/events
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import services as client  # noqa: PLC0415

        client.print_fields(api, target, as_json=as_json)


def mappings(
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the saved mappings.

    Example: openbulk mappings
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import lists  # noqa: PLC0415

        lists.print_mappings(api, as_json=as_json)


def schedules(
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the schedules.

    Example: openbulk schedules
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import lists  # noqa: PLC0415

        lists.print_schedules(api, as_json=as_json)


def doctor(
    server: Server = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check the server, its clock, its database, its files and the sign-ins, and say what to do.

    Example: openbulk doctor
    """
    with talking(server, profile, data_dir) as api:
        from openbulk.client import checkup  # noqa: PLC0415

        code = checkup.examine(api, as_json=as_json)
    raise typer.Exit(int(code))


def login(
    url: Annotated[str, typer.Argument(help="Address of the server.", metavar="URL")],
    profile: Annotated[str, typer.Option(help="What to call it.")] = "default",
) -> None:
    """Sign in to a server, which commands use from then on. Asks for an API key.

    Example: openbulk login https://bulk.example.com
    """
    with ending():
        from openbulk.client import signing_in  # noqa: PLC0415

        signing_in.sign_in(url, profile)


def logout(
    profile: Annotated[str, typer.Option(help="The profile to forget.")] = "default",
) -> None:
    """Forget a profile and its key.

    Example: openbulk logout --profile work
    """
    with ending():
        from openbulk.client.profiles import forget_profile  # noqa: PLC0415

        forget_profile(profile)
        typer.echo(f"Signed out of {profile}", err=True)


def profiles(as_json: AsJson = False) -> None:
    """List the servers that you have signed in to.

    Example: openbulk profiles
    """
    with ending():
        from openbulk.client import signing_in  # noqa: PLC0415

        signing_in.print_profiles(as_json=as_json)


def add_commands(cli: typer.Typer) -> None:
    """Add the commands of this module."""
    commands = (
        connect, services, objects, fields, mappings, schedules, doctor, login, logout, profiles,
    )  # fmt: skip
    for command in commands:
        cli.command()(command)
