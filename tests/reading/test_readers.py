"""Files are read by processes that may die: the server says so in a sentence, and goes on."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore

from openbulk.byte_budget import PlaceOwner
from openbulk.domain.errors import BadInput, FileTruncated, ReaderUnavailable
from openbulk.domain.records import Row
from openbulk.engine.slices.parts import cut, each_row
from openbulk.formats import FORMATS
from openbulk.formats.recognition import inspect_rows
from openbulk.reading import packing, reader
from openbulk.reading.packing import Packed, Summary, is_batch, unpack_batch, unpack_row
from openbulk.reading.reader import StoredFile
from openbulk.reading.readers import Readers
from openbulk.security import Sealer
from openbulk.storage.block_file import BLOCK_BYTES
from openbulk.storage.files import FileStore, FileWriter


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(LocalStore(tmp_path), Sealer([os.urandom(32)]))


@pytest.fixture
async def readers(files: FileStore) -> AsyncIterator[Readers]:
    readers = Readers(files, 2)
    yield readers
    await readers.stop()


async def stored(files: FileStore, content: bytes, name: str = "f00d") -> StoredFile:
    writer = FileWriter(files, name)
    await writer.write(content)
    await writer.close()
    return StoredFile(name, len(content))


async def read_all(
    readers: Readers, file: StoredFile, form: str, options: Mapping[str, Any] | None = None
) -> tuple[list[Packed], Summary]:
    async with readers.parts(file, form, options or {}, owner=1) as source:
        parts = []
        while part := await source.next_part():
            parts.append(part)
        return parts, source.summary()


def rows_of(parts: list[Packed]) -> list[Row]:
    rows: list[Row] = []
    for line in [line for part in parts for line in part.content.split(b"\n")]:
        unpack = unpack_batch if is_batch(line) else unpack_row
        rows += [row._replace(size=0) for row in each_row(unpack(len(rows) + 1, line))]
    return rows


def children() -> list[int]:
    """The processes that this one has started."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(process) for process in found.split()]


def commands() -> list[int]:
    return [
        process
        for process in children()
        if b"openbulk.reading" in Path(f"/proc/{process}/cmdline").read_bytes()
    ]


CSV = b"n,when\n" + b"".join(b"%d,30/05/2026\n" % n for n in range(1, 2_502))
FILES = {
    "csv": CSV,
    "json": b'[{"n": 1.50}, {"n": 98765432109876543.21}, {"n": "\\ud800"}, 5]',
    "jsonl": b'{"n": 1}\n{"n": \n{"n": 3}\n',
    "ics": b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\n"
    b"DTSTART:20260604T190000Z\r\nSUMMARY:Choir\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
}


@pytest.mark.parametrize("form", FILES)
async def test_a_process_reads_what_the_format_reads(
    files: FileStore, readers: Readers, form: str
) -> None:
    content = FILES[form]
    parts, _ = await read_all(readers, await stored(files, content), form)
    expected = [
        unpack_row(row.number, packing.pack_row(row)[1])._replace(size=0)
        for row in FORMATS[form].read(io.BytesIO(content), {})
    ]
    assert rows_of(parts) == expected
    assert sum(part.records for part in parts) == len(expected)


async def test_a_process_hands_back_what_the_job_has_to_know(
    files: FileStore, readers: Readers
) -> None:
    """The remarks and the order of the dates come with the rows."""
    _, summary = await read_all(readers, await stored(files, CSV), "csv")
    assert list(summary.signs) == ["when"]
    assert Summary.from_json(summary.to_json()) == summary


async def test_a_process_finds_the_format_and_the_first_rows(
    files: FileStore, readers: Readers
) -> None:
    file = await stored(files, CSV)
    found = await readers.inspect(file, None, {}, 200, takes_events=False, owner=1)
    expected = inspect_rows(io.BytesIO(CSV), None, {}, 200, takes_events=False)
    rows = [row._replace(size=0) for row in found.rows]
    assert replace(found, rows=rows) == expected
    assert not found.is_whole


async def test_the_first_rows_of_large_records_stay_small(
    files: FileStore, readers: Readers
) -> None:
    """The server holds them while it checks the upload."""
    lines = [b'{"text": "%s"}\n' % (b"x" * 300_000)] * 30
    file = await stored(files, b"".join(lines))
    found = await readers.inspect(file, None, {}, 200, takes_events=False, owner=1)
    assert 1 <= len(found.rows) <= 4
    assert not found.is_whole


async def test_a_file_of_several_blocks_is_read_from_the_store(
    files: FileStore, readers: Readers
) -> None:
    content = b"text\n" + b"".join(b"%0999d\n" % n for n in range(2_500))
    assert len(content) > 2 * BLOCK_BYTES
    rows = rows_of((await read_all(readers, await stored(files, content), "csv"))[0])
    assert [row.values for row in rows] == [{"text": f"{n:0999d}"} for n in range(2_500)]


async def test_a_file_that_the_store_has_lost_is_noticed(
    files: FileStore, readers: Readers
) -> None:
    file = await stored(files, CSV)
    with pytest.raises(FileTruncated):
        await read_all(readers, StoredFile(file.name, file.size + 1), "csv")
    assert rows_of((await read_all(readers, file, "csv"))[0])


async def test_one_process_reads_file_after_file(files: FileStore, readers: Readers) -> None:
    """Also after one that is wrong."""
    file = await stored(files, CSV)
    await read_all(readers, file, "csv")
    before = commands()
    with pytest.raises(BadInput, match="the file is empty"):
        await readers.inspect(
            await stored(files, b"  ", "b1a"), None, {}, 5, takes_events=False, owner=1
        )
    await read_all(readers, file, "csv")
    assert commands() == before


# --- files that take too much ---


async def test_a_file_that_needs_too_much_memory_is_refused_with_a_sentence(
    files: FileStore, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_first(monkeypatch, "process.unpack = lambda file: bytearray(300_000_000)")
    with pytest.raises(BadInput, match="takes more than 256 MB of memory, before the end of its"):
        await read_all(readers, await stored(files, CSV), "csv")
    assert commands() == []


async def test_a_file_that_needs_too_much_time_is_refused_with_a_sentence(
    files: FileStore, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the last row that was read."""
    monkeypatch.setattr(reader, "FIRST_SECONDS", 0.5)
    run_first(monkeypatch, SLOW_ROWS)
    with pytest.raises(BadInput, match=r"1\.2 s of processor time.*, after row 3; send it in"):
        await read_all(readers, await stored(files, CSV), "csv")
    assert commands() == []


async def test_a_library_that_never_looks_up_is_ended_by_the_kernel(
    files: FileStore, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop outside of Python cannot be interrupted."""
    monkeypatch.setattr(reader, "FIRST_SECONDS", 0.5)
    run_first(monkeypatch, ENDLESS_IN_C)
    with pytest.raises(BadInput, match="s of processor time"):
        await read_all(readers, await stored(files, CSV), "csv")


async def test_a_process_that_sleeps_is_ended(
    files: FileStore, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SILENT_SECONDS", 1.0)
    run_first(monkeypatch, "import time; process.unpack = lambda file: time.sleep(60)")
    with pytest.raises(BadInput, match="did nothing for 1 s, before"):
        await read_all(readers, await stored(files, CSV), "csv")
    assert commands() == []


async def test_native_code_that_breaks_down_costs_its_file_alone(
    files: FileStore, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_first(monkeypatch, "process.unpack = lambda file: os.abort()")
    with pytest.raises(BadInput, match=r"broke down.*256 MB of memory, before the end of its"):
        await read_all(readers, await stored(files, CSV), "csv")


async def test_an_error_that_nobody_expected_costs_its_file_alone(
    files: FileStore, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_first(monkeypatch, "process.unpack = lambda file: 1 / 0")
    with pytest.raises(BadInput, match="openbulk failed on it"):
        await read_all(readers, await stored(files, CSV), "csv")


async def test_a_process_that_still_holds_memory_reads_no_other_file(
    files: FileStore, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_first(
        monkeypatch,
        "def keep(file, original=process.unpack):\n"
        "    process.kept = bytearray(100_000_000)\n"
        "    return original(file)\n"
        "process.unpack = keep",
    )
    await read_all(readers, await stored(files, CSV), "csv")
    assert commands() == []


async def test_a_message_without_end_is_refused(
    files: FileStore, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a process sends, the server holds a bounded part of it."""
    run_first(
        monkeypatch,
        "process._TASKS = {'read': lambda self: self.channel._connection.sendall(b'\\xff' * 5)}",
    )
    with pytest.raises(BadInput, match="openbulk failed on it"):
        await read_all(readers, await stored(files, CSV), "csv")


SLOW_ROWS = """
from openbulk.formats.csv import Csv
def read(self, file, options, original=Csv.read):
    for row in original(self, file, options):
        yield row
        if row.number == 3:
            while True: pass
Csv.read_batches = read
"""
ENDLESS_IN_C = """
import re
process.unpack = lambda file: re.match("(a|aa)+$", "a" * 60 + "b")
"""


def run_first(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have the processes run code before they read."""
    program = f"import os\nfrom openbulk.reading import process\n{code}\nprocess.main()\n"
    monkeypatch.setattr(reader, "PROGRAM", ("-c", program))


# --- who comes when, and what is left ---


async def test_a_killed_process_is_said_to_be_killed(files: FileStore, readers: Readers) -> None:
    """The job is read again; that is the caller's decision."""
    file = await stored(files, b"n\n" + b"1\n" * 500_000)
    async with readers.parts(file, "csv", {}, owner=1) as source:
        assert await source.next_part()
        (process,) = commands()
        os.kill(process, signal.SIGKILL)
        with pytest.raises(ReaderUnavailable, match=r"was killed.*after row"):
            while await source.next_part():
                pass


async def test_an_idle_process_that_is_killed_is_replaced(
    files: FileStore, readers: Readers
) -> None:
    file = await stored(files, CSV)
    await read_all(readers, file, "csv")
    (process,) = commands()
    os.kill(process, signal.SIGKILL)
    await asyncio.to_thread(os.waitid, os.P_PID, process, os.WEXITED | os.WNOWAIT)
    assert await read_all(readers, file, "csv")


async def test_cutting_stops_in_the_middle_of_a_part(
    files: FileStore, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancellation is looked at by time, not by rows; the process ends."""
    run_first(monkeypatch, SLOW_ROWS)
    asked_at: list[float] = []

    async def stop() -> bool:
        asked_at.append(time.monotonic())
        return len(asked_at) == 2

    async with readers.parts(await stored(files, CSV), "csv", {}, owner=1) as source:
        assert await cut(files, "f00d", source, stop) is None
    assert len(asked_at) == 2
    assert commands() == []


async def test_files_of_one_owner_leave_a_process_to_the_others(
    files: FileStore, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await stored(files, CSV)
    async with readers.parts(file, "csv", {}, owner=1) as first:
        await first.next_part()
        async with readers.parts(file, "csv", {}, owner=1) as second:
            waiting = asyncio.create_task(second.next_part())
            assert await readers.inspect(file, None, {}, 5, takes_events=False, owner=2)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait({waiting})
    assert await read_all(readers, file, "csv")


async def test_an_organization_does_not_wait_for_all_files_of_another_one(
    files: FileStore, readers: Readers
) -> None:
    """Though each of those belongs to an instance of its own, and came before."""
    file = await stored(files, CSV)
    order: list[int] = []

    async def read(organization: int, instance: int) -> None:
        owner = PlaceOwner(organization, instance)
        await readers.inspect(file, None, {}, 5, takes_events=False, owner=owner)
        order.append(organization)

    async with readers.parts(file, "csv", {}, owner=PlaceOwner(1, 1)) as first:
        await first.next_part()
        crowd = [asyncio.create_task(read(1, instance)) for instance in range(2, 8)]
        await asyncio.sleep(0)
        await read(2, 9)
    await asyncio.gather(*crowd)
    assert order.index(2) <= 1


async def test_a_caller_does_not_wait_for_ever(
    files: FileStore, readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openbulk.reading.readers.WAIT_SECONDS", 0.2)
    file = await stored(files, CSV)
    async with readers.parts(file, "csv", {}, owner=1) as first:
        await first.next_part()
        with pytest.raises(ReaderUnavailable, match="reads many other files at the moment"):
            await readers.inspect(file, None, {}, 5, takes_events=False, owner=1)


async def test_a_process_has_no_secret_and_no_file_of_the_server(
    files: FileStore, readers: Readers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENBULK_MASTER_KEY", "unmistakable")
    with (tmp_path / "open").open("wb") as held:
        os.set_inheritable(held.fileno(), True)
        await read_all(readers, await stored(files, CSV), "csv")
        (process,) = commands()
        environment = Path(f"/proc/{process}/environ").read_bytes()
        assert b"unmistakable" not in environment
        names = {line.partition(b"=")[0] for line in environment.split(b"\0") if line}
        assert names <= {b"PYTHONPATH", b"TMPDIR", b"LC_CTYPE"}
        targets = {str(link.readlink()) for link in Path(f"/proc/{process}/fd").iterdir()}
        assert str(tmp_path / "open") not in targets
        assert all(one.startswith(("socket:", "/dev/null")) for one in targets), targets


def test_processes_end_with_the_server_even_if_it_is_killed() -> None:
    """In the middle of a file, too."""
    program = (
        "import asyncio, sys\n"
        "from openbulk.reading import reader\n"
        "async def main():\n"
        f"    reader.PROGRAM = ('-c', {ENDLESS!r})\n"
        "    one = reader.Reader()\n"
        "    print(one._process.pid, flush=True)\n"
        "    await one.receive()\n"
        "    print('reads', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        process = int(server.stdout.readline())
        assert server.stdout.readline() == b"reads\n"
        server.kill()
    deadline = time.monotonic() + 60
    while is_running(process):
        assert time.monotonic() < deadline
        time.sleep(0.02)


ENDLESS = """
from openbulk.reading import process
from openbulk.reading.messages import Channel, Kind
def endless(channel, memory):
    channel.send(Kind.DONE, b"")
    while True: pass
process._serve = endless
process.main()
"""


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
