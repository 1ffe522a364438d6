"""Who is measured on the stream: how each is started, and what it promises less than Mediagate."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.peer import Command, Peer
from benchmarks.prepare import jars_of, java_classes, python_of

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KAFKA_STREAMS = HERE / "kafka_streams"
HEAP = "-Xmx512m"


def _mediagate() -> Command:
    return [sys.executable, "-m", "benchmarks.stream.mediagate_worker"]


def _python(folder: str, module: str = "main", *arguments: str) -> Callable[[], Command]:
    return lambda: [python_of(HERE / folder), "-m", f"benchmarks.stream.{folder}.{module}", *arguments]


def _kafka_streams() -> Command:
    class_path = jars_of(KAFKA_STREAMS, "kafka_streams")
    classes = java_classes(KAFKA_STREAMS, class_path)
    return ["java", HEAP, "-cp", os.pathsep.join([str(classes), class_path]), "Peer"]


LESS = "no CloudEvents checks, policy, brakes, dead letters or metrics"
TOO_SOON = f"{LESS}; a commit of one partition's window takes in the open windows of the others"
IN_PYTHON = {"PYTHONPATH": str(ROOT)}

PEERS = (
    Peer("mediagate", _mediagate, environment={"EXAMINED": "no"}, ours=True),
    Peer("mediagate, with its stores", _mediagate, environment={"EXAMINED": "yes"}, ours=True),
    Peer("aiokafka", _python("aiokafka_loop"), LESS, IN_PYTHON),
    Peer("aiokafka, in flight", _python("aiokafka_loop", "in_flight"), LESS, IN_PYTHON),
    Peer("confluent-kafka", _python("confluent_loop"), LESS, IN_PYTHON | {"IN_FLIGHT": "1"}),
    Peer("confluent-kafka, in flight", _python("confluent_loop"), LESS, IN_PYTHON | {"IN_FLIGHT": "8"}),
    Peer("Kafka Streams", _kafka_streams, TOO_SOON, {"GUARANTEE": "at_least_once"}),
    Peer("Kafka Streams, exactly once", _kafka_streams, TOO_SOON, {"GUARANTEE": "exactly_once_v2"}),
    Peer("FastStream", _python("faststream_batch"), LESS, IN_PYTHON),
    Peer(
        "Quix Streams",
        _python("quix_streams"),
        f"{LESS}; events one at a time, so that a scanner gets no windows",
        IN_PYTHON,
    ),
    Peer(
        "Faust",
        _python("faust_take", "main", "worker", "-l", "warn", "--without-web"),
        f"{LESS}; the producer is not idempotent; a window that fails is committed all the same",
        IN_PYTHON,
    ),
)
