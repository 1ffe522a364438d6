"""The harness of the benchmarks runs; what it measures is nobody's promise here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TIMEOUT = 300


def run_of(directory: Path, area: str, *options: str) -> dict[str, Any]:
    file = directory / "results.json"
    common = ["--rotations", "1", "--results", str(file)]
    command = [sys.executable, "-m", "benchmarks", area, *common, *options]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=TIMEOUT, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    results: dict[str, Any] = json.loads(file.read_text())
    return results


def test_a_small_run_of_the_stream(tmp_path: Path) -> None:
    measured = run_of(tmp_path, "stream", "--peer", "mediagate", "--events", "1000")["areas"]["stream"]
    assert [each["peer"] for each in measured] == ["mediagate", "mediagate, with its stores"]
    assert all(each["rate"] > 0 and each["peak_rss_mib"] > 0 for each in measured)


def test_a_small_run_of_the_engine(tmp_path: Path) -> None:
    results = run_of(tmp_path, "engine", "--images", "4", "--videos", "1", "--seconds", "2")

    measured = [*results["areas"]["engine"], *results["areas"]["video"]]
    assert len(measured) == 6
    assert all(each["rate"] > 0 and each["peak_rss_mib"] > 0 for each in measured)
    assert results["ratios"]["engine_vs_model"] > 0
