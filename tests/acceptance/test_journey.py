"""A German workbook on its way: looked at, mapped, planned, applied, mended and verified.

Every request and its answer are printed: `pytest -s tests/acceptance/test_journey.py`.
"""

import io
import json
from collections.abc import Sequence
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]

from support.harness import Process, Reply, Server

COLUMNS = ("Kennung", "Titel", "Datum", "Beginn", "Ende", "Ort")
TERM = (
    ("probe1", "Chorprobe", "07.09.2026", "19:00", "21:00", "Aula"),
    ("abend1", "Elternabend", "08.09.2026", "18:30", "20:00", "Raum 12"),
    ("probe2", "Chorprobe", "14.09.2026", "19:00", "21:00", "Aula"),
)
CHANGED = (
    ("probe1", "Chorprobe mit Orchester", "07.09.2026", "19:00", "21:00", "Aula"),
    ("abend1", "Elternabend der 6b", "08.09.2026", "18:30", "20:00", "Raum 12"),
    ("probe2", "Chorprobe", "14.09.2026", "19:00", "21:00", "Aula"),
    ("fest1", "Herbstfest", "31.09.2026", "15:00", "18:00", "Hof"),
    ("fest2", "Winterfest", "11.12.2026", "15:00", "25:00", "Hof"),
)
KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def workbook(rows: Sequence[Sequence[str]]) -> bytes:
    """A workbook with two rows of titles above its header."""
    titles = [["Termine der Musikschule"], ["Stand: 1. August 2026"], [], COLUMNS]
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        for number, cells in enumerate([*titles, *rows]):
            sheet.write_row(number, 0, cells)
    return file.getvalue()


def say(server: Server, method: str, path: str, **more: Any) -> Any:
    """Make a request, and print it with its answer."""
    reply: Reply = server.call(method, path, **more)
    sent = json.dumps(more["json_body"], ensure_ascii=False) if "json_body" in more else ""
    print(f"\n{method} {path} {sent}\n{reply.status} {reply.body.decode()[:2_000]}")
    assert reply.status == 200, reply.body
    return reply.json


def send(server: Server, rows: Sequence[Sequence[str]], **metadata: Any) -> Any:
    """Send a workbook without a job, have its mapping proposed, and make a job of it."""
    headers = {"Content-Type": KIND}
    file = say(server, "POST", "/files", body=workbook(rows), headers=headers)
    proposal = say(server, "GET", f"/files/{file['id']}/mapping?object=events")
    assert proposal["mapping"] == {
        "summary": "Titel",
        "location": "Ort",
        "start.dateTime": {"columns": ["Datum", "Beginn"]},
        "end.dateTime": {"columns": ["Datum", "Ende"]},
    }
    assert "Kennung" in proposal["notTaken"]
    mapping = {**proposal["mapping"], "id": "Kennung"}
    wanted = {"fileId": file["id"], "action": "upsert", "mapping": mapping, **metadata}
    job = say(server, "POST", "/bulk/events", json_body={"metaData": wanted})
    server.finished(job["id"])
    return say(server, "GET", f"/bulk/{job['id']}")


def counts(shape: Any) -> dict[str, int]:
    return {name: count for name, count in shape.items() if count}


def verify(server: Server, job_id: str) -> Any:
    job = say(server, "POST", f"/bulk/{job_id}/verify")
    assert server.finished(job["id"])["status"] == "VERIFIED"
    return say(server, "GET", f"/bulk/{job['id']}/verification")


def test_a_german_workbook_is_planned_applied_mended_and_verified(
    shared_server: Server, shared_google: Process
) -> None:
    """One record changes between plan and apply, and two cells are wrong."""
    server = shared_server.google(shared_google)
    first = send(server, TERM, timeZone="Europe/Berlin")
    assert counts(first["outcomes"]) == {"created": 3}
    assert counts(verify(server, first["id"])["counts"]) == {"confirmed": 3}

    job = send(server, CHANGED, timeZone="Europe/Berlin", plan=True)
    plan = say(server, "GET", f"/bulk/{job['id']}/plan")
    assert counts(plan["counts"]) == {"updated": 2, "unchanged": 1, "refused": 2}
    say(server, "GET", f"/bulk/{job['id']}/plan/rows")

    # Somebody else changes one of the events that the plan would change.
    say(server, "PATCH", "/events/abend1", json_body={"location": "Raum 7"})
    say(server, "PUT", f"/bulk/{job['id']}/apply", json_body={"plan": plan["digest"]})
    server.finished(job["id"])
    outcomes = say(server, "GET", f"/bulk/{job['id']}")["outcomes"]
    assert counts(outcomes) == {"updated": 1, "unchanged": 1, "drifted": 1, "failed": 2}

    for row, column, value in ((4, "Datum", "30.09.2026"), (5, "Ende", "18:00")):
        mend = {"values": {column: value}}
        say(server, "PATCH", f"/bulk/{job['id']}/rows/{row}", json_body=mend)
    retry = say(server, "POST", f"/bulk/{job['id']}/retry", json_body={"kind": ["failed"]})
    server.finished(retry["id"])

    found = verify(server, job["id"])
    assert counts(found["counts"]) == {"confirmed": 2, "notChecked": 3}
    assert counts(verify(server, retry["id"])["counts"]) == {"confirmed": 2}
    say(server, "PATCH", "/events/fest1", json_body={"location": "Turnhalle"})
    found = verify(server, retry["id"])
    assert counts(found["counts"]) == {"confirmed": 1, "different": 1}
    (row,) = say(server, "GET", f"/bulk/{found['id']}/verification/rows?kind=different")
    assert (row["rowNum"], row["differences"]) == (
        4,
        {"location": {"expected": "Hof", "found": "Turnhalle"}},
    )
