"""The command line as an operator uses it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE = 90

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `mediagate` in an empty folder with nothing but the given environment."""

    def command(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "mediagate", *arguments],
            cwd=tmp_path,
            env={
                "PYTHONPATH": str(ROOT),
                "TOPICS_FILE": str(ROOT / "topics.yaml"),
                "POLICY_FILE": str(ROOT / "policy.yaml"),
                "COLUMNS": "160",
                "HOME": str(tmp_path),
            }
            | environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    return command
