"""The harness of the benchmarks runs; what it measures is nobody's promise here."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT = 300


def test_a_small_run_of_the_stream(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    options = ["--peer", "mediagate", "--rotations", "1", "--events", "1000", "--results", str(file)]
    command = [sys.executable, "-m", "benchmarks", "stream", *options]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=TIMEOUT, check=False)
    assert ran.returncode == 0, ran.stderr.decode()

    measured = json.loads(file.read_text())["areas"]["stream"]
    assert [each["peer"] for each in measured] == ["mediagate", "mediagate, with its stores"]
    assert all(each["rate"] > 0 and each["peak_rss_mib"] > 0 for each in measured)
