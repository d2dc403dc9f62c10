"""What `make dist` builds works where nothing of this checkout is."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from acceptance.pages import ROOT, blocks_of
from openbulk.settings import Settings
from support.harness import Processes, request

MAX_WHEEL_BYTES = 3_000_000
INSTALL_SECONDS = 600
DEPLOY = ROOT / "deploy"
PAGE = ROOT / "docs" / "how-to" / "install-on-a-server.md"


def run(*command: str | Path, folder: Path) -> str:
    """Run a command to its end, without anything of this checkout. Returns what it prints."""
    foreign = ("PYTHON", "OPENBULK_", "VIRTUAL_ENV")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source: Path, target: Path, *kinds: str) -> None:
    """Build distributions of a source tree."""
    run(sys.executable, "-m", "hatchling", "build", "-d", target, *kinds, folder=source)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel."""
    (found,) = dist.glob("*.whl")
    return found


def test_the_wheel_is_small_and_whole(wheel: Path) -> None:
    """With the console, the sandboxes, and what npm has brought."""
    packed = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    files = {
        str(file.relative_to(source))
        for file in source.rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    assert files - packed == set()
    assert {"openbulk/console/vendor/htmx.min.js", "openbulk/console/vendor/LICENSE"} <= packed
    assert wheel.stat().st_size < MAX_WHEEL_BYTES


def test_the_source_distribution_makes_the_same_wheel(
    dist: Path, wheel: Path, tmp_path: Path
) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    build(source, tmp_path / "again", "-t", "wheel")
    (again,) = (tmp_path / "again").glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()


@pytest.mark.long
def test_the_wheel_works_in_a_bare_environment(wheel: Path, tmp_path: Path) -> None:
    """The main job, the console and a sandbox, with the locked dependencies."""
    _, install = [block.text for block in blocks_of(PAGE) if block.kind == "install"]
    environment = tmp_path / "environment"
    for name, path in {
        "/opt/openbulk": environment,
        "requirements/": ROOT / "requirements",
        "dist/openbulk-*.whl": wheel,
    }.items():
        assert name in install
        install = install.replace(name, f"{path}/" if name.endswith("/") else str(path))
    printed = run(
        "bash", "-euc", install.replace("python3 ", f"{sys.executable} "), folder=tmp_path
    )
    assert re.search(r"^openbulk [\d.]+\Z", printed.strip(), re.MULTILINE), printed
    run(environment / "bin" / "pip", "check", folder=tmp_path)
    program = environment / "bin" / "openbulk"
    with Processes(tmp_path, program=program) as processes:
        server = processes.server()
        google = server.google(processes.sandbox("google"))
        file = b"summary,start.date,end.date\nChoir,2026-12-01,2026-12-02\n"
        job = google.upload("events", file).json["id"]
        assert google.finished(job)["recordsCount"] == 1, google.errors(job)
        page = request("GET", server.process.url + "/sign-in")
        assert (page.status, b"openbulk" in page.body) == (200, True)
        assert request("GET", server.process.url + "/console/htmx.js").status == 200


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """And finds little that the service could do beyond its work."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed")
    text = (DEPLOY / "openbulk.service").read_text()
    unit = tmp_path / "openbulk.service"
    unit.write_text(text.replace("/opt/openbulk/bin/openbulk", shutil.which("true") or ""))
    done = subprocess.run([program, "verify", unit], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    found = run(program, "security", "--offline=true", "--no-pager", unit, folder=tmp_path)
    (level,) = re.findall(r"Overall exposure level for openbulk.service: ([\d.]+)", found)
    assert float(level) < 2.0


@pytest.mark.parametrize("file", sorted(DEPLOY.iterdir()), ids=lambda file: file.name)
def test_deployments_name_settings_that_there_are(file: Path) -> None:
    known = {f"OPENBULK_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"OPENBULK_[A-Z_]+", file.read_text())) - known == set()
