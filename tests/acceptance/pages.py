"""Runs the commands of a page of the docs, as they stand, in one shell.

The first line of a fenced block says how it is used:

    ```bash            commands that run, in the order of the page
    ```bash nowait     commands that run; the next ones do not wait for their jobs
    ```bash install    commands that do not run, because they install something
    ```sh              commands that do not run, because they need a real account
    ```json output     the output of the commands before; `...` stands for anything

Free ports replace the page's, and what is under test replaces `.venv/bin/openbulk` and
`.venv/bin/python`. A page that starts no server continues in the terminal of the first tutorial,
after its step 3. After each block the shell waits, as a reader does: for programs to listen, and
for jobs to finish.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from support.ports import free_port

ROOT = Path(__file__).parents[2]
FIRST_UPLOAD = ROOT / "docs" / "tutorials" / "first-upload.md"
SECONDS = 600
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*) ?(?P<kind>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
_PORT = re.compile(r'(?<=127\.0\.0\.1:)\d{4}\b|(?<=127\.0\.0\.1", )\d{4}\b|(?<=--port )\d{4}\b')
_LISTENER = re.compile(r"openbulk (?:serve|sandbox \w+)[^\n]*&$", re.MULTILINE)
_MARK = "\x1e"
_PREAMBLE = r"""
set -euo pipefail
until_listening() {
  for _ in $(seq 600); do
    curl -s -o /dev/null "http://127.0.0.1:$1/" && return
    sleep 0.1
  done
  false
}
until_finished() {
  [ -n "${TOKEN+set}" ] || return 0
  [[ $TOKEN =~ ^[A-Za-z0-9+/=]+$ ]] || { echo "no token: $TOKEN" >&2; cat *.log >&2; false; }
  for _ in $(seq 1200); do
    curl -s -H "$AUTH, Element $TOKEN" "$API/bulk/jobs" |
      grep -qE '"status":"(CREATED|RUNNING|PLANNING|VERIFYING|CANCELLATION_PENDING)"' || return 0
    sleep 0.1
  done
  false
}
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    language: str
    kind: str
    text: str

    @property
    def runs(self) -> bool:
        return self.language == "bash" and self.kind != "install"

    @property
    def is_output(self) -> bool:
        return self.kind == "output"


def blocks_of(page: Path) -> list[Block]:
    """Every fenced block of a page, in order; the indent of a list is removed."""
    return [
        Block(match["language"], match["kind"], _without_indent(match["text"], match["indent"]))
        for match in _FENCE.finditer(page.read_text())
    ]


def _without_indent(text: str, indent: str) -> str:
    return re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """Commands of a page, what the page says that they print, and what they printed."""

    commands: str
    expected: str | None
    printed: str


def run_page(page: Path, folder: Path, env: Mapping[str, str] | None = None) -> list[Step]:
    """Run the commands of a page in a folder that gets the repository's examples.

    `env` has settings that the page's reader has made before. Raises AssertionError if a command
    fails.
    """
    blocks = blocks_of(page)
    if not any("openbulk serve" in block.text for block in blocks if block.runs):
        blocks = _first_steps() + blocks
    ports = _free_ports(blocks)
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(ROOT / "examples")
    commands = [_replaced(block.text, ports) for block in blocks if block.runs]
    script = _PREAMBLE + "".join(
        _lines_of(block, ports, number) for number, block in enumerate(_running(blocks))
    )
    output = _shell(script, folder, {"OPENBULK_PORT": ports["8080"], **(env or {})})
    printed = [part.split("\n", 1)[1] for part in output.split(_MARK)[1:]]
    expected = [text and _replaced(text, ports) for text in _outputs(blocks)]
    return [Step(*step) for step in zip(commands, expected, printed, strict=True)]


def check(steps: list[Step]) -> None:
    """Compare what the commands of a page printed with what the page says that they print."""
    for step in steps:
        if step.expected is not None:
            pattern = ".*".join(re.escape(piece) for piece in step.expected.strip().split("..."))
            assert re.fullmatch(pattern, _shown(step.printed), re.DOTALL), (
                f"{step.commands}\nprints\n{step.printed}\nand not\n{step.expected}"
            )


def _first_steps() -> list[Block]:
    """The commands of the first tutorial that start a server and sign in."""
    started, signed_in, *_ = _running(blocks_of(FIRST_UPLOAD))
    return [started, signed_in]


def _running(blocks: list[Block]) -> Iterator[Block]:
    return (block for block in blocks if block.runs)


def _outputs(blocks: list[Block]) -> Iterator[str | None]:
    """For each block of commands the output that stands behind it, if one does."""
    for number, block in enumerate(blocks):
        if block.runs:
            following = blocks[number + 1 : number + 2]
            yield following[0].text if following and following[0].is_output else None


def _lines_of(block: Block, ports: Mapping[str, str], number: int) -> str:
    text = _replaced(block.text, ports)
    lines = [f"printf '{_MARK}{number}\\n'", text]
    for listener in _LISTENER.findall(block.text):
        port = re.search(r"--port (\d+)", listener)
        lines.append(f"until_listening {ports[port[1] if port else '8080']}")
    if block.kind != "nowait":
        lines.append("until_finished")
    return "\n".join(lines) + "\n"


def _replaced(text: str, ports: Mapping[str, str]) -> str:
    text = _PORT.sub(lambda match: ports.get(match[0], match[0]), text)
    text = text.replace(".venv/bin/python", sys.executable)
    return text.replace(".venv/bin/openbulk", f"{sys.executable} -m openbulk")


def _free_ports(blocks: list[Block]) -> dict[str, str]:
    wanted = {port for block in blocks if block.runs for port in _PORT.findall(block.text)}
    return {port: str(free_port()) for port in {"8080", *wanted}}


def _shell(script: str, folder: Path, env: Mapping[str, str]) -> str:
    """What a script prints. Whatever it started is killed when it ends."""
    with subprocess.Popen(
        ["bash", "-c", script],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        start_new_session=True,
    ) as shell:
        try:
            output, errors = _communicate(shell)
        finally:
            _kill_group(shell.pid)
    assert shell.returncode == 0, f"{errors}\n{output}"
    return output


def _communicate(shell: "subprocess.Popen[str]") -> tuple[str, str]:
    # Servers that a script leaves behind hold its output open: they end before it is read.
    shell.wait(SECONDS)
    _kill_group(shell.pid)
    return shell.communicate(timeout=SECONDS)


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _shown(printed: str) -> str:
    """What a terminal shows: it has no sign for the byte order mark of a file."""
    return printed.removeprefix("\ufeff").strip()
