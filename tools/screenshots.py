"""Takes pictures of every page of the console, in three widths, into docs/screenshots.

`make screenshots` runs it. It starts a server and both sandboxes, and does what the people of a
school would do, so that pages have something to show. Chromium has to be installed.
"""

import json
import shutil
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from support.harness import ORGANIZATION_SECRET, USER_SECRET, Process, Processes, Server, until
from support.receiver import Receiver

FOLDER = Path(__file__).parent.parent / "docs" / "screenshots"
WIDTHS = (375, 768, 1440)
HEIGHT = 900
MAX_HEIGHT = 2_400
SUB, UP, AVERAGE = 1, 2, 3
"""Filters of PNG; 4 is Paeth's."""
PALETTE = 3
"""PNG's number for pictures whose colors are in a table."""
MAX_COLORS = 256
MAX_BYTES = 3_000_000
"""Of all pictures together."""
SCHOOL_YEAR = """Schuljahresplan 2026/27;;;;
Titel;Datum;Beginn;Ende;Ort
Elternabend;07.09.2026;19:30;21:00;Aula
Einschulung;08.09.2026;9:00;11:30;Turnhalle
Sportfest;31.09.2026;8:15;12:00;Platz
Chor;10.09.2026;16:00;17:30;Musikraum
Lehrerkonferenz;10.09.2026;14:00;15:30;Raum 12
Wandertag;11.09.2026;8:00;13:00;Stadtwald
"""
CONTACTS = """C_EmailAddress,C_FirstName,C_LastName,C_Title
ann@example.com,Ann,Archer,Dr
bob@example.com,Bob,Baker,
not an address,Cid,Carter,
dora@example.com,Dora,Dean,Prof
"""
MEMBERS = "name,note,fail\n" + "".join(
    f"Member {n},since {1990 + n % 30},{'the club has no room for more members' * (n % 40 == 0)}\n"
    for n in range(1, 241)
)


def main() -> None:
    """Take them all."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("Chromium is not installed; make install-browser installs it")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="screenshots-")))
        processes = stack.enter_context(Processes(folder))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        stack.callback(browser.close)
        empty = processes.server(data_dir=folder / "empty")
        take(browser, empty.process.url, EMPTY_PAGES)
        server, pages = furnish(processes, stack.enter_context(Receiver()))
        take(browser, server.process.url, pages)
    sizes = [picture.stat().st_size for picture in FOLDER.iterdir()]
    print(f"{len(sizes)} pictures, {sum(sizes) / 1000:,.0f} kB, in {FOLDER}")
    if sum(sizes) > MAX_BYTES:
        raise SystemExit(f"the pictures have more than {MAX_BYTES:,} bytes; take fewer")


EMPTY_PAGES = {
    "empty-home": "/",
    "empty-jobs": "/jobs",
    "empty-services": "/services",
    "empty-get": "/get",
    "empty-schedules": "/schedules",
    "empty-mappings": "/mappings",
}


def furnish(processes: Processes, receiver: Receiver) -> tuple[Server, Mapping[str, str]]:
    """A server on which people have worked, and its pages by the names of their pictures."""
    server = processes.server()
    google_sandbox, eloqua_sandbox = processes.sandbox("google"), processes.sandbox("eloqua")
    google = rename(server.google(google_sandbox), "School calendar")
    eloqua = rename(server.eloqua(eloqua_sandbox), "Marketing")
    club = rename(server.instance("memory", {"space": "club"}), "Club register")
    return server, {
        **pages_of_loading(google),
        **pages_of_jobs(club, eloqua, eloqua_sandbox, receiver),
        "get": f"/get?instance={google.instance_id}&object=calendar-list",
        "schedules": "/schedules",
        "schedule": f"/schedules/{schedule_of(club)}",
        "services": "/services",
        "service": f"/services/{google.instance_id}",
        "services-connect": "/services/connect",
        "services-connect-google": "/services/connect/googlecalendar",
        "home": "/",
        "jobs": "/jobs",
        "mappings": "/mappings",
        "not-found": "/no/such/page",
    }


def rename(server: Server, name: str) -> Server:
    """The instance, as people call it."""
    server.call("PATCH", f"/instances/{server.instance_id}", json_body={"name": name})
    return server


def pages_of_loading(google: Server) -> Mapping[str, str]:
    """The five steps, and the plan with its calendar week."""
    for title, begin, end in (
        ("Teachers' meeting", "2026-09-09T14:00:00+02:00", "2026-09-09T15:00:00+02:00"),
        ("Fire drill", "2026-09-10T10:00:00+02:00", "2026-09-10T10:30:00+02:00"),
    ):
        event = {"summary": title, "start": {"dateTime": begin}, "end": {"dateTime": end}}
        google.call("POST", "/events", json_body=event)
    sent = {"Content-Type": "text/csv"}
    path = "/files?name=Schuljahresplan.csv"
    file = google.call("POST", path, body=SCHOOL_YEAR.encode(), headers=sent).json["id"]
    of_events = f"instance={google.instance_id}&object=events&action=create"
    mapping = google.call("GET", f"/files/{file}/mapping?object=events&action=create").json
    saved = {"name": "Timetable", "object": "events", "mapping": mapping["mapping"]}
    google.call("POST", "/mappings", json_body=saved)
    meta = {"fileId": file, "action": "create", "mapping": mapping["mapping"]}
    body = {"metaData": meta}
    plan = google.call("POST", "/bulk/events?plan=true", json_body=body).json["id"]
    google.finished(plan)
    return {
        "load-1-file": "/load",
        "load-1-rows": f"/load/{file}",
        "load-2-where": f"/load/{file}/where?{of_events}",
        "load-3-columns": f"/load/{file}/columns?{of_events}",
        "load-4-plan": f"/jobs/{plan}",
        "load-4-plan-rows": f"/jobs/{plan}/rows",
        "load-4-plan-week": f"/jobs/{plan}/week",
    }


def pages_of_jobs(
    club: Server, eloqua: Server, eloqua_sandbox: Process, receiver: Receiver
) -> Mapping[str, str]:
    """Jobs that run, that are over, and what was read."""
    headers = {"Elements-Async-Callback-Url": receiver.url}
    job = club.upload("records", MEMBERS.encode(), {"action": "create"}, headers=headers)
    number = job.json["id"]
    club.finished(number)
    callback = f"/bulk/{number}/status/callback"
    until(lambda: club.call("GET", callback).json.get("finishedDate"), 300, "the callback")
    contacts = eloqua.done("contact", CONTACTS.encode(), {"action": "create"})["id"]
    eloqua.call("POST", f"/bulk/{contacts}/verify")
    verification = club.call("POST", f"/bulk/{number}/verify").json["id"]
    club.finished(verification)
    undo = club.call("POST", f"/bulk/{number}/undo?plan=true").json.get("id", number)
    club.finished(undo)
    query = json.dumps({"q": "select id, name, note from records where note like '%2015'"}).encode()
    sent = {"Content-Type": "application/json"}
    download = club.call("POST", "/bulk/query", body=query, headers=sent).json["id"]
    club.finished(download)
    many = MEMBERS.encode() + MEMBERS.partition("\n")[2].encode() * 500
    paused = club.upload("records", many, {"action": "create"}).json["id"]
    until(lambda: club.status(paused)["recordsCount"], 300, "the first rows are written")
    club.call("PUT", f"/bulk/{paused}/pause")
    return {
        "job": f"/jobs/{number}",
        "job-rows": f"/jobs/{number}/rows",
        "job-row": f"/jobs/{number}/rows/40",
        "job-verification": f"/jobs/{verification}",
        "job-undo": f"/jobs/{undo}",
        "job-paused": f"/jobs/{paused}",
        "job-download": f"/jobs/{download}",
    }


def schedule_of(club: Server) -> str:
    """A schedule."""
    body = {
        "name": "Members, every Monday",
        "uri": "/bulk/query",
        "query": {"q": "select * from records", "fileFormat": "xlsx"},
        "trigger": {"cron": "0 0 6 ? * MON"},
    }
    schedule: str = club.call("POST", "/jobs", json_body=body).json["id"]
    return schedule


def take(browser: Browser, url: str, pages: Mapping[str, str]) -> None:
    """Take a picture of each page in each width."""
    for width in WIDTHS:
        context = browser.new_context(
            viewport={"width": width, "height": HEIGHT},
            locale="en-GB",
            timezone_id="Europe/Berlin",
            color_scheme="light",
        )
        context.set_default_timeout(120_000)
        take_in(context, url, pages, width)
        context.close()


def take_in(context: BrowserContext, url: str, pages: Mapping[str, str], width: int) -> None:
    """Sign in, and take a picture of each page."""
    page = context.new_page()
    page.goto(f"{url}/sign-in")
    page.screenshot(path=FOLDER / f"sign-in-{width}.png")
    page.fill("#user", USER_SECRET)
    page.fill("#organization", ORGANIZATION_SECRET)
    page.click("main button")
    page.wait_for_selector(".who")
    for name, path in pages.items():
        page.goto(url + path)
        page.wait_for_load_state("load")
        height = min(page.evaluate("document.documentElement.scrollHeight"), MAX_HEIGHT)
        clip = {"x": 0, "y": 0, "width": width, "height": max(height, 500)}
        file = FOLDER / f"{name}-{width}.png"
        page.screenshot(path=file, full_page=True, clip=clip)  # type: ignore[arg-type]
        file.write_bytes(smaller(file.read_bytes()))


def smaller(png: bytes) -> bytes:
    """The same picture in fewer bytes: with the 256 colors that it has most of."""
    head = next(content for kind, content in chunks(png) if kind == b"IHDR")
    width, height = struct.unpack_from(">II", head)
    pixels = pixels_of(png, width)
    count = Counter(pixels)
    colors = [color for color, _ in count.most_common(MAX_COLORS)]
    number = {color: at for at, color in enumerate(colors)}
    index = {one: number[one if one in number else nearest(one, colors)] for one in count}
    places = bytes(map(index.__getitem__, pixels))
    lines = (b"\0" + places[at * width : (at + 1) * width] for at in range(height))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, PALETTE, 0, 0, 0)),
        (b"PLTE", b"".join(colors)),
        (b"IDAT", zlib.compress(b"".join(lines), 9)),
        (b"IEND", b""),
    ]
    return png[:8] + b"".join(chunk(kind, content) for kind, content in parts)


def nearest(color: bytes, colors: Sequence[bytes]) -> bytes:
    """The color that looks most like another one."""
    return min(
        colors,
        key=lambda other: sum((a - b) ** 2 for a, b in zip(color, other, strict=True)),
    )


def pixels_of(png: bytes, width: int) -> list[bytes]:
    """The colors of a picture in RGB, line by line."""
    packed = b"".join(content for kind, content in chunks(png) if kind == b"IDAT")
    content, size = zlib.decompress(packed), 3 * width
    line = bytes(size)
    pixels: list[bytes] = []
    for begin in range(0, len(content), size + 1):
        line = unfiltered(content[begin], content[begin + 1 : begin + 1 + size], line)
        pixels += [line[at : at + 3] for at in range(0, size, 3)]
    return pixels


def unfiltered(kind: int, line: bytes, above: bytes) -> bytes:
    """The bytes of a line (https://www.w3.org/TR/png-3/#9Filters)."""
    if kind == 0:
        return line
    if kind == UP:
        return bytes((one + other) & 0xFF for one, other in zip(line, above, strict=True))
    made = bytearray(3) + bytearray(line)
    over = bytes(3) + above
    for at in range(3, len(made)):
        left, up, corner = made[at - 3], over[at], over[at - 3]
        guess = {SUB: left, AVERAGE: (left + up) // 2}.get(kind)
        made[at] = (made[at] + (paeth(left, up, corner) if guess is None else guess)) & 0xFF
    return bytes(made[3:])


def paeth(left: int, up: int, corner: int) -> int:
    """The neighbor that is nearest to the sum of its others."""
    wanted = left + up - corner
    return min((left, up, corner), key=lambda one: abs(one - wanted))


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG (https://www.w3.org/TR/png-3/#5Chunk-layout)."""
    at = 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk with its length and checksum."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


if __name__ == "__main__":
    main()
