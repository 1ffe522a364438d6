"""The harness of the benchmarks runs; what it measures is nobody's promise here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TIMEOUT = 300


def measured(area: str, file: Path, *options: str) -> list[dict[str, Any]]:
    """What one rotation of our own wrote."""
    ours = ["--peer", "mediagate", "--rotations", "1", "--results", str(file), *options]
    command = [sys.executable, "-m", "benchmarks", area, *ours]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=TIMEOUT, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    rows: list[dict[str, Any]] = json.loads(file.read_text())["areas"][area]
    assert all(each["rate"] > 0 and each["peak_rss_mib"] > 0 for each in rows)
    return rows


def test_a_small_run_of_the_stream(tmp_path: Path) -> None:
    rows = measured("stream", tmp_path / "results.json", "--events", "1000")
    assert [each["peer"] for each in rows] == ["mediagate", "mediagate, with its stores"]


def test_a_small_run_of_the_gateway(tmp_path: Path) -> None:
    (row,) = measured("gateway", tmp_path / "results.json", "--seconds", "1")
    assert (row["peer"], row["p50_ms"] <= row["p99_ms"]) == ("mediagate", True)
