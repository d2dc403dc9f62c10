"""The commands `openbulk admin ...`: people and secrets, in the ledger itself."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from openbulk.cli.listening import local_address
from openbulk.cli.setting_options import load_settings
from openbulk.domain.access import Role
from openbulk.domain.errors import OpenbulkError
from openbulk.domain.limits import MAX_LIMIT
from openbulk.domain.links import LinkPurpose, link_address

if TYPE_CHECKING:
    from openbulk.administration import Administration
    from openbulk.settings import Settings

T = TypeVar("T")

admin = typer.Typer(
    no_args_is_help=True,
    help="Manage people and secrets in the ledger itself, also while the server runs.",
)

DataDir = Annotated[
    Path | None, typer.Option(help="The server's data directory.", show_default="./openbulk-data")
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="The ledger's database.", show_default="a SQLite file in the data directory"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")]
Url = Annotated[
    str | None,
    typer.Option(
        help="Address of the server, for links.", show_default="its host and port in the settings"
    ),
]
MAX_OVERLAP_HOURS = 720


@admin.command("list")
def list_all(
    as_json: AsJson = False, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> None:
    """List the organizations and their users."""
    from openbulk.api.wire import people as wire  # noqa: PLC0415

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    found = _run(settings, lambda admin: admin.organizations())
    if as_json:
        _print_json(
            [
                {**wire.present_organization(one), "users": [*map(wire.present_user, users)]}
                for one, users in found
            ]
        )
        return
    rows = [
        {
            "organization": f"{one.id} {one.name}" + ("" if one.active else " (deactivated)"),
            "user": str(user.id),
            "email": user.email,
            "role": user.role,
            "password": "yes" if user.has_password else "no",
            "app": "yes" if user.has_second_factor else "no",
            "active": "yes" if user.active else "no",
        }
        for one, users in found
        for user in users
    ]
    _print_table(rows)


@admin.command("create-organization")
def create_organization(
    name: Annotated[str, typer.Argument(help="Its name.")],
    email: Annotated[str, typer.Option(help="Email address of its first administrator.")],
    url: Url = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make an organization and its first administrator, who opens the link for a password."""
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    done = _run(settings, lambda admin: admin.create_organization(name, email))
    made = {
        "organization": done.made.organization.id,
        "user": done.made.user.id,
        "email": done.made.user.email,
        "link": _link(settings, url, done.code),
        "organizationSecret": done.secret,
        "userSecret": done.user_secret,
    }
    _print_facts(made, as_json=as_json)


@admin.command("create-user")
def create_user(
    email: Annotated[str, typer.Argument(help="Email address of the user.")],
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.VIEWER,
    organization: Annotated[
        int | None,
        typer.Option(help="Number of the organization.", show_default="the only one"),
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a user, who opens the link for a password."""
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    made = _run(settings, lambda admin: admin.create_user(email, role, organization))
    facts = {
        "user": made.user.id,
        "email": made.user.email,
        "role": str(made.user.role),
        "link": _link(settings, url, made.code),
    }
    _print_facts(facts, as_json=as_json)


@admin.command("reset-password")
def reset_password(
    email: Annotated[str, typer.Argument(help="Email address of the user.")],
    url: Url = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a link with which a user chooses another password. The earlier one holds until then."""
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    made = _run(settings, lambda admin: admin.reset_password(email))
    facts = {"email": made.user.email, "link": _link(settings, url, made.code)}
    _print_facts(facts, as_json=as_json)


@admin.command("rotate-secret")
def rotate_secret(
    user: Annotated[str | None, typer.Option(help="Email address of the user.")] = None,
    organization: Annotated[int | None, typer.Option(help="Number of the organization.")] = None,
    overlap_hours: Annotated[
        int,
        typer.Option(
            min=0,
            max=MAX_OVERLAP_HOURS,
            help="Hours for which the earlier secrets go on to hold; 0 ends them at once.",
        ),
    ] = 24,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a secret of a user or an organization in place of the others. API keys stay."""
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    overlap = timedelta(hours=overlap_hours)
    done = _run(settings, lambda admin: admin.rotate_secret(user, organization, overlap))
    _print_facts({"secret": done.secret}, as_json=as_json)
    if done.of_settings:
        typer.echo(
            "a secret that the settings, or the first start, have given goes on to hold: set "
            "OPENBULK_USER_SECRET or OPENBULK_ORGANIZATION_SECRET to another one to end it",
            err=True,
        )


@admin.command("limits")
def limits(
    organization: Annotated[
        int | None,
        typer.Option(help="Number of the organization.", show_default="the only one"),
    ] = None,
    jobs: Annotated[
        str | None, typer.Option(metavar="NUMBER|default", help="Unfinished jobs.")
    ] = None,
    kept_bytes: Annotated[
        str | None, typer.Option("--bytes", metavar="NUMBER|default", help="Bytes of kept files.")
    ] = None,
    calls_per_minute: Annotated[
        str | None, typer.Option(metavar="NUMBER|default", help="Calls of the API in a minute.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Show the limits of an organization, and what it uses; or change those that you give.

    `default` is the limit of the installation: OPENBULK_MAX_JOBS and others.
    """
    from openbulk.api.wire.limits import present_limits  # noqa: PLC0415

    given = {"jobs": jobs, "bytes": kept_bytes, "calls_per_minute": calls_per_minute}
    changes = {name: _limit(name, text) for name, text in given.items() if text is not None}
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    found = _run(
        settings,
        lambda admin: (
            admin.set_limits(organization, changes) if changes else admin.limits(organization)
        ),
    )
    if as_json:
        _print_json(present_limits(found))
        return
    shown = {
        name: "none" if one is None else str(one) for name, one in asdict(found.holding).items()
    }
    used, own = asdict(found.used), asdict(found.own)
    _print_table(
        [
            {
                "limit of": name.replace("_", " "),
                "limit": shown[name],
                "set for": "the installation" if own[name] is None else "this organization",
                "used": str(used[name]),
            }
            for name in shown
        ]
    )


def _limit(name: str, text: str) -> int | None:
    """A limit as a person writes it. Ends the command with 2 for anything else."""
    if text == "default":
        return None
    if text.isascii() and text.isdecimal() and 1 <= int(text[:20]) <= MAX_LIMIT:
        return int(text)
    option = "--" + name.replace("_", "-")
    raise typer.BadParameter(
        f"{text[:40]!r} is not a limit; it is a whole number from 1 on, or 'default'",
        param_hint=option,
    )


def _run(settings: "Settings", act: "Callable[[Administration], Awaitable[T]]") -> T:
    """Do something in the ledger. Ends the command with 1, and why, if that is not possible."""
    import asyncio  # noqa: PLC0415

    from openbulk.administration import open_administration  # noqa: PLC0415

    async def run() -> T:
        async with open_administration(settings) as administration:
            return await act(administration)

    try:
        return asyncio.run(run())
    except OpenbulkError as error:
        typer.echo(f"openbulk: {error.message}", err=True)
        raise typer.Exit(1) from error


def _link(settings: "Settings", url: str | None, code: str) -> str:
    base = url or local_address(settings.host, settings.port)
    return link_address(base, LinkPurpose.PASSWORD, code)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _print_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        _print_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:{width}}  {value}")


def _print_table(rows: Sequence[Mapping[str, str]]) -> None:
    if not rows:
        return
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    for row in ({name: name for name in widths}, *rows):
        typer.echo("  ".join(f"{row[name]:{width}}" for name, width in widths.items()).rstrip())
