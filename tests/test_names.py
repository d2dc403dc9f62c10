"""Promises about names in the source."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_no_function_is_named_by_a_bare_participle() -> None:
    names = subprocess.run(
        [sys.executable, ROOT / "tools" / "names.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert names.returncode == 0, names.stdout + names.stderr
