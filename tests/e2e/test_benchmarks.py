"""The harness of the benchmarks runs; what it measures is nobody's promise here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TIMEOUT = 300


def run_of(directory: Path, area: str, *options: str) -> dict[str, Any]:
    """What one small rotation wrote; all of it was measured."""
    file = directory / "results.json"
    common = ["--rotations", "1", "--results", str(file)]
    command = [sys.executable, "-m", "benchmarks", area, *common, *options]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=TIMEOUT, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    results: dict[str, Any] = json.loads(file.read_text())
    rows = [row for rows in results["areas"].values() for row in rows]
    assert all(row["peak_rss_mib"] > 0 for row in rows)
    # What its start takes is left out of a replay's rates: of so few events they may be below zero.
    assert area == "replay" or all(row["rate"] > 0 for row in rows)
    return results


def test_a_small_run_of_the_stream(tmp_path: Path) -> None:
    rows = run_of(tmp_path, "stream", "--peer", "mediagate", "--events", "1000")["areas"]["stream"]
    assert [row["peer"] for row in rows] == ["mediagate", "mediagate, with its stores"]


def test_a_small_run_of_the_gateway(tmp_path: Path) -> None:
    (row,) = run_of(tmp_path, "gateway", "--peer", "mediagate", "--seconds", "1")["areas"]["gateway"]
    assert (row["peer"], row["p50_ms"] <= row["p99_ms"]) == ("mediagate", True)


def test_a_small_run_of_the_sinks(tmp_path: Path) -> None:
    (row,) = run_of(tmp_path, "sinks", "--peer", "mediagate", "--objects", "100")["areas"]["sinks"]
    assert row["peer"] == "mediagate"


def test_a_small_run_of_the_latency(tmp_path: Path) -> None:
    options = ["--peer", "mediagate", "--seconds", "2", "--rate", "50"]
    rows = run_of(tmp_path, "latency", *options)["areas"]["latency"]
    assert [row["peer"] for row in rows] == ["mediagate, to decision", "mediagate, to published", "S3 alone"]


def test_a_small_run_of_the_engine(tmp_path: Path) -> None:
    # Enough that each takes CPU time between two samples of its usage.
    results = run_of(tmp_path, "engine", "--images", "12", "--videos", "8", "--seconds", "2")
    rows = [*results["areas"]["engine"], *results["areas"]["video"]]
    assert len(rows) == 6
    assert all(row["cpu_seconds_per_10k"] > 0 for row in rows)
    assert results["ratios"]["engine_vs_model"] > 0


def test_a_small_sweep(tmp_path: Path) -> None:
    rows = run_of(tmp_path, "sweep", "--owed", "2000")["areas"]["sweep"]
    assert [row["p50_ms"] is None for row in rows] == [True, False, False]


def test_a_small_replay(tmp_path: Path) -> None:
    rows = run_of(tmp_path, "replay", "--events", "5000")["areas"]["replay"]
    assert [row["scale"] for row in rows] == [5000, 5000]


def test_a_small_backlog(tmp_path: Path) -> None:
    results = run_of(tmp_path, "backlog", "--events", "5000")
    assert [row["scale"] for row in results["areas"]["backlog"]] == [250, 500, 1250, 2500, 5000]
    assert results["ratios"]["backlog_rss_growth"] >= 1


def test_workers_that_share_a_small_topic(tmp_path: Path) -> None:
    rows = run_of(tmp_path, "workers", "--events", "1000")["areas"]["workers"]
    assert [row["scale"] for row in rows] == [1, 2, 4]
