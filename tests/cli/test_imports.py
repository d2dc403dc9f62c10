"""Promises about what a command loads: what it does not need takes time at each start."""

import subprocess
import sys

SHOW_VERSION = "from openbulk.cli import cli; cli(['--version'], standalone_mode=False)"
LOAD_SERVER = "import openbulk.cli.server"
LOAD_CLIENT = "import openbulk.client.loading, openbulk.client.jobs, openbulk.client.connecting"
NEVER_AT_A_START = {
    "alembic",
    "icalendar",
    "openbulk.api.wire.sql_queries",
    "openbulk.sandbox",
    "sqlglot",
    "xlsxwriter",
}
"""Needed by a new version's first start, by a calendar, a query, a sandbox and a workbook."""
ONLY_FOR_A_SERVER = {
    "aiohttp",
    "asyncio",
    "dbos",
    "fastapi",
    "openbulk.app",
    "openbulk.connectors",
    "openbulk.settings",
    "psycopg",
    "pydantic",
    "pydantic_settings",
    "sqlalchemy",
    "uvicorn",
}
ASYNCHRONOUS = {"asyncio"}
"""httpx loads it."""
ONLY_FOR_A_TERMINAL = {"httpx", "openbulk.client", "rich.progress"}
READER = "import openbulk.reading.process"
NEVER_IN_A_READER = NEVER_AT_A_START | {"dbos", "fastapi", "openbulk.api", "openbulk.connectors"}


def loaded_by(program: str) -> set[str]:
    """The names of the modules that a new process has loaded after a program."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print('loaded:', *sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.partition("loaded:")[2].split())


def test_the_version_is_shown_without_loading_a_server() -> None:
    loaded = loaded_by(SHOW_VERSION)
    assert "openbulk.cli" in loaded
    assert not loaded & (ONLY_FOR_A_SERVER | NEVER_AT_A_START | ONLY_FOR_A_TERMINAL)


def test_a_client_is_loaded_without_a_server() -> None:
    loaded = loaded_by(LOAD_CLIENT)
    assert loaded >= ONLY_FOR_A_TERMINAL
    assert not loaded & (ONLY_FOR_A_SERVER - ASYNCHRONOUS)


def test_a_server_loads_what_files_and_queries_need_when_they_come() -> None:
    loaded = loaded_by(LOAD_SERVER)
    assert loaded >= ONLY_FOR_A_SERVER
    assert not loaded & NEVER_AT_A_START


def test_a_process_that_reads_files_loads_what_its_file_needs() -> None:
    loaded = loaded_by(READER)
    assert "openbulk.formats" in loaded
    assert not loaded & NEVER_IN_A_READER
