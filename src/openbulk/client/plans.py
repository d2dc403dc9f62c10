"""Shows plans, and carries them out."""

from dataclasses import dataclass
from typing import Any

from openbulk.client.api import Api
from openbulk.client.exit_codes import CommandFailed, ExitCode
from openbulk.client.following import exit_code_of, follow_job, print_summary, status_of
from openbulk.client.output import (
    counts_text,
    is_interactive,
    notes,
    plain,
    print_json,
    print_list,
)

_WRITES = ("created", "updated", "upserted", "deleted", "notCompared")
_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a plan may write and delete; None for no limit."""

    writes: int | None = None
    deletes: int | None = None


def follow_plan(api: Api, job_id: str, *, quiet: bool = False) -> dict[str, Any]:
    """Wait until a plan is made, and return it. Raises CommandFailed if it cannot be made."""
    job = follow_job(api, job_id, quiet=quiet)
    if status_of(job) != "PLANNED":
        raise CommandFailed(
            f"the plan is {status_of(job).lower()}: {job.get('error') or job.get('infoMessage')}"
        )
    plan: dict[str, Any] = api.get(f"/bulk/{job_id}/plan")
    return plan


def show_plan(api: Api, plan: dict[str, Any]) -> None:
    """Print what a plan would do, with some of its rows."""
    console, job_id = notes(), plan["id"]
    console.print(f"Plan {job_id}, {plan['rows']:,} rows: {counts_text(plan['counts'])}")
    if plan.get("completeness") == "none":
        console.print("The rows were read and checked; this service cannot say what would change.")
    forecast = plan.get("forecast") or {}
    if forecast.get("waitSeconds", 0) >= 1:
        console.print(f"The limits of the service make it wait {forecast['waitSeconds']:,.0f} s.")
    if forecast.get("mails"):
        console.print(f"The service would send {forecast['mails']:,} mails.")
    for kind in ("refused", "ambiguous", "deleted", "updated"):
        if plan["counts"].get(kind):
            _show_rows(api, job_id, kind)


def _show_rows(api: Api, job_id: str, kind: str) -> None:
    page = api.page(f"/bulk/{job_id}/plan/rows", kind=kind, pageSize=_SAMPLES)
    for row in page.items:
        what = row.get("error") or _changes_text(row.get("changes") or {}) or row.get("id") or ""
        notes().print(f"  row {row['rowNum']:<8} {kind}: {plain(what)}")
    if page.next_page:
        notes().print(f"  … more: openbulk plan {job_id} --kind {kind}")


def _changes_text(changes: dict[str, Any]) -> str:
    return ", ".join(
        f"{field}: {one.get('before')} → {one.get('after')}" for field, one in changes.items()
    )


def has_changes(plan: dict[str, Any]) -> bool:
    """Whether a plan would write something."""
    return any(plan["counts"].get(kind) for kind in _WRITES)


def require_limits(plan: dict[str, Any], limits: Limits) -> None:
    """Raise CommandFailed if a plan writes or deletes more than it may."""
    counts = plan["counts"]
    writes = sum(int(counts.get(kind) or 0) for kind in _WRITES)
    deletes = int(counts.get("deleted") or 0)
    for count, limit, option in (
        (writes, limits.writes, "--max-writes"),
        (deletes, limits.deletes, "--max-deletes"),
    ):
        if limit is not None and count > limit:
            what = "delete" if option == "--max-deletes" else "write"
            raise CommandFailed(
                f"the plan would {what} {count:,} records, and {option} is {limit:,}; nothing was "
                "written",
                ExitCode.LIMIT,
            )


def agree(question: str, *, yes: bool) -> bool:
    """Whether a person says yes. Raises CommandFailed where nobody can be asked."""
    if yes:
        return True
    if not is_interactive():
        raise CommandFailed(
            "nobody can be asked here, so nothing was written; add --yes to agree beforehand",
            ExitCode.USAGE,
        )
    notes().print(f"{question} \\[y/N] ", end="")
    try:
        return input().strip().lower() in ("y", "yes")
    except EOFError:
        return False


def carry_out(
    api: Api, plan: dict[str, Any], limits: Limits, *, as_json: bool, **options: Any
) -> ExitCode:
    """Carry out a plan, follow its job to the end, and print the summary."""
    body: dict[str, Any] = {"plan": plan["digest"], **options}
    if limits.deletes is not None:
        body["stopAbove"] = {"deletes": limits.deletes}
    api.put(f"/bulk/{plan['id']}/apply", body)
    return finish(api, str(plan["id"]), as_json=as_json)


def finish(api: Api, job_id: str, *, as_json: bool) -> ExitCode:
    """Follow a job to its end, print the summary, and return how the command ends."""
    job = follow_job(api, job_id, quiet=as_json)
    if as_json:
        print_json(job)
    else:
        print_summary(job)
    return exit_code_of(job)


def require_person(*, yes: bool) -> None:
    """Raise CommandFailed before anything is sent, if nobody could agree to the plan later."""
    if not yes and not is_interactive():
        agree("", yes=False)


def print_plan(api: Api, plan: dict[str, Any], *, as_json: bool) -> None:
    """Print a plan, and how it is carried out."""
    if as_json:
        print_json(plan)
        return
    show_plan(api, plan)
    notes().print(f"Carry it out with: openbulk apply {plan['id']}")


def print_rows(api: Api, job_id: str, kind: str | None, *, as_json: bool) -> None:
    """Print the rows of a plan."""
    if not job_id.isdecimal():
        raise CommandFailed(
            "--to is missing: say where the file goes, like --to google/events", ExitCode.USAGE
        )
    print_list(
        api.pages(f"/bulk/{job_id}/plan/rows", kind=kind),
        ("row", "kind", "record", "what"),
        lambda row: (
            row["rowNum"],
            row["kind"],
            row.get("id"),
            row.get("error") or _changes_text(row.get("changes") or {}),
        ),
        "The plan has no such rows.",
        as_json=as_json,
    )
