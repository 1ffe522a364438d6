"""Who is measured on the stream: how each is started, and what it promises less than Mediagate."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.prepare import jars_of, java_classes, python_of

HERE = Path(__file__).parent
KAFKA_STREAMS = HERE / "kafka_streams"
HEAP = "-Xmx512m"

Command = Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Peer:
    """`prepare` makes the command; `weaker` is what it does not do, empty where it does all of it."""

    name: str
    prepare: Callable[[], Command]
    weaker: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False


def _mediagate() -> Command:
    return [sys.executable, "-m", "benchmarks.stream.mediagate_worker"]


def _python(folder: str) -> Callable[[], Command]:
    return lambda: [python_of(HERE / folder), HERE / folder / "main.py"]


def _kafka_streams() -> Command:
    class_path = jars_of(KAFKA_STREAMS, "kafka_streams")
    classes = java_classes(KAFKA_STREAMS, class_path)
    return ["java", HEAP, "-cp", os.pathsep.join([str(classes), class_path]), "Peer"]


LESS = "no CloudEvents checks, policy, brakes, dead letters or metrics"

PEERS = (
    Peer("mediagate", _mediagate, environment={"EXAMINED": "no"}, ours=True),
    Peer("mediagate, with its stores", _mediagate, environment={"EXAMINED": "yes"}, ours=True),
    Peer("aiokafka", _python("aiokafka_loop"), LESS),
    Peer("Kafka Streams", _kafka_streams, LESS, {"GUARANTEE": "at_least_once"}),
    Peer("Kafka Streams, exactly once", _kafka_streams, LESS, {"GUARANTEE": "exactly_once_v2"}),
)
