"""Checks a server and what it depends on, and says what to do."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from openbulk.client.api import Api
from openbulk.client.exit_codes import CommandFailed, ExitCode
from openbulk.client.output import answers, plain, print_json

_CLOCK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found."""

    check: str
    is_good: bool
    text: str


def examine(api: Api, *, as_json: bool) -> ExitCode:
    """Run all checks and print what they find. FAILED if one finds a problem."""
    findings = list(_findings(api))
    if as_json:
        print_json([asdict(one) for one in findings])
    else:
        console = answers()
        for one in findings:
            mark = "ok     " if one.is_good else "problem"
            console.print(f"{mark}  {one.check}: {plain(one.text)}")
    return ExitCode.DONE if all(one.is_good for one in findings) else ExitCode.FAILED


def _findings(api: Api) -> Iterator[Finding]:
    reply = api.http.get(f"{api.url}/readyz")
    is_ready = reply.status_code == 200
    text = "database, files and engine are ready" if is_ready else reply.text[:500]
    yield Finding("server", is_ready, text)
    yield _clock(reply.headers.get("date"))
    try:
        user = api.get("/organizations/users/me")
    except CommandFailed as error:
        yield Finding("sign-in", False, error.message)
        return
    yield Finding("sign-in", True, f"{user.get('email')}, {user.get('role')}")
    yield from _services(api)


def _clock(date: str | None) -> Finding:
    if date is None:
        return Finding("clock", True, "the server does not say its time")
    apart = abs((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds())
    if apart <= _CLOCK_SECONDS:
        return Finding("clock", True, "this machine and the server agree")
    return Finding(
        "clock",
        False,
        f"this machine and the server are {apart:,.0f} s apart; set the clock of the wrong one, "
        "else sign-ins fail",
    )


def _services(api: Api) -> Iterator[Finding]:
    """One ping of each service, which needs its address, its egress and its sign-in."""
    for instance in api.pages("/instances"):
        check = f"service {instance['id']} ({instance.get('name')})"
        if instance.get("disabled"):
            yield Finding(check, False, "it is disabled; its jobs wait until it is enabled")
            continue
        try:
            api.with_instance(int(instance["id"])).get("/ping")
        except CommandFailed as error:
            yield Finding(check, False, error.message)
        else:
            yield Finding(check, True, "answers")
