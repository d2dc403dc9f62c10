"""The README's commands, run as they stand; and every setting and decision has its page."""

import os
import re
import subprocess
from pathlib import Path

from openbulk.settings import Settings
from support.harness import Processes

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```bash{kind}\n(.*?)```", README, re.DOTALL)


def test_the_readmes_commands_put_ten_contacts_into_the_service(processes: Processes) -> None:
    (server_block,) = blocks(" server")
    (sandbox_block,) = blocks(" sandbox")
    assert "openbulk sandbox eloqua --port 8092" in sandbox_block
    settings = dict(re.findall(r"(OPENBULK_\w+)=(\S+)", server_block))
    sandbox = processes.sandbox("eloqua")
    server = processes.run(
        "serve",
        "--port",
        "0",
        env={**settings, "OPENBULK_DATA_DIR": str(processes.folder / "data")},
    )
    script = "set -euo pipefail\n" + "\nsleep 3\n".join(blocks(""))
    script = script.replace("http://127.0.0.1:8080", server.url).replace(
        "http://127.0.0.1:8092", sandbox.url
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '["activities","contact","campaign","list","account"]' in done.stdout
    assert '{"id":"1","status":"CREATED","instanceId":1}' in done.stdout
    assert '"id":"1","status":"COMPLETE"' in done.stdout
    assert done.stdout.count('"C_EmailAddress"') == 10
    assert "C_EmailAddress,C_FirstName\n" in done.stdout


def test_every_setting_is_documented() -> None:
    documented = (ROOT / "docs" / "using.md").read_text()
    assert [
        name for name in Settings.model_fields if f"`OPENBULK_{name.upper()}`" not in documented
    ] == []


def test_every_route_is_documented(processes: Processes) -> None:
    documented = (ROOT / "docs" / "using.md").read_text().replace("{key}", "{}")
    routes = set(
        re.findall(r"@\w+\.(?:get|post|put|patch|delete)\(\s*\"(/[^\"]*)\"", source_of_routes())
    )
    assert len(routes) > 25
    for route in routes:
        shape = re.sub(
            r"\{(job|instance|schedule)_id\}", "{id}", route.replace("{object:path}", "{object}")
        )
        assert shape.replace("{key}", "{}") in documented, route


def source_of_routes() -> str:
    folder = ROOT / "src" / "openbulk" / "api"
    return "\n".join(path.read_text() for path in folder.rglob("*.py"))


def test_nothing_speaks_of_the_machines_it_was_written_on() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False
    ).stdout.split()
    places = re.compile(rf"{os.sep}work{os.sep}|{os.sep}root{os.sep}")
    found = [
        name
        for name in tracked
        if Path(name).suffix in {".py", ".md", ".toml"}
        and name != "tests/acceptance/test_docs.py"
        and places.search((ROOT / name).read_text())
    ]
    assert found == []
