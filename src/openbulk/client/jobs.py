"""Lists, shows and controls jobs."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from openbulk.client.api import Api
from openbulk.client.exit_codes import CommandFailed, ExitCode
from openbulk.client.following import exit_code_of, follow_job, print_summary, status_of
from openbulk.client.loading import open_file
from openbulk.client.output import counts_text, notes, print_json, print_list, print_table
from openbulk.client.plans import (
    Limits,
    agree,
    carry_out,
    finish,
    follow_plan,
    require_person,
    show_plan,
)
from openbulk.client.targets import find_instance, find_object, split_target

_SUFFIXES = {".csv": "csv", ".xlsx": "xlsx", ".jsonl": "jsonl", ".json": "json", ".ics": "ics"}
_MEDIA_TYPES = {
    "csv": "text/csv",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "ics": "text/calendar",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def print_jobs(api: Api, limit: int, *, as_json: bool) -> None:
    """Print the latest jobs."""
    print_list(
        api.page("/bulk/jobs", pageSize=limit).items,
        ("id", "status", "object", "records", "failed"),
        lambda one: (
            one["id"],
            status_of(one).lower(),
            one["object_name"],
            str(one.get("record_count") or 0),
            str(one.get("error_count") or 0),
        ),
        "There are no jobs.",
        as_json=as_json,
    )


def print_job(api: Api, job_id: str, *, follow: bool, as_json: bool) -> ExitCode:
    """Print a job, once it has ended if it is followed."""
    if follow:
        return finish(api, job_id, as_json=as_json)
    job = api.get(f"/bulk/{_number(job_id)}")
    if as_json:
        print_json(job)
    else:
        print_summary(job)
    return ExitCode.DONE


def control(api: Api, job_id: str, action: str) -> None:
    """Pause, resume or cancel a job."""
    job = api.put(f"/bulk/{_number(job_id)}/{action}")
    paused = " (paused)" if job.get("paused") else ""
    notes().print(f"Job {job_id} is {status_of(job).lower().replace('_', ' ')}{paused}")


def print_errors(api: Api, job_id: str, *, groups: bool, as_json: bool) -> None:
    """Print the rows that failed, or the causes of their failures."""
    path = f"/bulk/{_number(job_id)}/errors"
    if groups:
        print_list(
            api.pages(f"{path}/groups"),
            ("rows", "field", "error", "group"),
            lambda one: (str(one["count"]), one.get("field"), one["error"], one["id"]),
            "No row failed.",
            as_json=as_json,
        )
    else:
        print_list(
            api.pages(path),
            ("row", "line", "field", "error"),
            lambda one: (one.get("rowNum"), one.get("lineNum"), one.get("field"), one.get("error")),
            "No row failed.",
            as_json=as_json,
        )


def save_results(api: Api, job_id: str, kind: str | None, output: str, format_name: str) -> None:
    """Write the rows of a job, with what became of each."""
    with open_output(output) as target:
        path = f"/bulk/{_number(job_id)}/results"
        api.save(path, target, kind=kind, format=_format_of(output, format_name))


def retry(api: Api, job_id: str, file: str | None, *, as_json: bool) -> ExitCode:
    """Send the rows that failed again, as a file has them if one is given."""
    path = f"/bulk/{_number(job_id)}/retry"
    if file is None:
        job = api.post(path)
    else:
        with open_file(file) as (stream, name):
            job = api.send_form(path, stream, name)
    return finish(api, str(job["id"]), as_json=as_json)


def undo(api: Api, job_id: str, *, yes: bool, as_json: bool) -> ExitCode:
    """Plan what puts back what a job wrote, ask, and do it."""
    require_person(yes=yes)
    job = api.post(f"/bulk/{_number(job_id)}/undo", plan="true")
    plan = follow_plan(api, str(job["id"]), quiet=as_json)
    show_plan(api, plan)
    if not agree("Put it back?", yes=yes):
        notes().print(f"Nothing was written. Do it with: openbulk apply {plan['id']}")
        return ExitCode.DONE
    return carry_out(api, plan, Limits(), as_json=as_json)


def verify(api: Api, job_id: str, *, as_json: bool) -> ExitCode:
    """Compare what a job wrote with what the service has."""
    job = api.post(f"/bulk/{_number(job_id)}/verify")
    ended = follow_job(api, str(job["id"]), quiet=as_json)
    if status_of(ended) != "VERIFIED":
        print_summary(ended)
        return exit_code_of(ended)
    found = api.get(f"/bulk/{job['id']}/verification")
    counts = found["counts"]
    differs = any(counts.get(kind) for kind in ("missing", "different", "extra"))
    if as_json:
        print_json(found)
    else:
        notes().print(f"{found['rows']:,} rows: {counts_text(counts)}")
        _print_differences(api, str(job["id"]), counts)
    return ExitCode.DRIFTED if differs else ExitCode.DONE


def _print_differences(api: Api, job_id: str, counts: Mapping[str, Any]) -> None:
    for kind in ("missing", "different", "extra"):
        if counts.get(kind):
            rows = api.page(f"/bulk/{job_id}/verification/rows", kind=kind, pageSize=20).items
            print_table(
                ("row", "kind", "record", "differences"),
                ((one["rowNum"], kind, one.get("id"), one.get("differences")) for one in rows),
                "",
            )


def download(api: Api, query: str, target: str, output: str, format_name: str) -> ExitCode:
    """Read records as a job, and write them into a file."""
    service, object_name = split_target(target)
    instance = find_instance(api, service)
    api = api.with_instance(int(instance["id"]))
    job = api.post("/bulk/query", {"query": query})
    job_id = str(job["id"])
    ended = follow_job(api, job_id, quiet=output == "-")
    code = exit_code_of(ended)
    if status_of(ended) not in ("COMPLETE", "COMPLETED"):
        print_summary(ended)
        return code
    name = (
        ended.get("objectName")
        or ended.get("object_name")
        or find_object(api, instance, object_name)
    )
    with open_output(output) as file:
        accept = _MEDIA_TYPES[_format_of(output, format_name)]
        api.save(f"/bulk/{job_id}/{quote(str(name))}", file, accept)
    notes().print(f"{ended.get('recordsCount') or 0:,} records")
    return code


@contextmanager
def open_output(output: str) -> Iterator[BinaryIO]:
    """A file to write, which is there only once it is whole; `-` is standard output."""
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("wb") as target:
            yield target
        draft.replace(path)
    except OSError as error:
        raise CommandFailed(f"{output} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def _format_of(output: str, given: str) -> str:
    if given:
        if given not in _MEDIA_TYPES:
            known = ", ".join(_MEDIA_TYPES)
            raise CommandFailed(
                f"--format {given!r} is not known; it can be {known}", ExitCode.USAGE
            )
        return given
    return _SUFFIXES.get(Path(output).suffix.lower(), "csv")


def _number(job_id: str) -> str:
    if not (job_id.isascii() and job_id.isdecimal()):
        raise CommandFailed(
            f"{job_id!r} is not the number of a job; openbulk jobs lists them", ExitCode.USAGE
        )
    return job_id
