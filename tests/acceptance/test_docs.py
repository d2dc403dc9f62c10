"""The documentation, held against the code: commands run, lists are whole, links lead somewhere."""

import os
import re
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePath

import pytest
from prometheus_client import Counter

from acceptance.pages import ROOT, blocks_of, check, run_page
from openbulk.api.bulk.metadata import CONTRACT_OPTIONS, DOWNLOAD_OPTIONS, UPLOAD_OPTIONS
from openbulk.api.http import error_responses
from openbulk.client.sessions import KEY_VARIABLE, SERVER_VARIABLE
from openbulk.connectors import providers
from openbulk.engine import metrics
from openbulk.formats import FORMATS
from openbulk.settings import Settings
from support.harness import Processes

DOCS = ROOT / "docs"
PACKAGE = ROOT / "src" / "openbulk"
PAGES = [
    ROOT / "README.md",
    *sorted(DOCS.glob("tutorials/*.md")),
    *sorted(DOCS.glob("how-to/*.md")),
]
ALL_PAGES = [
    *ROOT.glob("*.md"),
    *sorted(DOCS.rglob("*.md")),
    *(path for path in (ROOT / "bench").glob("*.md") if path.name != "RESULTS.md"),
]
ELSEWHERE = {
    "back-up-and-restore.md",
    "behind-a-proxy.md",
    "eloqua.md",
    "google-calendar.md",
    "many-machines.md",
    "rotate-the-master-key.md",
}
"""Pages whose commands run in a test of their own: a person or another machine takes part."""


def runs(page: Path) -> bool:
    return page.name not in ELSEWHERE and any(block.runs for block in blocks_of(page))


# --- commands ---


@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=lambda page: page.stem)
def test_the_commands_of_a_page_run_and_print_what_it_says(page: Path, tmp_path: Path) -> None:
    check(run_page(page, tmp_path))


def test_the_seeds_file_becomes_ten_contacts(tmp_path: Path) -> None:
    """The guide to Eloqua is the way that openbulk began with."""
    steps = run_page(DOCS / "how-to" / "eloqua.md", tmp_path)
    check(steps)
    (contacts,) = [step.printed for step in steps if "/sandbox/contacts" in step.commands]
    assert contacts.count('"C_EmailAddress"') == 10


def test_a_key_is_replaced_by_the_command_of_the_page(processes: Processes) -> None:
    (rotate,) = [
        block.text.split()
        for block in blocks_of(DOCS / "how-to" / "rotate-the-master-key.md")
        if block.runs
    ]
    server = processes.server().instance("memory")
    server.process.stop()
    done = processes.command(*rotate[1:], env={"OPENBULK_DATA_DIR": str(processes.folder / "data")})
    assert (done.returncode, "1 instance" in done.stdout) == (0, True), done.stderr


def test_what_the_guide_to_moving_over_says_is_missing_is_missing(processes: Processes) -> None:
    page = (DOCS / "how-to" / "moving-over.md").read_text()
    server = processes.server().instance("memory")
    missing = {
        ("GET", "/users"),
        ("GET", "/accounts"),
        ("GET", "/metrics/bulk-jobs"),
        ("GET", "/instances/1/docs"),
        ("GET", "/objects/records/docs"),
        ("GET", "/elements/googlecalendar/oauth/token"),
        ("POST", "/hubs/db/query"),
        ("GET", "/elements/googlecalendar/oauth/url/default"),
    }
    for method, path in missing:
        assert path.rpartition("/")[2] in page, path
        assert server.call(method, path, json_body={}).status in {400, 404, 405}, path


# --- lists ---


def test_every_setting_is_documented_with_its_default() -> None:
    rows = (DOCS / "reference" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        (row,) = [
            line for line in rows.splitlines() if line.startswith(f"| `OPENBULK_{name.upper()}` |")
        ]
        _, _, default, example, meaning, _ = (
            cell.strip() for cell in row.replace("\\|", "").split("|")
        )
        assert example and meaning, name
        if field.default == ():
            assert default == "none", (name, default)
        elif field.default is not None:
            written = (
                str(field.default).lower()
                if isinstance(field.default, bool)
                else str(field.default)
            )
            assert f"`{written}`" in default, (name, default)


def test_no_setting_is_documented_that_does_not_exist() -> None:
    """But for the misspelt one that the page of settings shows as an example."""
    named = {
        name
        for page in ALL_PAGES
        if page.parent.name != "decisions"
        for name in re.findall(r"OPENBULK_[A-Z_]+[A-Z]", page.read_text())
    }
    known = {f"OPENBULK_{name.upper()}" for name in Settings.model_fields}
    known |= {SERVER_VARIABLE, KEY_VARIABLE}
    assert named - known == {"OPENBULK_COMPATIBLITY"}
    page = (DOCS / "how-to" / "moving-over.md").read_text()
    assert ("compatibility" in Settings.model_fields) != (
        "does not exist yet" in re.sub(r"\W+", " ", page)
    )


def test_every_metric_is_documented() -> None:
    rows = (DOCS / "reference" / "settings.md").read_text()
    counters = [one for one in vars(metrics).values() if isinstance(one, Counter)]
    assert len(counters) > 3
    for counter in counters:
        labels = " ".join(f"`{label}`" for label in counter._labelnames)
        assert re.sub(" +", " ", f"| `{counter._name}_total` | {labels} |") in rows


def test_every_route_is_documented() -> None:
    documented = (DOCS / "reference" / "api.md").read_text()
    source = "\n".join(path.read_text() for path in (PACKAGE / "api").rglob("*.py"))
    routes = set(re.findall(r"@\w+\.(?:get|post|put|patch|delete)\(\s*\"(/[^\"]*)\"", source))
    of_instance = re.findall(r"@_of_instance\(\s*\"(/[^\"]*)\"", source)
    routes |= {f"/instances/{{instance_id}}{path}" for path in of_instance}
    assert len(routes) > 25 and of_instance
    for route in routes:
        shape = re.sub(r"\{(job|instance|schedule|file|user|organization)_id\}", "{id}", route)
        shape = shape.replace("{object_name}", "{name}").replace(":int}", "}")
        assert shape.replace("{object:path}", "{object}") in documented, route


def test_every_status_of_an_error_is_documented() -> None:
    rows = (DOCS / "reference" / "errors.md").read_text()
    for status in {*error_responses.STATUS.values(), 500}:
        assert f"\n| {status} |" in rows, status


def test_every_key_of_metadata_is_documented() -> None:
    page = (DOCS / "reference" / "api.md").read_text()
    options = [*UPLOAD_OPTIONS, *DOWNLOAD_OPTIONS]
    for one in FORMATS.values():
        options += one.options
    for provider in providers(_no_address, None, has_memory=True).values():
        options += provider.options
    names = {*CONTRACT_OPTIONS, *(option.name for option in options)}
    assert {name for name in names if f"{name}`" not in page} == set()


async def _no_address(host: str, port: int) -> str:
    raise AssertionError("nothing connects")


def test_every_command_is_documented() -> None:
    page = (DOCS / "reference" / "command-line.md").read_text()
    source = "\n".join(path.read_text() for path in (PACKAGE / "cli").glob("*.py"))
    assert set(re.findall(r'@sandbox\.command\("(\w+)"\)', source)) == {"google", "eloqua"}
    commands = re.findall(r'@cli\.command\((?:"([\w-]+)")?\)\ndef (\w+)', source)
    assert len(commands) > 2
    for name, function in commands:
        assert f"## openbulk {name or function.replace('_', '-')}" in page


# --- words and places ---


def test_the_glossary_names_files_that_exist() -> None:
    page = (DOCS / "reference" / "glossary.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|$", page, re.MULTILINE)
    assert len(rows) > 25
    assert [place for _, place in rows if not (PACKAGE / place).exists()] == []


def test_the_glossary_names_files_that_use_the_word() -> None:
    page = (DOCS / "reference" / "glossary.md").read_text()
    for word, place in re.findall(r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|$", page, re.MULTILINE):
        if (PACKAGE / place).is_file():
            text = (PACKAGE / place).read_text().lower().replace("_", " ")
            stem = word.split(",")[0].split()[-1].rstrip("ey")
            assert stem in text, (word, place)


def test_pages_name_modules_that_exist() -> None:
    """A path in backticks that ends in .py is below the repository or the package."""
    folders = (
        ROOT,
        PACKAGE,
        PACKAGE / "connectors" / "googlecalendar",
        ROOT / "tests" / "acceptance",
    )
    missing = [
        (page.name, name)
        for page in ALL_PAGES
        if page.name not in {"CHANGELOG.md", "0024-one-word-per-thing.md"}
        for name in re.findall(r"`([\w/-]+\.py)`", page.read_text())
        if not any((folder / name).exists() for folder in folders)
    ]
    assert missing == []


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for _, target in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place), target


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_package_with_native_code_is_in_the_threat_model() -> None:
    page = (DOCS / "explanation" / "security.md").read_text().lower()
    table = page.split("## native code", 1)[1]
    names = re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / "run.txt").read_text(), re.M)
    for name in names:
        with suppress(PackageNotFoundError):  # another platform's
            files = distribution(name).files or ()
            is_native = any(".so" in PurePath(file).suffixes for file in files)
            assert not is_native or name.removesuffix("-binary") in table, name


ASVS = (
    "1.1-2 1.2-9 1.3-11 1.4-3 1.5-2 2.1-3 2.2-3 2.3-4 2.4-1 3.2-2 3.3-4 3.4-6 3.5-5 3.7-2 4.1-3 "
    "4.2-1 4.3-2 4.4-4 5.1-1 5.2-3 5.3-2 5.4-3 6.1-3 6.2-12 6.3-4 6.4-4 6.5-5 6.6-3 6.8-4 7.1-3 "
    "7.2-4 7.3-2 7.4-5 7.5-2 7.6-2 8.1-2 8.2-3 8.3-1 8.4-1 9.1-3 9.2-4 10.1-2 10.2-2 10.3-4 "
    "10.4-11 10.5-5 10.6-2 10.7-3 11.1-2 11.2-3 11.3-3 11.4-4 11.5-1 11.6-1 12.1-3 12.2-2 12.3-4 "
    "13.1-1 13.2-5 13.3-2 13.4-5 14.1-2 14.2-4 14.3-3 15.1-3 15.2-3 15.3-7 16.1-1 16.2-5 16.3-4 "
    "16.4-3 16.5-3 17.1-1 17.2-4 17.3-2"
)
"""The sections of ASVS 5.0.0, each with the number of its last requirement of level 1 or 2. None
below it is of level 3 alone."""


def test_every_requirement_of_asvs_has_one_row() -> None:
    sections = [section.split("-") for section in ASVS.split()]
    wanted = [f"V{name}.{place + 1}" for name, last in sections for place in range(int(last))]
    page = (DOCS / "reference" / "asvs.md").read_text()
    assert sorted(re.findall(r"\bV\d+\.\d+\.\d+\b", page)) == sorted(wanted)


def test_what_holds_of_asvs_has_a_proof() -> None:
    """The tests that a row names exist (`test_pages_name_modules_that_exist`)."""
    page = (DOCS / "reference" / "asvs.md").read_text()
    rows = re.findall(r"^\| (V[^|]+|[a-z][^|]+) \|.*?\| (yes|part|no|n/a) \| (.*) \|$", page, re.M)
    assert len(rows) > 130
    without = [
        number
        for number, state, by in rows
        if state == "yes" and not re.search(r"`tests/|\]\(|`requirements/", by)
    ]
    assert without == []


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text()
    pages = [path.relative_to(DOCS) for path in DOCS.rglob("*.md") if path.parent != DOCS]
    assert [
        str(page) for page in pages if page.parent.name != "decisions" and str(page) not in index
    ] == []


def test_every_decision_has_a_date_a_status_and_a_line_in_the_index() -> None:
    index = (DOCS / "decisions" / "README.md").read_text()
    for number, page in enumerate(sorted((DOCS / "decisions").glob("0*.md")), 1):
        status = r"accepted|superseded (?:in part )?by .+"
        form = rf"# (\d+)\. (.+)\n\nDate: (\d{{4}}-\d\d-\d\d)\nStatus: ({status})\n"
        match = re.match(form, page.read_text())
        assert match is not None, page.name
        assert int(match[1]) == int(page.name[:4]) == number
        assert f"| {number} | [{match[2]}]({page.name}) | {match[3]} | {match[4]} |" in index, (
            page.name
        )


def test_no_page_uses_a_word_that_another_replaced() -> None:
    """Code blocks, the changelog and decision 24, which names them, apart."""
    words = "a turn|the turn|lots?|honou?rs_keys|begins_with|ReadAnew|Unsure|NoRoom|FilesAway|anew"
    old = re.compile(rf"\b({words})\b")
    found = [
        (str(page.relative_to(ROOT)), match[0])
        for page in ALL_PAGES
        if page.name not in {"CHANGELOG.md", "0024-one-word-per-thing.md"}
        for match in old.finditer(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    ]
    assert found == []


def test_nothing_speaks_of_the_machines_it_was_written_on() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False
    ).stdout.split()
    places = re.compile(rf"{os.sep}work{os.sep}|{os.sep}root{os.sep}")
    found = [
        name
        for name in tracked
        if Path(name).suffix in {".py", ".md", ".toml", ".svg"}
        and name != "tests/acceptance/test_docs.py"
        and places.search((ROOT / name).read_text())
    ]
    assert found == []
