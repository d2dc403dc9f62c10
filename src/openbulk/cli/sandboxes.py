"""`openbulk sandbox`: stand-ins for the services. Try everything without an account."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openbulk.cli.listening import listening_problem

if TYPE_CHECKING:
    from aiohttp import web

# Each command imports its sandbox: the other commands of `openbulk` do without.

sandbox = typer.Typer(
    help="Run a stand-in for a service: try everything without an account.", no_args_is_help=True
)

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes any free port.")]
Latency = Annotated[int, typer.Option(metavar="N", help="Milliseconds before each answer.", min=0)]
Quota = Annotated[
    int | None,
    typer.Option(metavar="N", help="Calls per minute and user; more are refused.", min=1),
]
ProjectQuota = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Calls per minute of all users of one client; more are refused.", min=1
    ),
]
Changes = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="How long changes can be listed by their date.",
        min=0,
        show_default="2419200, 28 days",
    ),
]
State = Annotated[
    Path | None,
    typer.Option(help="File that keeps the data for the next start.", show_default="in memory"),
]
Faults = Annotated[
    str,
    typer.Option(
        metavar="SPEC", help="Faults and their share of the calls: error-503=0.01,seed=42"
    ),
]


@sandbox.command("google")
def run_google(
    port: Port = 8091,
    host: Host = "127.0.0.1",
    latency_ms: Latency = 0,
    quota_per_minute: Quota = None,
    faults: Faults = "",
    project_quota_per_minute: ProjectQuota = None,
    changes_seconds: Changes = None,
    state: State = None,
) -> None:
    """Google's OAuth and Calendar API."""
    from openbulk.sandbox import google  # noqa: PLC0415

    options = google.Options(
        latency_ms,
        quota_per_minute,
        faults,
        project_quota_per_minute=project_quota_per_minute,
        changes_seconds=google.CHANGES_SECONDS if changes_seconds is None else changes_seconds,
        state=state,
    )
    _run(lambda: google.make_app(options), host, port)


@sandbox.command("eloqua")
def run_eloqua(
    port: Port = 8092,
    host: Host = "127.0.0.1",
    latency_ms: Latency = 0,
    quota_per_minute: Quota = None,
    faults: Faults = "",
) -> None:
    """Oracle Eloqua's Bulk and REST APIs."""
    from openbulk.sandbox import eloqua  # noqa: PLC0415

    _run(lambda: eloqua.make_app(eloqua.Options(latency_ms, quota_per_minute, faults)), host, port)


def _run(make_app: "Callable[[], web.Application]", host: str, port: int) -> None:
    from openbulk.sandbox import server  # noqa: PLC0415

    try:
        server.run(make_app(), host, port)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    except OSError as error:
        raise typer.BadParameter(listening_problem(host, port, error)) from error
