"""Imports run one way; the contracts stand in pyproject.toml."""

import sys
from pathlib import Path
from subprocess import run


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = run([lint], cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
