"""Every row of a job: found by kind, by text and by number, and taken away as a file."""

import json
import time

import pytest

from console.conftest import Person
from support.harness import SLOWER, Server

FILE = b"name,note,fail\nAnn,first,\nBob,,no room\nCid,third,\n"

OPEN_SECONDS = 1.0


def test_rows_are_found_by_kind_by_text_and_by_number(
    person: Person, shared_memory: Server
) -> None:
    job = shared_memory.done("records", FILE)["id"]
    page = person.page
    person.open(f"/jobs/{job}")
    person.go("text=2 created")
    assert page.locator("tbody tr").count() == 2
    page.select_option("[name=kind]", "")
    page.fill("[name=search]", "THIRD")
    person.go("main form button")
    assert page.inner_text("tbody th") == "3"
    page.fill("[name=search]", "")
    page.fill("[name=from]", "2")
    person.go("main form button")
    assert page.locator("tbody th").all_inner_texts() == ["2", "3"]
    assert "no room" in page.inner_text("tbody tr")
    person.go("tbody th a")
    assert page.input_value("[name='cell:name']") == "Bob"
    person.open(f"/jobs/{job}/rows/1")
    assert page.locator("main form").count() == 0, "what was written is not mended"
    assert "Ann" in page.inner_text("dl")
    assert (person.errors, person.strangers) == ([], [])


@pytest.mark.parametrize("format", ["Excel", "CSV", "JSON Lines"])
def test_any_kind_of_rows_comes_as_a_file(
    person: Person, shared_memory: Server, format: str
) -> None:
    job = shared_memory.done("records", FILE)["id"]
    person.open(f"/jobs/{job}/rows?kind=failed")
    with person.page.expect_download() as download:
        person.page.click(f"main a:has-text('{format}')")
    content = download.value.path().read_bytes()
    assert download.value.suggested_filename.startswith(f"results-{job}.")
    if format == "JSON Lines":
        assert [json.loads(line)["name"] for line in content.splitlines()] == ["Bob"]
    if format == "CSV":
        assert b"Bob" in content
        assert b"Ann" not in content


def test_pages_of_rows_follow_each_other(person: Person, shared_memory: Server) -> None:
    file = b"name\n" + b"".join(b"n%d\n" % n for n in range(1, 121))
    job = shared_memory.done("records", file)["id"]
    person.open(f"/jobs/{job}/rows")
    seen = person.page.locator("tbody th").all_inner_texts()
    while person.page.locator("a[rel=next]").count():
        person.go("a[rel=next]")
        seen += person.page.locator("tbody th").all_inner_texts()
    assert seen == [str(number) for number in range(1, 121)]


@pytest.mark.long
def test_a_job_of_a_million_rows_opens_in_less_than_a_second(
    person: Person, shared_server: Server
) -> None:
    """Its page, its first rows, those in its middle, and those that failed."""
    server = shared_server.instance("memory", {"keep": "false"})
    rows = [b"n%d,%s\n" % (n, b"no room" if n % 100_000 == 0 else b"") for n in range(1_000_000)]
    sent = server.upload("records", b"name,fail\n" + b"".join(rows), {"action": "create"})
    job = sent.json["id"]
    assert server.finished(job, within=1_800)["recordsFailedCount"] == 10
    for path in ("", "/rows", "/rows?from=500000", "/rows?kind=failed", "/rows?kind=created"):
        person.open(f"/jobs/{job}{path}")  # the first time, a busy machine reads from its disk
        begin = time.monotonic()
        person.open(f"/jobs/{job}{path}")
        seconds = time.monotonic() - begin
        assert seconds < OPEN_SECONDS * SLOWER, f"{path or '/'}: {seconds:.2f} s"
