"""The demo, twice on the same services: the second time every picture and video is known."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DEADLINE = 400


def run_demo(folder: Path) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-m", "devstack.demo"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report: dict[str, Any] = json.loads((folder / ".devstack" / "demo-report.json").read_text())
    return report


def test_a_second_run_scans_nothing(tmp_path: Path) -> None:
    for name in ("topics.yaml", "policy.yaml"):
        shutil.copy(ROOT / name, tmp_path)

    first, second = run_demo(tmp_path), run_demo(tmp_path)

    assert first["scanned"] > 0
    assert second["scanned"] == 0
    assert second["known"] == first["scanned"] + first["known"]
    ends = ("uploaded", "published", "quarantined", "needs_review", "unscannable", "expired", "unaccounted")
    assert [first[end] for end in ends] == [second[end] for end in ends]
